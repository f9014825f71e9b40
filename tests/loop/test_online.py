"""Schedules over a fake engine: nothing starves, nothing is lost or used too often, the accounts add up."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from online_toys import PROBLEMS, drive, give_zero, grade, make, no_streams, used
from trueloop.engines.fake import Plan
from trueloop.errors import ConfigError, DataError, EngineError
from trueloop.loop.feed import Fill
from trueloop.loop.flow import Adaptive, Fixed, Flow, check_flow
from trueloop.loop.online import Seams
from trueloop.records import Group, Probe, Problem, Request, Rollout, Score, derive_seed
from trueloop.train.batch import Stream
from trueloop.train.interventions import Chain

flows = st.builds(
    Flow,
    problems_per_step=st.integers(1, 6),
    samples=st.one_of(
        st.builds(Fixed, n=st.integers(1, 4)),
        st.builds(
            Adaptive,
            successes=st.integers(0, 2),
            failures=st.integers(0, 2),
            chunk=st.integers(1, 3),
            max_samples=st.integers(1, 8),
        ),
    ),
    max_staleness=st.integers(0, 3),
    sync_every=st.integers(1, 4),
    max_reads=st.integers(1, 3),
    max_attempts=st.just(8),
    drop_zero_variance=st.booleans(),
)


def rough_plan(seed: int) -> Any:
    """Latencies, lost completions and failing calls, from the request's id."""
    calls: Counter[str] = Counter()

    def plan(request: Request) -> Plan:
        calls[request.id] += 1
        dice = random.Random(derive_seed(seed, request.id, calls[request.id]))
        outcome = dice.choices(("finish", "error", "fail"), (0.95, 0.03, 0.02))[0]
        return Plan(seconds=dice.choice((0.0, 0.0, 0.001)), outcome=outcome)

    return plan


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(flow=flows, seed=st.integers(0, 1000))
def test_no_schedule_that_passes_the_check_starves(flow: Flow, seed: int) -> None:
    try:
        check_flow(flow)
    except ConfigError:
        assume(False)
    online = make(flow, plan=rough_plan(seed), seed=seed)
    fills = asyncio.run(drive(online, 8))

    assert len(fills) == 8
    assert all(f.metrics["flow/lag_max"] <= flow.max_staleness for f in fills)
    uses = Counter(name for f in fills for name in used(f))
    assert max(uses.values()) <= flow.max_reads
    ledger = online.ledger
    closed = sum(ledger.count(fate) for fate in ("used", "filtered", "stale", "failed", "open"))
    assert ledger.issued == closed
    assert ledger.count("used") == len(uses)
    assert sum(uses.values()) == ledger.uses == 8 * flow.problems_per_step


@pytest.mark.parametrize("staleness", [0, 2])
def test_an_epoch_uses_every_problem_once_and_ends_with_a_smaller_step(staleness: int) -> None:
    online = make(Flow(problems_per_step=5, samples=Fixed(n=2), max_staleness=staleness), epochs=1)
    fills = asyncio.run(drive(online, 100))
    sizes = [len(used(f)) for f in fills]
    assert sum(sizes) == 23
    assert sizes[-1] == 3
    assert {name.split("/")[0] for f in fills for name in used(f)} == {p.id for p in PROBLEMS}


def test_a_synchronous_run_does_not_depend_on_timing() -> None:
    flow = Flow(problems_per_step=4, samples=Adaptive(successes=1, failures=1, chunk=2, max_samples=6))
    slow = lambda request: Plan(seconds=random.random() / 500)  # noqa: E731
    quick, rough = (asyncio.run(drive(make(flow, plan=p), 4)) for p in (None, slow))
    assert [f.rows for f in quick] == [f.rows for f in rough]


@pytest.mark.parametrize("staleness", [0, 2])
def test_restored_feed_loses_no_problem_and_uses_none_twice(staleness: int) -> None:
    flow = Flow(problems_per_step=4, samples=Fixed(n=2), max_staleness=staleness)

    async def interrupted() -> tuple[list[Fill], Any]:
        online = make(flow, epochs=1, plan=lambda r: Plan(seconds=0.001))
        fills = []
        for step in (1, 2, 3):
            fill = await online.next(step)
            assert fill is not None
            fills.append(fill)
        state = online.state()
        await online.close()
        return fills, state

    before, state = asyncio.run(interrupted())
    resumed = make(flow, epochs=1)
    resumed.restore(state)
    after = asyncio.run(drive(resumed, 100))
    counts = Counter(name for f in [*before, *after] for name in used(f))
    assert len(counts) == 23
    assert set(counts.values()) == {1}


def test_restored_synchronous_feed_repeats_the_same_steps() -> None:
    flow = Flow(problems_per_step=3, samples=Fixed(n=2), drop_zero_variance=True)
    whole = asyncio.run(drive(make(flow), 6))
    first = make(flow)
    asyncio.run(drive(first, 2))
    second = make(flow)
    second.restore(first.state())

    async def rest() -> list[Fill | None]:
        return [await second.next(step) for step in (3, 4, 5, 6)]

    assert [f.rows for f in asyncio.run(rest()) if f] == [[row | {"version": 0} for row in f.rows] for f in whole[2:]]


def test_zero_variance_groups_are_replaced_counted_and_kept_in_the_trace() -> None:
    flow = Flow(problems_per_step=4, samples=Fixed(n=2), drop_zero_variance=True)
    online = make(flow)
    fill = asyncio.run(drive(online, 1))[0]
    assert len(used(fill)) == 4
    filtered = {r["problem_id"] for r in fill.rows if r["fate"] == "filtered:zero_variance"}
    assert (
        len(filtered) == online.ledger.count("filtered", reason="zero_variance") == fill.metrics["groups/filtered"] > 0
    )
    for problem in {r["problem_id"] for r in fill.rows if r["fate"] == "used"}:
        assert len({r["reward"] for r in fill.rows if r["problem_id"] == problem}) == 2


def test_a_reward_that_is_always_the_same_stops_the_run_with_advice() -> None:
    flow = Flow(problems_per_step=2, samples=Fixed(n=2), drop_zero_variance=True, max_filtered=3)
    with pytest.raises(DataError, match=r"6 groups in a row were filtered \(the last one: zero_variance\)"):
        asyncio.run(drive(make(flow, answer=lambda r, p: "no"), 1))


@pytest.mark.parametrize("staleness", [0, 1])
def test_an_engine_that_fails_for_good_ends_the_run_after_bounded_attempts(staleness: int) -> None:
    flow = Flow(problems_per_step=2, samples=Fixed(n=2), max_attempts=3, max_staleness=staleness)
    online = make(flow, plan=lambda r: Plan(outcome="fail"))
    with pytest.raises(EngineError, match="were lost after 3 attempts"):
        asyncio.run(drive(online, 1))
    assert len({r.id for r in online.producer.engine.requests}) <= 2 * flow.capacity + 4  # type: ignore[attr-defined]


def test_a_lost_completion_is_tried_again_with_the_same_seed() -> None:
    lost: set[str] = set()

    def plan(request: Request) -> Plan:
        first = request.id not in lost
        lost.add(request.id)
        return Plan(outcome="error" if first and request.id.endswith("/1") else "finish")

    online = make(Flow(problems_per_step=3, samples=Fixed(n=2)), plan=plan)
    fill = asyncio.run(drive(online, 1))[0]
    clean = asyncio.run(drive(make(Flow(problems_per_step=3, samples=Fixed(n=2))), 1))[0]
    assert online.ledger.count("failed") == 3
    by_id = {r["id"]: r["text"] for r in fill.rows if r["fate"] == "used"}
    assert by_id == {r["id"]: r["text"] for r in clean.rows}


async def breaks_on_two(problem: Problem, text: str, step: int) -> Score:
    return Score(status="error", why="Traceback: boom") if problem.tags["k"] in (3, 7) else grade(problem, text)


@pytest.mark.parametrize("staleness", [0, 2])
def test_a_row_that_breaks_the_verifier_is_sampled_once_and_kept_with_its_traceback(staleness: int) -> None:
    online = make(Flow(problems_per_step=5, samples=Fixed(n=2), max_staleness=staleness), epochs=1)
    online.producer.grade = breaks_on_two
    fills = asyncio.run(drive(online, 100))
    assert sum(len(used(f)) for f in fills) == 21
    assert online.ledger.reasons("filtered") == {"verifier_error": 2} and online.ledger.count("failed") == 0
    broken = tuple(PROBLEMS[k].id for k in (3, 7))
    asked = [r.id for r in online.producer.engine.requests if r.id.startswith(broken)]  # type: ignore[attr-defined]
    assert len(asked) == len(set(asked)) == 4
    kept = [row for f in fills for row in f.rows if row["fate"] == "filtered:verifier_error"]
    assert len(kept) == 4
    assert {(row["why"], row["reward"]) for row in kept} == {("Traceback: boom", None)}


def test_each_use_of_a_group_has_rows_that_say_which_use_it_is() -> None:
    flow = Flow(problems_per_step=3, samples=Fixed(n=2), max_staleness=2, max_reads=3)
    online = make(flow, epochs=1)
    fills = asyncio.run(drive(online, 30))
    reads: dict[str, list[int]] = {}
    for row in (row for f in fills for row in f.rows if row["fate"] == "used"):
        reads.setdefault(row["id"], []).append(row["read"])
    assert all(found == list(range(1, len(found) + 1)) for found in reads.values())
    assert sum(found.count(1) for found in reads.values()) == 2 * online.ledger.count("used") < 2 * online.ledger.uses


def test_stale_groups_are_given_back_and_come_again() -> None:
    flow = Flow(problems_per_step=2, samples=Fixed(n=1), max_staleness=1)
    online = make(flow)

    async def jump() -> Fill | None:
        await online.next(1)
        await asyncio.sleep(0.05)
        online.trainer.version = 5
        await online.producer.engine.load_weights({}, 5)
        fill = await online.next(2)
        await online.close()
        return fill

    fill = asyncio.run(jump())
    assert fill is not None
    stale = {r["problem_id"] for r in fill.rows if r["fate"] == "stale"}
    assert len(stale) == online.ledger.count("stale") > 0
    assert stale & {r["problem_id"] for r in fill.rows if r["fate"] == "used"}
    assert fill.metrics["flow/lag_max"] == 0


def test_adaptive_sampling_stops_at_enough_of_both_or_at_the_cap() -> None:
    flow = Flow(problems_per_step=8, samples=Adaptive(successes=1, failures=2, chunk=1, max_samples=7))
    fill = asyncio.run(drive(make(flow), 1))[0]
    groups: dict[str, list[bool]] = {}
    for row in fill.rows:
        groups.setdefault(row["problem_id"], []).append(row["passed"])
    for passed in groups.values():
        enough = sum(passed) >= 1 and len(passed) - sum(passed) >= 2
        assert enough or len(passed) == 7
        before = passed[:-1]
        assert not (sum(before) >= 1 and len(before) - sum(before) >= 2)


@pytest.mark.parametrize("credit", [lambda g: give_zero(g)[:2], lambda g: give_zero(g)[::-1], lambda g: g])
def test_a_credit_that_drops_moves_or_forgets_a_group_is_named(credit: Any) -> None:
    online = make(Flow(problems_per_step=3, samples=Fixed(n=1)))
    online.seams = Seams(credit=credit, streams=no_streams)
    with pytest.raises(DataError, match=r"credit returned [23] groups for 3, [03] of them without advantages"):
        asyncio.run(drive(online, 1))


class Peek:
    """Looks for the audit wherever groups are handed out."""

    def __init__(self) -> None:
        self.seen: dict[str, list[Any]] = {}

    def look(self, where: str, groups: Sequence[Group]) -> None:
        audits = [dict(r.score.audit) for g in groups for r in g.rollouts if r.score is not None]
        self.seen.setdefault(where, []).extend(audits)

    def credit(self, groups: Sequence[Group]) -> Sequence[Group]:
        self.look("intervention", groups)
        return groups

    def of_recipe(self, groups: Sequence[Group]) -> list[Group]:
        self.look("credit", groups)
        exploited = [[r.score.audit.get("exploited", 0.0) for r in g.rollouts if r.score] for g in groups]
        return [replace(g, advantages=tuple(x)) for g, x in zip(groups, exploited, strict=True)]

    def streams(self, groups: Sequence[Group], step: int) -> Sequence[Stream]:
        self.look("streams", groups)
        return []

    def unfit(self, group: Group, step: int) -> None:
        self.look("unfit", [group])

    async def annotate(self, engine: Any, groups: Sequence[Group]) -> Sequence[Group]:
        self.look("annotate", groups)
        return groups


def test_no_part_that_trains_is_shown_the_audit_and_the_trace_keeps_it() -> None:
    async def score(problem: Problem, text: str, step: int) -> Score:
        return replace(grade(problem, text), audit={"exploited": 1.0})

    online, peek = make(Flow(problems_per_step=3, samples=Fixed(n=2))), Peek()
    online.producer.grade, online.producer.annotate = score, peek.annotate
    online.seams = Seams(credit=peek.of_recipe, streams=peek.streams, unfit=peek.unfit)
    online.trainer.chain = Chain([peek])
    (fill,) = asyncio.run(drive(online, 1))
    assert peek.seen == dict.fromkeys(("annotate", "unfit", "credit", "intervention", "streams"), [{}] * 6)
    assert [(row["audit"], row["advantage"]) for row in fill.rows] == [({"exploited": 1.0}, 0.0)] * 6
    assert fill.metrics["audit/exploited"] == 1.0


@pytest.mark.parametrize("staleness", [0, 2])
def test_a_group_is_annotated_once_and_what_was_found_may_make_it_unfit(staleness: int) -> None:
    annotated: Counter[str] = Counter()

    async def annotate(engine: Any, groups: Sequence[Group]) -> list[Group]:
        annotated.update(f"{g.problem.id}/{g.rollouts[0].id.split('/')[1]}" for g in groups)
        return [replace(g, rollouts=tuple(_with_length(r) for r in g.rollouts)) for g in groups]

    def unfit(group: Group, step: int) -> str | None:
        return "two_digits" if any(p.value > 1 for r in group.rollouts for p in r.probes) else None

    reads = 2 if staleness else 1
    online = make(Flow(problems_per_step=4, samples=Fixed(n=2), max_staleness=staleness, max_reads=reads), epochs=1)
    online.producer.annotate = annotate
    online.seams = Seams(credit=give_zero, streams=no_streams, unfit=unfit)
    fills = asyncio.run(drive(online, 100))
    assert sum(annotated.values()) == online.ledger.issued and len(annotated) == 23
    uses = Counter(name for f in fills for name in used(f))
    assert max(uses.values()) == reads
    fates = {row["fate"] for f in fills for row in f.rows}
    assert fates - {"stale"} == {"used", "filtered:two_digits"}
    assert online.ledger.count("filtered", reason="two_digits") == 23 - len(uses) > 0
    assert all(len(row["text"]) == 1 for f in fills for row in f.rows if row["fate"] == "used")


def _with_length(rollout: Rollout) -> Rollout:
    start = rollout.loss_mask.index(True)
    return replace(rollout, probes=(Probe(name="length", start=start, stop=start + 1, value=float(len(rollout.text))),))
