import json
import time
from dataclasses import replace

import duckdb
import pytest

from trueloop.errors import DataError, StoreError
from trueloop.store.trace import SCHEMA, Trace, read_rollouts, rows_from_group


@pytest.fixture
def rows(make_group):
    """`rows(step)`: a used group and a filtered one."""

    def make(step):
        used = rows_from_group(make_group(step), step=step, fate="used", prompt_text=f"<user> {step} + 1?", index=0)
        other = make_group(step + 100, epoch=2, advantages=None)
        return [*used, *rows_from_group(other, step=step, fate="filtered:all right", prompt_text="<user> other")]

    return make


def test_every_field_of_a_rollout_comes_back(tmp_path, make_group):
    group = make_group(3, epoch=4)
    Trace(tmp_path, 10**9).write(7, rows_from_group(group, step=7, fate="used", prompt_text="p", index=5))
    first, second = read_rollouts(tmp_path)
    rollout = group.rollouts[1]
    assert second == {
        "step": 7,
        "id": rollout.id,
        "problem_id": group.problem.id,
        "task": "sums",
        "epoch": 4,
        "group_index": 5,
        "sample_index": 1,
        "fate": "used",
        "read": 1,
        "version": 3,
        "source": "policy",
        "finish": "stop",
        "stop": "</s>",
        "status": "scored",
        "reward": 1.0,
        "passed": True,
        "advantage": -0.5,
        "answer": "4",
        "why": "equal",
        "parts": {"strict": 1.0},
        "audit": {"exploited": 0.25},
        "probes": [["belief", 3, 4, 0.75]],
        "prompt_length": 3,
        "completion_length": 5,
        "prompt": "p",
        "text": "naïve 4",
        "kept": "all",
        "tokens": list(rollout.tokens),
        "loss_mask": list(rollout.loss_mask),
        "logprobs": list(rollout.logprobs),
        "policy_logprobs": list(rollout.policy_logprobs),
    }
    assert group.rollouts[0].policy_logprobs == group.rollouts[0].logprobs
    assert first["policy_logprobs"] is None, "equal to logprobs"


def test_what_was_not_computed_is_null(tmp_path, make_group):
    group = make_group(1, advantages=None)
    rollout = group.rollouts[0]
    bare = replace(rollout, score=None, probes=())
    rows = rows_from_group(type(group)(problem=group.problem, rollouts=(bare,)), step=1, fate="stale", prompt_text="p")
    Trace(tmp_path, 10**9).write(1, rows)
    row = next(read_rollouts(tmp_path))
    unknown = ("reward", "passed", "status", "advantage", "group_index", "parts", "audit", "answer")
    assert {name: row[name] for name in unknown} == dict.fromkeys(unknown)
    assert row["probes"] == []


def test_epoch_and_number_are_the_rollouts_own_whatever_its_id_looks_like(tmp_path, make_group):
    group = make_group(1)
    mine = replace(group.rollouts[0], id=f"{group.problem.id}/8/9", epoch=3, index=4)
    rows = rows_from_group(
        type(group)(problem=group.problem, rollouts=(mine,)), step=1, fate="used", prompt_text="p", read=2
    )
    Trace(tmp_path, 10**9).write(1, rows)
    (row,) = read_rollouts(tmp_path)
    assert (row["epoch"], row["sample_index"], row["read"]) == (3, 4, 2)


def test_columns_and_steps_can_be_chosen(tmp_path, rows):
    trace = Trace(tmp_path, 10**9)
    for step in (10, 999_999, 1_000_000):
        trace.write(step, rows(step))
    assert [r["step"] for r in read_rollouts(tmp_path, ["step"])] == [10] * 4 + [999_999] * 4 + [1_000_000] * 4
    found = list(read_rollouts(tmp_path, ["fate", "parts"], steps={999_999}))
    assert found == [{"fate": f, "parts": {"strict": 1.0}} for f in ["used"] * 2 + ["filtered:all right"] * 2]
    with pytest.raises(StoreError, match="no column 'prize'; columns: step, id"):
        list(read_rollouts(tmp_path, ["prize"]))


def test_duckdb_reads_every_column(tmp_path, rows):
    trace = Trace(tmp_path, 10**9)
    for step in (1, 2):
        trace.write(step, rows(step))
    source = f"'{tmp_path}/rollouts/*.parquet'"
    fates = duckdb.sql(f"select fate, count(*) from {source} group by fate order by fate").fetchall()
    assert fates == [("filtered:all right", 4), ("used", 4)]
    query = f"select sum(len(tokens)), avg(json_extract(audit, '$.exploited')::double), min(logprobs[4]) from {source}"
    ((length, exploited, low),) = duckdb.sql(query).fetchall()
    everything = list(read_rollouts(tmp_path))
    assert (length, exploited) == (64, 0.25)
    assert low == min(r["logprobs"][3] for r in everything)
    assert duckdb.sql(f"select * from {source}").columns == SCHEMA.names


def test_equal_rows_give_equal_bytes(tmp_path, rows):
    for name in "ab":
        Trace(tmp_path / name, 10**9).write(1, rows(1))
    part = "rollouts/step-000001.parquet"
    assert (tmp_path / "a" / part).read_bytes() == (tmp_path / "b" / part).read_bytes()


def test_the_budget_drops_tokens_first_then_text_and_says_so(tmp_path, rows):
    trace = Trace(tmp_path, 10**9)
    trace.write(1, rows(1))
    part = trace.bytes
    trace = Trace(tmp_path, 2 * part)
    assert trace.bytes == part, "what is there counts"
    for step in (2, 3, 4, 5):
        trace.write(step, rows(step))
    kept = {row["step"]: row["kept"] for row in read_rollouts(tmp_path)}
    assert [kept[s] for s in (1, 2)] == ["all", "all"]
    assert kept[5] == "numbers"
    by_step = {row["step"]: row for row in read_rollouts(tmp_path)}
    assert by_step[2]["tokens"] is not None
    assert [by_step[5][name] for name in ("tokens", "logprobs", "text", "prompt", "why")] == [None] * 5
    assert (by_step[5]["reward"], by_step[5]["fate"]) == (1.0, "filtered:all right")
    trace = Trace(tmp_path, int(1.2 * trace.bytes))
    trace.write(6, rows(6))
    last = list(read_rollouts(tmp_path))[-1]
    assert (last["kept"], last["tokens"], last["logprobs"], last["text"]) == ("text", None, None, "naïve 107")
    on_disk = sum(p.stat().st_size for p in (tmp_path / "rollouts").iterdir())
    assert trace.bytes == on_disk


def test_rewind_gives_the_budget_back(tmp_path, rows):
    trace = Trace(tmp_path, 10**9)
    trace.write(1, rows(1))
    before = trace.bytes
    trace.write(2, rows(2))
    trace.rewind(1)
    assert trace.bytes == before
    assert [p.name for p in (tmp_path / "rollouts").iterdir()] == ["step-000001.parquet"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rewrad": 1.0}, r"a row is unknown \['rewrad'\]"),
        ({"fate": None}, r"a row is missing \['fate'\]"),
        ({"step": 2}, "a row is of step 2"),
    ],
)
def test_a_row_that_does_not_fit_is_refused(tmp_path, rows, change, message):
    with pytest.raises(DataError, match=f"rollouts of step 1: {message}"):
        Trace(tmp_path, 10**9).write(1, [rows(1)[0] | change])
    assert list(read_rollouts(tmp_path)) == []


def test_text_that_is_not_utf8_is_kept_as_far_as_it_is(tmp_path, rows):
    Trace(tmp_path, 10**9).write(1, [rows(1)[0] | {"why": "exit \udc80", "parts": {"\udc80": 1.0}}])
    row = next(read_rollouts(tmp_path))
    assert (row["why"], row["parts"]) == ("exit ?", {"\udc80": 1.0})


def test_a_damaged_part_is_named(tmp_path, rows):
    Trace(tmp_path, 10**9).write(1, rows(1))
    (tmp_path / "rollouts" / "step-000001.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(StoreError, match=r"step-000001\.parquet: not a readable Parquet file"):
        list(read_rollouts(tmp_path))


def test_a_full_disk_leaves_the_other_parts(small_disk, rows):
    disk = small_disk("96k")
    trace = Trace(disk, 10**9)
    with pytest.raises(StoreError, match=r"cannot write the rollouts of step \d+: the disk is full"):
        for step in range(100):
            trace.write(step, [row | {"text": str(hash((step, i))) * 40} for i, row in enumerate(rows(step))])
    parts = sorted(p.name for p in (disk / "rollouts").iterdir())
    assert len(parts) >= 2
    assert parts == [f"step-{i:06d}.parquet" for i in range(len(parts))]
    assert len(list(read_rollouts(disk))) == 4 * len(parts)


def test_a_large_step_takes_at_most_seven_bytes_a_token_and_is_quick(tmp_path, make_group):
    groups = [make_group(i, tokens=400) for i in range(64)]
    rows = [row for g in groups for row in rows_from_group(g, step=1, fate="used", prompt_text="p" * 400)]
    trace = Trace(tmp_path, 10**9)
    start = time.monotonic()
    trace.write(1, rows)
    assert time.monotonic() - start < 5
    assert trace.bytes / (128 * 400) < 7
    assert json.dumps(next(read_rollouts(tmp_path))["probes"]) == '[["belief", 3, 4, 0.75]]'
