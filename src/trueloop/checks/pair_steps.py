"""What a preference run does at step 0 and in its first step: margins, reference, the sign, and what moves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from trueloop.checks.base import Verdict, check, fail, listed, passed, unknown, warn
from trueloop.checks.limits import interval

CLOSE = 1e-3
"""Nats that two ways to compute one float32 log-probability may differ by."""

LEAST_WEIGHT = 0.05
"""Of the labelled objective under a logistic loss: it divides the logit, so that below this losses grow twentyfold."""


@check(
    "margins.match_objectives",
    when="before",
    question="Are the margins what the declared objectives say of the texts, in their direction and unit?",
    limit="fail: most have the other sign, or a slope on the declared value below 0.5 or above 2; warn: any value is "
    "off by more than 0.1 % (a number kept in too few bits)",
)
def match_objectives(name: str, given: Sequence[float], declared: Sequence[float]) -> Verdict:
    """The margins of one objective, and what its declaration makes of the same texts."""
    scale = math.fsum(d * d for d in declared)
    if not scale:
        return unknown(f"{name}: its value is the same for both answers of all {len(declared)} pairs")
    slope = math.fsum(g * d for g, d in zip(given, declared, strict=True)) / scale
    turned = sum(g * d < 0 for g, d in zip(given, declared, strict=True))
    off = [abs(g - d) > 1e-3 * max(abs(d), 1e-6) for g, d in zip(given, declared, strict=True)]
    value = {"objective": name, "slope": slope, "turned": turned, "off": sum(off), "of": len(declared)}
    shown = f"{name}: margins are {slope:.3g} times what is declared, {turned} of {len(declared)} have the other sign"
    if slope < 0:
        return fail(shown, "say maximize or minimize, and let the code derive the sign", value=value)
    if not 0.5 <= slope <= 2:
        return fail(shown, "give margins in log-odds: look at the objective's unit", value=value)
    if any(off):
        return warn(f"{shown}; {sum(off)} differ by more than rounding", "keep measures in float32", value=value)
    return passed(shown, value=value)


@check(
    "margins.scale",
    when="before",
    question="Are the margins of the size of the labels' log-odds?",
    limit="fail: the weighted margins' standard deviation is beyond 6 log-odds (they swamp any label), or below 0.001 "
    "(they do nothing); warn: beyond 3, where half of the pairs have no gradient",
)
def scale(name: str, deviation: float, weight: float) -> Verdict:
    """Standard deviation of w_m margin / w_0 over the pairs."""
    value = {"objective": name, "deviation": deviation, "weight": weight}
    shown = f"{name}: weighted margins have a standard deviation of {deviation:.3g} log-odds"
    advice = "standardise the objective, or state its unit in log-odds"
    if weight == 0:
        return unknown(f"{name}: its weight is 0", value=value)
    if deviation > 6:
        return fail(f"{shown}: they swamp the labels", advice, value=value)
    if deviation < 1e-3:
        return fail(f"{shown}: they do nothing", advice, value=value)
    return warn(shown, advice, value=value) if deviation > 3 else passed(shown, value=value)


@check(
    "margins.effective_pairs",
    when="before",
    question="Do most pairs have a say in the first step?",
    limit="fail: the effective share of sigma(-z), (sum p)^2 / (n sum p^2), is below 0.6; warn: below 0.8",
)
def effective_pairs(pushes: Sequence[float], weight: float) -> Verdict:
    """How hard each pair is pushed at step 0; `weight` is that of the labelled objective."""
    if len(pushes) < 8:
        return unknown(f"{len(pushes)} pairs are too few to say")
    square = math.fsum(p * p for p in pushes)
    share = math.fsum(pushes) ** 2 / (len(pushes) * square) if square else 0.0
    shown = f"{share:.0%} of {len(pushes)} pairs are effective at step 0, with w[0] = {weight:g}"
    advice = "raise w[0], standardise the margins, or use the regression loss, which has no saturation"
    if share < 0.6:
        return fail(shown, advice, value=share, limit=0.6)
    return warn(shown, advice, value=share) if share < 0.8 else passed(shown, value=share)


@check(
    "margins.weights",
    when="before",
    question="Are the objectives' weights and beta ones that the loss is defined at?",
    limit=f"fail: w[0] below {LEAST_WEIGHT} under a logistic loss, a weight that is negative or not finite, beta not "
    "above 0",
)
def weights(w: Sequence[float], beta: float) -> Verdict:
    """w[0] is the labelled objective's."""
    value = {"w": list(w), "beta": beta}
    wrong = [x for x in (*w, beta) if not math.isfinite(x)]
    if wrong or beta <= 0:
        return fail(f"w = {list(w)}, beta = {beta:g}", "beta is above 0, and all are finite", value=value)
    if min(w) < 0:
        return fail(
            f"w = {list(w)}: a negative weight turns an objective round",
            "declare the objective's direction (minimize) instead",
            value=value,
        )
    if w[0] < LEAST_WEIGHT:
        return fail(
            f"w[0] = {w[0]:g} divides the logit: losses and gradients are {1 / max(w[0], 1e-9):.3g} times as large",
            f"raise it to {LEAST_WEIGHT} at least, or use the regression loss",
            value=value,
        )
    return passed(f"w = {list(w)}, beta = {beta:g}", value=value)


@check(
    "margins.hard_labels",
    when="before",
    question="Can another weight end in another policy?",
    limit="warn: margins beside labels without a gap: one hard label per pair only ever pushes one way, so that in the "
    "long run every weight ends at the labelled objective's best",
)
def hard_labels(margins: int, gaps: int, pairs: int) -> Verdict:
    """How many objectives have margins, and how many of the pairs say how sure their label is."""
    if not margins:
        return passed("one objective: its labels are all there is to follow")
    shown = f"{gaps} of {pairs} pairs say how sure their label is, beside margins of {margins} objectives"
    if gaps < pairs:
        return warn(shown, "give each pair a gap (log-odds of its label), or use the regression loss", value=gaps)
    return passed(shown, value=gaps)


@check(
    "margins.optimum",
    when="before",
    question="Does the loss lead where the objectives' weights say, pi proportional to pi_ref exp(w r / beta)?",
    limit="on a table of six answers whose optimum is known: fail where a coefficient has the wrong sign or is 0; warn "
    "where it is off by more than 20 % (label smoothing does that)",
)
def optimum(found: Mapping[str, float], wanted: Mapping[str, float]) -> Verdict:
    """The coefficient of each objective in the log-ratio that the loss ends at, and w / beta."""
    wrong = [n for n, c in wanted.items() if c and not found[n] / c > 0.05]
    off = [n for n, c in wanted.items() if abs(found[n] - c) > 0.2 * abs(c) + 0.05 * max(map(abs, wanted.values()))]
    value = {n: {"found": found[n], "wanted": c} for n, c in wanted.items()}
    shown = ", ".join(f"{n} {found[n]:.3g} for {c:.3g}" for n, c in wanted.items())
    if wrong:
        return fail(
            f"on a table with a known optimum, log pi / pi_ref weighs {shown}: {listed(wrong)} goes the wrong way",
            "look at the signs in the loss: chosen minus rejected, and a margin is taken out of the label",
            value=value,
        )
    if off:
        return warn(f"the optimum of a table weighs {shown}", "look at beta, w and label smoothing", value=value)
    return passed(f"the optimum of a table weighs {shown}", value=value)


@check(
    "reference.is_the_start",
    when="before",
    question="Is the reference the policy that training starts from?",
    limit=f"exact at step 0 up to rounding: {CLOSE} nats for any trained token",
)
def is_the_start(gaps: Sequence[float]) -> Verdict:
    """|log pi - log pi_ref| of trained tokens before the first step."""
    if not gaps:
        return unknown("no trained token was scored")
    worst = max(gaps) if all(map(math.isfinite, gaps)) else math.inf
    mean = math.fsum(gaps) / len(gaps)
    shown = f"policy and reference differ by {worst:.2g} nats at most and {mean:.2g} on average over {len(gaps)} tokens"
    if worst > CLOSE:
        return fail(
            f"{shown} before the first step",
            "look at which weights the reference has, at an adapter that is on (or off) in one of them, at the "
            "temperature, and at cached values of another model",
            value=worst,
            limit=CLOSE,
        )
    return passed(shown, value=worst, limit=CLOSE)


@check(
    "reference.stays",
    when="before",
    question="Does the reference stay what it was while the policy takes a step?",
    limit="exact: the reference's log-probabilities of the same rows before and after, bit by bit",
)
def stays(changes: Sequence[float], policy_changes: Sequence[float]) -> Verdict:
    """|change| of the reference's and of the policy's log-probabilities in one step."""
    if not changes:
        return unknown("no trained token was scored")
    if not any(policy_changes):
        return unknown("the policy itself did not change, so nothing is known of the reference")
    if max(changes) > 0:
        return fail(
            f"the reference's log-probabilities changed by up to {max(changes):.2g} nats when the policy took a step",
            "give the reference its own weights (a frozen copy, or the base without the adapter)",
            value=max(changes),
        )
    return passed("the reference did not change in a step of the policy", value=0.0)


@check(
    "reference.starts_from_what_is_named",
    when="before",
    question="Does the policy start from the weights that the configuration names, its adapter's included?",
    limit="exact: where an adapter is named, its weights are not zero and the policy is not its bare base",
)
def starts_from_what_is_named(named: str, same_as_base: bool | None) -> Verdict:
    """same_as_base: whether the policy answers as the bare base under the adapter named; None where none is named."""
    if same_as_base is None:
        return unknown("no saved adapter is named")
    if same_as_base:
        return fail(
            f"{named} is an adapter, and the policy is the bare base under it: what was trained before is lost",
            "merge the adapter (model.if_adapter), or continue it; or its second factor was never trained",
        )
    return passed(f"the policy is not the bare base under the adapter {named}")


@check(
    "pair_step.loss_at_start",
    when="before",
    question="Is the first loss the one that follows from labels and margins alone?",
    limit="at step 0 policy and reference are one, so that z = -w margins / w[0] (0 without margins, and the loss "
    "log 2): 0.1 % of it, or 0.001",
)
def loss_at_start(found: float, wanted: float) -> Verdict:
    """The trainer's loss of the probe, and the closed form."""
    shown = f"the first loss is {found:.6g}, labels and margins say {wanted:.6g}"
    if not abs(found - wanted) <= max(1e-3, 1e-3 * abs(wanted)):
        return fail(
            shown,
            "look at the reference, at beta and the margins' sign in the loss, at label smoothing, and at the mask",
            value=found,
            limit=wanted,
        )
    return passed(shown, value=found, limit=wanted)


@check(
    "pair_step.direction",
    when="before",
    question="Does a step make chosen answers likelier against rejected ones?",
    limit="exact to first order: the change of log p(chosen) - log p(rejected), weighted by each pair's push, is "
    "above 0",
)
def direction(changes: Sequence[float], pushes: Sequence[float]) -> Verdict:
    """Per pair of one dry step: the change of the log-ratio, and minus the derivative of its loss by it, which has the
    label's sign."""
    whole = math.fsum(map(abs, pushes))
    if not whole or not changes:
        return unknown("no pair pushes")
    mean = math.fsum(c * p for c, p in zip(changes, pushes, strict=True)) / whole
    shown = f"one step changes log p(chosen) - log p(rejected) by {mean:.3g} nats on average, weighted by its push"
    if not math.isfinite(mean) or mean <= 0:
        return fail(
            shown, "look at the order of chosen and rejected, and at the sign of the loss or of the update", value=mean
        )
    return passed(shown, value=mean)


@check(
    "pair_step.size",
    when="before",
    question="Is one step at the full learning rate a step and not a leap?",
    limit="mean |change| of a trained token's log-probability: fail beyond 1 nat or where it is not finite, and below "
    "1e-7 over the whole run; warn beyond 0.3",
)
def size(change: float, lr: float, steps: int) -> Verdict:
    """change: nats per token in one step at the run's highest learning rate, lr; the run takes `steps` steps."""
    shown = f"one step at lr {lr:.3g}, the highest of {steps} steps, changes a token's log-probability by {change:.3g}"
    if not math.isfinite(change) or change > 1:
        return fail(f"{shown} nats", "lower optim.lr; it belongs to alpha / rank of the adapter", value=change, limit=1)
    if change * steps < 1e-7:
        return fail(
            f"{shown} nats: the run would change nothing",
            "look at optim.lr, at a warm-up longer than the run, at beta, and at what is trained",
            value=change,
        )
    return warn(f"{shown} nats", "lower optim.lr", value=change) if change > 0.3 else passed(shown, value=change)


@check(
    "pair_step.warmup",
    when="before",
    question="Does the learning rate rise to its full value within the run?",
    limit="fail: the highest rate of the run is below 10 % of the full one; warn: the warm-up takes half of the run",
)
def warmup(highest: float, full: float, rising: int, steps: int) -> Verdict:
    """The highest learning rate of the run, the one that the configuration names, and the steps spent rising."""
    shown = f"the learning rate reaches {highest:.3g} of {full:.3g} in {steps} steps, {rising} of them warm-up"
    advice = "optim.schedule.warmup counts steps"
    if highest < 0.1 * full:
        return fail(shown, advice, value=highest / full, limit=0.1)
    return warn(shown, advice, value=rising / steps) if 2 * rising > steps > 4 else passed(shown, value=highest / full)


@check(
    "pair_step.saturation",
    when="before",
    question="Does it take more than one step to settle a pair?",
    limit="fail: one step moves the logit z of more than half of the pairs (lower end of the interval) by over 4.6, "
    "from an open question to 99 %",
)
def saturation(shifts: Sequence[float], beta: float) -> Verdict:
    """How far one dry step moves the logit of each pair."""
    if len(shifts) < 8:
        return unknown(f"{len(shifts)} pairs are too few to say")
    settled = sum(not abs(x) <= 4.6 for x in shifts)
    shown = f"one step moves the logit of {settled} of {len(shifts)} pairs by more than 4.6, with beta {beta:g}"
    value = settled / len(shifts)
    if interval(settled, len(shifts))[0] > 0.5:
        return fail(shown, "lower beta / w[0] (0.1 is usual), or optim.lr", value=value, limit=0.5)
    return passed(shown, value=value)


@check(
    "pair_step.policy_moves",
    when="before",
    question="Does a step move the policy, all that it trains?",
    limit="exact: every trained tensor with a gradient changes, and there are some",
)
def policy_moves(moved: Sequence[str], still: Sequence[str], without: Sequence[str]) -> Verdict:
    """Names of the trained tensors: changed; not changed though they had a gradient; without a gradient."""
    value = {"moved": len(moved), "still": len(still), "without_gradient": len(without)}
    advice = "look at optim.lr, at the adapter's factors and scale, at the weights' type, and at beta"
    if still or not moved:
        return fail(
            f"{len(moved)} of {len(moved) + len(still) + len(without)} trained tensors changed in one step, "
            f"{len(still)} had a gradient and did not ({listed(still) or '-'}), {len(without)} had none",
            advice,
            value=value,
        )
    return passed(f"{len(moved)} trained tensors changed, {len(without)} had no gradient", value=value)


@check(
    "pair_step.trains_the_policy_alone",
    when="before",
    question="Is what trains the policy, and only that?",
    limit="exact: under an adapter only its own tensors are trained; what is frozen keeps its bytes in a step",
)
def trains_the_policy_alone(strays: Sequence[str], changed: Sequence[str], trained: int, frozen: int) -> Verdict:
    """Trained tensors that are not the adapter's, frozen ones that a step changed; how many there are of each."""
    value = {"strays": len(strays), "changed": len(changed), "trained": trained, "frozen": frozen}
    if strays or changed or not trained:
        return fail(
            f"{trained} tensors are trained, {len(strays)} of them not the adapter's ({listed(strays) or '-'}); a step "
            f"changed {len(changed)} of {frozen} frozen ones ({listed(changed) or '-'})",
            "switching adapters changes what requires a gradient: set it again, and look at it after every switch",
            value=value,
        )
    return passed(f"{trained} tensors are trained, {frozen} are frozen and stay", value=value)


@check(
    "pair_step.adapter_can_learn",
    when="before",
    question="Can the adapter learn, and does a saved one say anything?",
    limit="exact: its scale is not 0; a second factor B that is 0 must be trained; a saved adapter's B is not 0",
)
def adapter_can_learn(
    zero: Sequence[str], frozen: Sequence[str], scaled_out: Sequence[str], saved: bool, n: int
) -> Verdict:
    """Layers, of `n`, whose B is 0, whose B or A is not trained, whose scale is 0; saved: it was trained before."""
    if not n:
        return unknown("no adapter")
    stuck = sorted({*scaled_out, *frozen})
    value = {"layers": n, "zero": len(zero), "stuck": len(stuck)}
    if stuck:
        return fail(
            f"{len(stuck)} of {n} adapter layers cannot learn (a factor is frozen, or the scale is 0): {listed(stuck)}",
            "load it as trainable; alpha is not 0",
            value=value,
        )
    if saved and len(zero) == n:
        return fail(
            "the saved adapter's second factor B is 0 in every layer: it is not trained, whatever its A says",
            "look at which directory was saved, and when",
            value=value,
        )
    return passed(f"{n} adapter layers can learn, {len(zero)} start at 0", value=value)


@check(
    "pair_step.finite",
    when="before",
    question="Are weights and log-probabilities finite before anything is trained?",
    limit="exact",
)
def finite(weights: Sequence[str], rows: Sequence[str], n: int) -> Verdict:
    """Names of tensors and ids of rows, of `n`, that hold a value that is not finite."""
    if weights or rows:
        return fail(
            f"{len(weights)} weight tensors ({listed(weights) or '-'}) and the log-probabilities of {len(rows)} of {n} "
            "rows are not finite",
            "look at the checkpoint and at the type that it was saved in",
            value={"weights": len(weights), "rows": len(rows)},
        )
    return passed(f"all weights and the log-probabilities of {n} rows are finite")
