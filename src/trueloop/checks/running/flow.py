"""How rollouts flow while it runs: what is lost, stale or filtered, how old it is, and whether the accounts hold."""

from __future__ import annotations

from trueloop.checks.base import Verdict, check, fail, listed, passed, unknown, warn
from trueloop.checks.limits import interval, share_is_low
from trueloop.checks.running.seen import FIRST, Row, Seen, number

SPAN = FIRST
"""Steps over which shares are taken."""


@check(
    "flow.version_lag",
    when="during",
    question="Are rollouts as young as was promised?",
    limit="none is older, in optimizer steps, than flow.max_staleness",
)
def version_lag(seen: Seen) -> Verdict:
    """From the versions in the rollouts themselves: the sampler's weights have to advance with the trainer's."""
    lags = [x for key in ("rollouts/lag", "flow/lag_max") if (x := seen.now(key)) is not None]
    if not lags:
        return unknown("nothing was sampled")
    most, limit = max(lags), float(seen.setup.max_staleness)
    shown = f"the oldest rollout was sampled {most:g} steps before the weights that it trained"
    if most > limit:
        advice = "the sampler does not follow the trainer, or groups are used again: look at the weight transfer"
        return fail(shown, advice, value=most, limit=limit)
    return passed(shown, value=most, limit=limit)


@check(
    "flow.trained",
    when="during",
    question="Does every rollout that was drawn for the step train in it?",
    limit="every used rollout is a sample of some stream, exactly; on two steps a fail",
)
def trained(seen: Seen) -> Verdict:
    """Rollouts by id: what credit or streams lose or put in their place shows at once."""
    last = seen.last("rollouts/untrained", 2)
    if last is None:
        return unknown("no two steps of rollouts yet")
    shown = f"{last[-1]:.1%} of the step's rollouts are in none of its streams"
    advice = "the recipe's streams or credit lose samples, or hand out those of another step"
    if min(last) > 0:
        return fail(shown, advice, value=last[-1], limit=0.0)
    if last[-1] > 0:
        return warn(shown, advice, value=last[-1], limit=0.0)
    return passed("every used rollout is trained on", value=0.0, limit=0.0)


@check(
    "flow.ledger",
    when="during",
    question="Do the accounts of what happened to every problem hold?",
    limit="the ledger counts a step's used groups more, no count falls, and a synchronous step leaves none open",
)
def ledger(seen: Seen) -> Verdict:
    """fates/* against the groups of the step, from one row to the next."""
    rows = list(seen.rows)
    if len(rows) < 2 or number(seen.row.get("fates/used")) is None:
        return unknown("nothing was sampled, or only one step")
    gained = {name: _gain(rows, name) for name in ("used", "filtered", "stale", "failed")}
    wrong = [f"{name} fell by {-n:g}" for name, n in gained.items() if n < 0]
    used = seen.now("rollouts/groups")
    if used is not None and gained["used"] != used:
        wrong.append(f"{used:g} groups were used first in this step, the ledger counts {gained['used']:g} more")
    if seen.setup.max_staleness == 0 and (left := seen.now("fates/open") or 0.0):
        wrong.append(f"{left:g} groups are open after a synchronous step")
    if wrong:
        return fail(
            "; ".join(wrong),
            "rollouts are counted twice or not at all: the feed's accounts cannot be trusted",
            value=wrong,
        )
    return passed("every group is counted once", value=gained)


def _gain(rows: list[Row], name: str) -> float:
    now, before = (number(row.get(f"fates/{name}")) or 0.0 for row in (rows[-1], rows[-2]))
    return now - before


def _span(seen: Seen, name: str) -> int:
    """How many more the ledger counts than `SPAN` steps ago."""
    rows = list(seen.rows)[-SPAN - 1 :]
    now = number(rows[-1].get(f"fates/{name}")) or 0.0
    before = (number(rows[0].get(f"fates/{name}")) or 0.0) if len(rows) > SPAN else 0.0
    return max(int(now - before), 0)


def _settled(seen: Seen) -> int:
    return sum(_span(seen, name) for name in ("used", "filtered", "stale", "failed"))


@check(
    "flow.buffer",
    when="during",
    question="Is what waits bounded?",
    limit="no more open groups than flow.problems_per_step x (flow.max_staleness + 1)",
)
def buffer(seen: Seen) -> Verdict:
    """Groups in flight, buffered or held."""
    now, limit = seen.now("fates/open"), float(seen.setup.capacity)
    if now is None:
        return unknown("nothing was sampled")
    if now > limit:
        return fail(
            f"{now:g} groups are open, at most {limit:g} may be",
            "the sampler outruns the trainer without a bound: groups grow old before they are used",
            value=now,
            limit=limit,
        )
    return passed(f"{now:g} groups are open", value=now, limit=limit)


@check(
    "flow.failed",
    when="during",
    question="Do generations come back?",
    limit="of the attempts of eight steps, an interval above 2 % failed is a warn, above 30 % a fail",
)
def failed(seen: Seen) -> Verdict:
    """Attempts that ended without completions; they are tried again, so nothing else shows them."""
    if number(seen.row.get("fates/used")) is None:
        return unknown("nothing was sampled")
    return share_is_low(
        _span(seen, "failed"),
        _settled(seen),
        what="attempts that failed",
        advice="look at the reasons in the trace (fate = failed) and at the engine",
        fail_above=0.3,
        warn_above=0.02,
    )


@check(
    "flow.lost",
    when="during",
    question="Is every problem answered in the end?",
    limit="no problem given up after flow.max_attempts; more than a tenth of a step is a fail",
)
def lost(seen: Seen) -> Verdict:
    """Problems that failed in all their attempts."""
    now, used = seen.now("flow/lost"), seen.now("groups/used")
    if now is None or not used:
        return unknown("nothing was sampled")
    shown = f"{now:g} problems were given up in the step, which used {used:g}"
    if now > 0.1 * used and sum(seen.last("flow/lost", 2) or [now]) > 0.2 * used:
        return fail(shown, "look at the reasons in the trace (fate = failed) and at the engine", value=now, limit=0.1)
    if now:
        return warn(shown, "look at the reasons in the trace (fate = failed) and at the engine", value=now, limit=0.0)
    return passed(shown, value=now, limit=0.0)


@check(
    "flow.stale",
    when="during",
    question="Is what is sampled also used?",
    limit="of the groups of eight steps, an interval above 20 % too old is a warn, above 60 % a fail",
)
def stale(seen: Seen) -> Verdict:
    """Groups that were too old when their turn came."""
    if number(seen.row.get("fates/used")) is None or not seen.setup.max_staleness:
        return unknown("a synchronous run has no stale groups")
    return share_is_low(
        _span(seen, "stale"),
        _settled(seen),
        what="groups that were too old to use",
        advice="raise flow.max_staleness, lower flow.sync_every, or ask for fewer problems ahead",
        fail_above=0.6,
        warn_above=0.2,
    )


@check(
    "flow.filtered",
    when="during",
    question="Are groups used rather than filtered?",
    limit="of the groups of eight steps, an interval above 80 % filtered is a warn; above 10 % for another reason than "
    "equal rewards a warn, above 50 % a fail",
)
def filtered(seen: Seen) -> Verdict:
    """By reason: lengths, verifier errors and the like lose problems, equal rewards lose time."""
    if number(seen.row.get("fates/used")) is None:
        return unknown("nothing was sampled")
    total, settled = _span(seen, "filtered"), _settled(seen)
    flat = int(sum(number(r.get("filtered/zero_variance")) or 0.0 for r in list(seen.rows)[-SPAN:]))
    reasons = sorted({k.removeprefix("filtered/") for r in list(seen.rows)[-SPAN:] for k in r if k[:9] == "filtered/"})
    verdict = share_is_low(
        max(total - flat, 0),
        settled - min(flat, total),
        what=f"groups filtered for another reason than equal rewards ({listed(reasons) or 'before they were sampled'})",
        advice="count them by reason in the trace; flow.max_prompt_tokens and max_completion_tokens, or the verifier",
        fail_above=0.5,
        warn_above=0.1,
    )
    if verdict.status in ("fail", "warn") or not total or interval(total, settled)[0] <= 0.8:
        return verdict
    return warn(
        f"{total} of {settled} groups were filtered",
        "most of what is sampled is thrown away: choose problems of middling difficulty",
        value=total / settled,
        limit=0.8,
    )


@check(
    "flow.verdicts",
    when="during",
    question="Does the verifier answer?",
    limit="of the verdicts of eight steps, an interval above 0.5 % without one (it raised, hung or could not score) is "
    "a warn, above 5 % a fail",
)
def verdicts(seen: Seen) -> Verdict:
    """Errors and rows that cannot be scored, from the rollouts of the step."""
    rows = [r for r in list(seen.rows)[-SPAN:] if number(r.get("rollouts/scored")) is not None]
    if not rows:
        return unknown("nothing was scored")
    without = int(sum(number(r.get("rollouts/without_verdict")) or 0.0 for r in rows))
    n = int(sum(number(r.get("rollouts/scored")) or 0.0 for r in rows)) + without
    return share_is_low(
        without,
        n,
        what="completions without a verdict",
        advice="the traceback is in the trace (why); mend the verifier or its data",
        fail_above=0.05,
        warn_above=0.005,
    )
