"""Figures as text for the screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from trueloop.evaluate.compare import Compared, Comparison
from trueloop.evaluate.grading import Grading
from trueloop.evaluate.record import Evaluation
from trueloop.formulas.stats import Estimate
from trueloop.records import Json

MOST_REASONS = 5
MUCH_TRUNCATED = 0.02
"""Share of completions cut at the limit from which figures say as much about the limit as about the model."""


def percent(estimate: Estimate | None) -> str:
    """A share with its 95 % interval, in percent; the interval is left out where it is not known."""
    if estimate is None:
        return "not computed"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.mean:.1%}"
    return f"{estimate.mean:.1%} [{max(estimate.low, 0):.1%}, {min(estimate.high, 1):.1%}]"


def points(estimate: Estimate) -> str:
    """A difference of shares in percentage points, with its 95 % interval."""
    if estimate.low is None or estimate.high is None:
        return f"{100 * estimate.mean:+.1f} points"
    return f"{100 * estimate.mean:+.1f} points [{100 * estimate.low:+.1f}, {100 * estimate.high:+.1f}]"


def shown_grading(found: Grading) -> str:
    """What came of a file: counts, accuracies, what could not be scored and why, how long verdicts took."""
    scored, rows = found.statuses["scored"], found.rows
    clusters = found.accuracy.clusters if found.accuracy is not None else 0
    several = f" of {clusters} problems" if clusters and clusters != scored else ""
    lines = [
        f"{found.passed} of {scored} scored completions{several} passed ({found.mode}): {percent(found.accuracy)}",
        *(f"  {name}: {percent(figure)}" for name, figure in found.figures.items() if len(found.figures) > 1),
        *(f"  {name.replace('-', ' minus ')}: {points(gap)}" for name, gap in found.gaps.items()),
        *_unscored(found, rows),
        *shown_timing(found.verifier),
        f"grader: {found.grader}",
    ]
    return "\n".join(lines)


def shown_timing(verifier: Mapping[str, Json]) -> list[str]:
    """How long a verdict took, where it is known."""
    seconds = [(name, verifier.get(name)) for name in ("p50", "p95", "p99")]
    known = [f"{name} {_seconds(value)}" for name, value in seconds if value is not None]
    return [f"a verdict took {', '.join(known)}"] if known else []


def _unscored(found: Grading, rows: int) -> list[str]:
    lines = []
    for status, meaning in (("unscorable", "the row's fault"), ("error", "the verifier's fault")):
        if count := found.statuses[status]:
            lines.append(f"NOT SCORED: {count} of {rows} rows are {status.upper()} ({meaning})")
    if found.unreadable:
        lines.append(f"  {found.unreadable} of them could not be read")
    return [*lines, *reasons(found.reasons.most_common())]


def reasons(counted: Sequence[tuple[str, int]]) -> list[str]:
    """The most frequent reasons, and how many others there are."""
    lines = [f"  {count} x {why}" for why, count in counted[:MOST_REASONS]]
    rest = counted[MOST_REASONS:]
    return [*lines, f"  {sum(count for _, count in rest)} x for {len(rest)} other reasons"] if rest else lines


def _seconds(value: float) -> str:
    return f"{value * 1e6:.0f} us" if value < 1e-3 else f"{value * 1e3:.1f} ms" if value < 1 else f"{value:.2f} s"


def shown_evaluation(found: Evaluation) -> str:
    """Figures with their intervals and denominators, by tag, how completions ended, and what they hold for."""
    few = f"{found.shots}-shot"
    draw = "greedy" if found.sampling["temperature"] == 0 else f"temperature {found.sampling['temperature']:g}"
    lines = [
        f"{found.task}/{found.split}: {found.problems} problems x {found.samples}, {draw}, {few}, "
        f"template {found.template}, at most {found.sampling['max_tokens']} tokens",
        *(f"  {name}: {percent(figure)}" for name, figure in found.figures.items()),
        *(f"  {name.replace('-', ' minus ')}: {points(gap)}" for name, gap in found.gaps.items()),
        *_at_k("pass", found.pass_at_k, found.problems),
        *_at_k("maj", found.maj_at_k, found.problems),
        *(line for tag, values in found.by.items() for line in _group(tag, values)),
        *_base(found),
        *_denominators(found),
        *_endings(found),
        f"grader {found.grader}, data {found.data_hash}, template {found.template_hash or 'of the server'}, "
        f"seed {found.seed}",
        *_carried(found.model.get("checks_allowed", {})),
    ]
    return "\n".join(lines)


def shown_headline(found: Evaluation) -> str:
    """The figures in one line."""
    figures = ", ".join(f"{name} {percent(figure)}" for name, figure in found.figures.items())
    cut = f", cut at the limit {found.truncated:.1%}" if found.truncated else ""
    long = f", NOT ASKED {len(found.too_long)} of {found.problems} (prompt too long)" if found.too_long else ""
    return f"{figures or 'nothing scored'}{cut}{long}"


def shown_comparison(found: Comparison) -> str:
    """Each candidate's difference from the baseline with interval and p-values, and what was corrected for."""
    lines = [f"{found.figure}, difference from {found.baseline}:"]
    for candidate in found.candidates:
        lines += _candidate(candidate, corrected=len(found.candidates) > 1)
    if len(found.candidates) > 1:
        lines.append(
            f"adjusted p and the intervals hold for the best of the {len(found.candidates)} (max-T over problems); "
            "the plain p holds for one that was chosen before looking"
        )
    for name, checks in found.carried.items():
        lines += [f"{name}: {line}" for line in _carried(checks)]
    for key, values in found.allowed.items():
        lines.append(f"NOT ALIKE, by permission: {key} = {', '.join(map(repr, values))}")
    return "\n".join(lines)


def _carried(checks: Mapping[str, str]) -> list[str]:
    """What the model's run was allowed to pass over."""
    return [f"TRAINED ALTHOUGH the check {id} failed; allowed: {because}" for id, because in checks.items()]


def _candidate(found: Compared, *, corrected: bool) -> list[str]:
    d = found.difference
    known = d.low is not None and d.high is not None
    interval = f" [{100 * d.low:+.1f}, {100 * d.high:+.1f}]" if d.low is not None and d.high is not None else ""
    adjusted = f", adjusted p {_p(d.adjusted_p)}" if corrected else ""
    lines = [
        f"  {found.name}: {found.baseline:.1%} -> {found.candidate:.1%}, {100 * d.mean:+.1f} points{interval}, "
        f"p {_p(d.p)}{adjusted}, {d.n} problems"
    ]
    if not known:
        lines.append("    every problem differs alike, so the interval is not known")
    if found.p_mcnemar is not None:
        lines.append(f"    right at {found.better} and wrong at {found.worse} others: McNemar p {_p(found.p_mcnemar)}")
    if found.left_out:
        lines.append(f"    {found.left_out} problems left out, since not all have scored them")
    return lines


def _at_k(name: str, values: Mapping[int, Estimate] | None, problems: int) -> list[str]:
    return [f"  {name}@{k}: {percent(figure)}{_over(figure, problems)}" for k, figure in (values or {}).items()]


def _over(figure: Estimate, problems: int) -> str:
    """How many problems a figure is of, where it is not of all."""
    return f" over {figure.clusters} of {problems} problems" if figure.clusters < problems else ""


def _group(tag: str, values: Mapping[str, Mapping[str, Estimate]]) -> list[str]:
    width = max((len(value) for value in values), default=0)
    return [f"by {tag}:", *(f"  {value:<{width}}  {_in_line(figures)}" for value, figures in values.items())]


def _in_line(figures: Mapping[str, Estimate]) -> str:
    problems = max((figure.clusters for figure in figures.values()), default=0)
    return ", ".join(f"{name} {percent(figure)}{_over(figure, problems)}" for name, figure in figures.items())


def _base(found: Evaluation) -> list[str]:
    if found.base_matched is None:
        return []
    return [f"{found.base_matched:.1%} of the problems that were asked have a base pass rate"]


def _denominators(found: Evaluation) -> list[str]:
    lines = [f"{found.scored} of {found.answers} completions scored"]
    for name, count in (("unscorable", found.unscorable), ("errors", found.errors), ("lost", found.lost)):
        if count:
            lines.append(f"  NOT SCORED: {count} {name}")
    if found.too_long:
        lines.append(
            f"  NOT ASKED: {len(found.too_long)} of {found.problems} problems "
            f"({len(found.too_long) / found.problems:.1%}), whose prompts leave the model no room for an answer "
            f"({found.prompt_too_long} completions); the figures are of the others"
        )
    return lines


def _endings(found: Evaluation) -> list[str]:
    if found.truncated is None:
        return []
    ended = ", ".join(f"{share:.1%} by {_stop(stop)}" for stop, share in found.stops.items())
    tokens = f"; {found.mean_tokens:.0f} tokens on average" if found.mean_tokens is not None else ""
    lines = [f"ended {ended}{tokens}"]
    if found.truncated > MUCH_TRUNCATED:
        lines.append(f"  {found.truncated:.1%} WERE CUT at the limit: raise max_tokens, or compare at this limit only")
    return lines


def _stop(stop: str) -> str:
    return {"": "the token limit", "?": "a stop"}.get(stop, repr(stop))


def _p(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else f"{value:.1g}"
