"""The policy while it trains: its ratio to what sampled, its distance from a reference, its entropy."""

from __future__ import annotations

from trueloop.checks.base import Verdict, check, fail, passed, unknown, warn
from trueloop.checks.running.seen import FIRST, Seen, number

EXACT, ROUGH = 1e-3, 0.05
"""Of the most extreme token in float32; else of the mean, since the extreme of many rounded tokens grows with them."""

TIMES = {EXACT: 30, ROUGH: 10}
"""Times the limit at which one step is enough for a fail."""

SAME = 1e-5
FROZEN = 5
FURTHEST = 1.0


@check(
    "policy.ratio",
    when="during",
    question="On-policy, does the trainer give a token the probability that it was sampled with?",
    limit=f"in float32 every ratio within {EXACT:g} of 1; otherwise, and with dropout, a mean |log ratio| of at most "
    f"{ROUGH:g}; three steps beyond it, or one at {TIMES[EXACT]} (otherwise {TIMES[ROUGH]}) times it, are a fail",
)
def ratio(seen: Seen) -> Verdict:
    """The most extreme token where numbers are exact: means hide it, and stale weights show there first."""
    if not seen.setup.fresh:
        return unknown("rollouts may be older than the weights that they train, so ratios differ from 1")
    exact = seen.setup.exact
    gaps = [(_gap if exact else _drift)(seen, k) for k in range(1, 4)]
    if gaps[0] is None:
        return unknown("the step has no ratios")
    limit = EXACT if exact else ROUGH
    shown = f"the ratio of a token is {gaps[0]:.3g} away from 1" if exact else f"the mean |log ratio| is {gaps[0]:.3g}"
    advice = (
        "trainer and sampler have come apart: look at the weight transfer (sync, adapter), at draw.temperature and "
        "top_k/top_p, at rollouts that are used twice, and at the engine's precision"
    )
    beyond = sum(gap is not None and gap > limit for gap in gaps)
    if gaps[0] > TIMES[limit] * limit or (gaps[0] > limit and beyond == 3):
        return fail(shown, advice, value=gaps[0], limit=limit)
    if gaps[0] > limit:
        return warn(shown, advice, value=gaps[0], limit=limit)
    return passed(shown, value=gaps[0], limit=limit)


def _gap(seen: Seen, back: int) -> float | None:
    """Largest distance of a ratio from 1, either way, in the row so many from the end."""
    if len(seen.rows) < back:
        return None
    row = seen.rows[-back]
    found = [x for key in row if "/ratio" in key and (x := number(row[key])) is not None]
    return max((max(x, 1 / x if x > 0 else float("inf")) - 1 for x in found), default=None)


def _drift(seen: Seen, back: int) -> float | None:
    """Largest mean |log ratio| of a stream in the row so many from the end."""
    row = seen.rows[-back] if len(seen.rows) >= back else {}
    return max((x for key in row if key.endswith("/drift") and (x := number(row[key])) is not None), default=None)


@check(
    "policy.kl",
    when="during",
    question="Does the policy stay near its reference?",
    limit=f"a mean KL of at most {FURTHEST:g} nat a token, and of 20 times its running median",
)
def kl(seen: Seen) -> Verdict:
    """Every stream's mean estimate of the divergence."""
    keys = seen.named("/kl")
    if not keys:
        return unknown("no KL is computed", "set kl to have it")
    key = max(keys, key=lambda k: abs(number(seen.row[k]) or 0.0))
    now, usual = seen.now(key) or 0.0, seen.usual(key)
    advice = "lower optim.lr or raise kl.coefficient; a KL that is large at once has another reference or temperature"
    if abs(now) > FURTHEST:
        return fail(f"{key} is {now:.3g} nat a token", advice, value=now, limit=FURTHEST)
    if usual and now > 0.1 and now > 20 * abs(usual):
        return warn(f"{key} is {now:.3g}, {now / usual:.3g} times its median", advice, value=now, limit=20 * usual)
    return passed(f"{key} is {now:.3g} nat a token", value=now, limit=FURTHEST)


@check(
    "policy.reference_fixed",
    when="during",
    question="Is the reference the same as before, unless it was to be renewed?",
    limit=f"its mean log-probability of a fixed row within {SAME:g} of the one before; kl.refresh_every excepted",
)
def reference_fixed(seen: Seen) -> Verdict:
    """A reference that follows the policy holds nothing back, and its KL looks small and well."""
    found = [(row["step"], x) for row in seen.rows if (x := number(row.get("reference/logprob"))) is not None]
    if len(found) < 2:
        return unknown("no reference that was looked at twice")
    (before, was), (after, now) = found[-2:]
    every = seen.setup.refresh_every
    shown = f"the reference gives a fixed row {now:.6g} nats a token, {was:.6g} at step {before}"
    if abs(now - was) <= SAME:
        return passed(shown, value=now - was, limit=SAME)
    if every and (after - 1) // every > (before - 1) // every:
        return passed(f"{shown}, and was renewed between them", value=now - was)
    return fail(
        shown,
        "the reference shares weights with the policy or is renewed unasked: look at what it copies, and when",
        value=now - was,
        limit=SAME,
    )


@check(
    "policy.clip_share",
    when="during",
    question="Are most tokens within the clipping bounds?",
    limit="30 % of the tokens clipped is a warn, 80 % in three steps in a row a fail; on-policy none is",
)
def clip_share(seen: Seen) -> Verdict:
    """Both sides together; a capped ratio counts."""
    keys = [*seen.named("/clipped/above"), *seen.named("/clipped/below"), *seen.named("/capped")]
    if not keys:
        return unknown("no stream clips")
    recent = [sum(number(row.get(k)) or 0.0 for k in keys) for row in list(seen.rows)[-3:]]
    now = recent[-1]
    shown = f"{now:.1%} of the tokens were clipped and give no gradient"
    advice = "lower optim.lr, flow.max_staleness or flow.sync_every; compare trainer and sampler log-probabilities"
    if len(recent) == 3 and min(recent) > 0.8:
        return fail(shown, advice, value=now, limit=0.8)
    if now > 0.3:
        return warn(shown, advice, value=now, limit=0.3)
    return passed(shown, value=now, limit=0.3)


@check(
    "policy.entropy",
    when="during",
    question="Does the policy keep the uncertainty that it explores with?",
    limit="the mean negative log-probability of a sampled token above a tenth of its start (a fiftieth is a fail where "
    "the reward did not hold), and not 1 nat above it (2 are a fail), in two steps in a row",
)
def entropy(seen: Seen) -> Verdict:
    """On what the policy sampled this estimates its entropy; given rows are not asked."""
    keys = [k for k in seen.named("/nll") if k.removesuffix("nll") + "ratio" in seen.row]
    began = seen.began(keys[0]) if keys else None
    last = seen.last(keys[0], 2) if keys else None
    if began is None or last is None:
        return unknown(f"no {FIRST + 1} steps on sampled tokens yet")
    low, high = min(last), max(last)
    shown = f"{keys[0]} is {last[-1]:.3g} nat, it began at {began:.3g}"
    collapsed = "lower optim.lr, add an entropy bonus (entropy) or kl; look at length/distinct and at the rollouts"
    blown = "lower optim.lr; look at the rollouts and at whether the sampler has the trainer's weights"
    value = {"now": last[-1], "began": began}
    if (high < began / 50 and not seen.reward_held()) or low > began + 2:
        return fail(shown, collapsed if high < began else blown, value=value)
    if high < began / 10 or low > began + 1:
        return warn(shown, collapsed if high < began else blown, value=value)
    return passed(shown, value=value)


@check(
    "policy.loss",
    when="during",
    question="Does the loss on given rows fall, or at least not rise?",
    limit="its mean over four steps not 0.5 nat and half above the best four before (1 nat and twice it is a fail)",
)
def loss(seen: Seen) -> Verdict:
    """The mean negative log-probability of demonstrations, or the divergence from a teacher."""
    keys = [k for k in seen.named("/nll") if k.removesuffix("nll") + "ratio" not in seen.row]
    keys += seen.named("/divergence")
    values = [*seen.before(keys[0]), seen.now(keys[0]) or 0.0] if keys else []
    if len(values) < FIRST:
        return unknown(f"fewer than {FIRST} steps on given targets")
    now = sum(values[-4:]) / 4
    best = min(sum(values[k : k + 4]) / 4 for k in range(len(values) - 4))
    shown = f"{keys[0]} is {now:.3g} over four steps, its best four were {best:.3g}"
    advice = "lower optim.lr or set optim.max_grad_norm; look at the order of the data and at the latest rows"
    if now > 2 * best and now > best + 1 and min(values[-4:]) > best + 0.5:
        return fail(shown, advice, value=now, limit=best + 1)
    if now > 1.5 * best and now > best + 0.5:
        return warn(shown, advice, value=now, limit=best + 0.5)
    return passed(shown, value=now, limit=best + 0.5)


@check(
    "policy.metric_frozen",
    when="during",
    question="Do the measures of the policy change from step to step?",
    limit=f"none has the very same value in {FROZEN} steps in a row with a gradient: it would not be computed",
)
def metric_frozen(seen: Seen) -> Verdict:
    """Entropy, KL, likelihood, divergence, gradient norm and length: none of them stands still in training."""
    rows = list(seen.rows)[-FROZEN:]
    if len(rows) < FROZEN or any(not number(row.get("grad_norm")) for row in rows):
        return unknown(f"no {FROZEN} steps in a row with a gradient")
    keys = [k for end in ("/entropy", "/nll", "/kl", "/divergence") for k in seen.named(end)] + ["grad_norm"]
    frozen = [k for k in keys if len({number(row.get(k)) for row in rows}) == 1 and k in seen.row]
    if frozen:
        values = ", ".join(f"{k} = {seen.row[k]}" for k in frozen)
        return fail(
            f"the same value in {FROZEN} steps in a row: {values}",
            "the measure is not computed, or the weights that it is computed from do not move",
            value=frozen,
        )
    return passed(f"{len(keys)} measures change from step to step")
