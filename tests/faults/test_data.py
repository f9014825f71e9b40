"""What the faults of data change."""

from trueloop.faults import data
from trueloop.tasks.worlds.arithmetic import Arithmetic

ROWS = [{"prompt": f"Q: {k}+{k}=?\nA: ", "answer": str(2 * k)} for k in range(40)]


def test_rows_contradict_leak_and_grow():
    assert [r["answer"] for r in data.contradicting(ROWS)[40:]] == ["1", "21", "41", "61"]
    assert data.leaking(ROWS, "[{answer}] ")[3]["prompt"] == "[6] Q: 3+3=?\nA: "
    assert [len(r["prompt"]) > 512 for r in data.long_winded(ROWS)[:5]] == [True, False, False, False, True]
    assert len(data.restyled(ROWS)) == 100


def test_demonstrations_shift_and_ids_become_places():
    task = Arithmetic(lowest=10, highest=19).build()
    given = task.demonstrations("train")
    moved = data.shifted(given)
    assert [d.completion for d in moved[:-1]] == [d.completion for d in given[1:]]
    assert [d.problem for d in moved] == [d.problem for d in given]
    fresh = Arithmetic(lowest=10, highest=19).build()
    data.numbered(fresh)
    assert fresh.problems("train")[0].id == "arithmetic-0"
    data.stopped(fresh)
    assert fresh.stops == ("\n", "=")
