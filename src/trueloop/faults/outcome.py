"""Faults in finished run directories: what a record looks like where something went wrong, for the doctor to name."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trueloop.doctor import examine
from trueloop.store.artefacts import atomic_file
from trueloop.store.journal import Journal
from trueloop.store.trace import Trace, read_rollouts

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoiled:
    """A mistake as the directory of a finished run shows it.

    spoil      changes the directory
    diagnosis  what the doctor must say first
    recorded   failures on record of which this is one, as docs/checks.md numbers them
    """

    id: str
    what: str
    diagnosis: str
    spoil: Callable[[Path], None]
    recorded: tuple[str, ...] = ()


def diagnosed(fault: Spoiled, healthy: Path, work: Path) -> list[str]:
    """Ids of the diagnoses, likeliest first, of a copy of a healthy run (made at `work`) with the fault in it."""
    shutil.copytree(healthy, work)
    fault.spoil(work)
    return [d.id for d in examine(work).diagnoses]


def change_rows(path: Path, change: Callable[[Row], Row | None]) -> None:
    """Change each row of a journal; None drops it."""
    rows = [changed for row in Journal(path).rows() if (changed := change(row)) is not None]
    with atomic_file(path, what="changed rows") as partial:
        partial.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def change_rollouts(run: Path, change: Callable[[Row], Row]) -> None:
    """Change each rollout."""
    parts: dict[int, list[Row]] = {}
    for row in read_rollouts(run):
        parts.setdefault(row["step"], []).append(change({**row, "advantage": None}))
    trace = Trace(run, 1 << 40)
    for step, rows in parts.items():
        trace.write(step, rows)


def change_status(run: Path, **values: Any) -> None:
    """Change what the run says of its end."""
    status = json.loads((run / "status.json").read_text(encoding="utf-8"))
    (run / "status.json").write_text(json.dumps({**status, **values}) + "\n", encoding="utf-8")


def _metrics(change: Callable[[Row], Row | None]) -> Callable[[Path], None]:
    return lambda run: change_rows(run / "metrics.jsonl", change)


def _evaluations(change: Callable[[Row], Row | None]) -> Callable[[Path], None]:
    return lambda run: change_rows(run / "evaluations.jsonl", change)


def _rollouts(change: Callable[[Row], Row]) -> Callable[[Path], None]:
    return lambda run: change_rollouts(run, change)


def _late(row: Row, run_steps: int = 10) -> bool:
    return bool(row["step"] > run_steps)


def _share(mean: float, n: int = 200) -> Row:
    se = math.sqrt(mean * (1 - mean) / n)
    return {"mean": mean, "se": se, "low": mean - 2 * se, "high": mean + 2 * se, "n": n, "clusters": n}


def _scored(row: Row, mean: float) -> Row:
    share = _share(mean)
    return {**row, "strict": share, "lenient": share, "passed": share, "figures": {"strict": share, "lenient": share}}


def _same_answers(row: Row) -> Row:
    return {**row, "text": "The answer is 7.", "reward": 1.0, "passed": True} if _late(row) else row


def _hacked(run: Path) -> None:
    change_rollouts(run, _same_answers)
    change_rows(run / "evaluations.jsonl", lambda row: _scored(row, 0.6 if row["step"] == 0 else 0.2))


def _one_text_each(row: Row) -> Row:
    """Right in every second group, and the same in all of it."""
    a, b = map(int, row["prompt"].removeprefix("Q: ").split("=")[0].split("+"))
    right = row["group_index"] % 2 == 0
    return {**row, "text": f"The answer is {a + b + (not right)}.", "reward": float(right), "passed": right}


def _no_disk(run: Path) -> None:
    change_status(run, state="failed", why="StoreError: metrics.jsonl: [Errno 28] No space left on device")


def _refused(run: Path) -> None:
    (run / "metrics.jsonl").write_text("")
    (run / "evaluations.jsonl").write_text("")
    for part in (run / "rollouts").glob("step-*.parquet"):
        part.unlink()
    change_status(run, state="failed", step=None, why="CheckFailed: 1 check says that this run cannot mean anything")
    row = {"step": 0, "id": "liveness.step_is_sane", "status": "fail", "evidence": "KL 7.6 nats per token"}
    (run / "checks.jsonl").write_text(json.dumps(row) + "\n")


def _standstill(run: Path) -> None:
    change_status(run, state="failed", why="EngineError: nothing has moved for 1200 s; it is in phase 'filling'")
    (run / "stuck.log").write_text("nothing has moved for 120 s (limit 120 s); it is in phase 'filling'\n")


def _overridden(run: Path) -> None:
    row = {"step": 0, "id": "sampling.signal", "status": "fail", "evidence": "no signal", "allowed": "a control arm"}
    with (run / "checks.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def _other_code(run: Path) -> None:
    row = {"at": "", "pid": 1, "step": 8, "config": {"optim.lr": [1e-4, 1e-3]}, "code": ["the commit"]}
    (run / "resumes.jsonl").write_text(json.dumps(row) + "\n")


def _fallen(row: Row) -> Row:
    return {**row, "reward": 0.0, "passed": False, "text": "7 7 7"} if _late(row) else row


def _gradients(row: Row) -> Row:
    return {**row, "grad_norm": row["grad_norm"] * (100.0 if _late(row) else 1.0)}


def _collapsed(run: Path) -> None:
    change_rollouts(run, _fallen)
    change_rows(run / "metrics.jsonl", _gradients)


SPOILED = (
    Spoiled(
        id="verifier_says_no",
        what="every reward is 0, right answers too",
        diagnosis="verifier-rejects-right-answers",
        spoil=_rollouts(lambda row: {**row, "reward": 0.0, "passed": False}),
        recorded=("trl 1", "rlvr 43"),
    ),
    Spoiled(
        id="verifier_says_yes",
        what="every reward is 1, wrong answers too",
        diagnosis="verifier-accepts-wrong-answers",
        spoil=_rollouts(lambda row: {**row, "reward": 1.0, "passed": True}),
        recorded=("rlvr 48",),
    ),
    Spoiled(
        id="all_wrong",
        what="the policy never finds an answer",
        diagnosis="problems-too-hard",
        spoil=_rollouts(lambda row: {**row, "reward": 0.0, "passed": False, "text": f"It is {row['sample_index']}."}),
        recorded=("rlvr 69",),
    ),
    Spoiled(
        id="one_seed",
        what="every completion of a problem is the same",
        diagnosis="sampling-is-not-random",
        spoil=_rollouts(_one_text_each),
        recorded=("rlvr 32", "trl 6"),
    ),
    Spoiled(
        id="all_cut",
        what="the limit cuts every answer",
        diagnosis="answers-are-cut",
        spoil=_rollouts(lambda row: {**row, "finish": "length", "stop": None}),
        recorded=("trl 9", "rlvr 92"),
    ),
    Spoiled(
        id="next_question",
        what="completions go on with further problems",
        diagnosis="runs-on-into-the-next-problem",
        spoil=_rollouts(lambda row: {**row, "text": f"{row['text']}\nQ: 3+4=?\nA: {row['text']}"}),
        recorded=("rlvr 36", "rlvr 94"),
    ),
    Spoiled(
        id="chat_markers",
        what="completions write chat turns",
        diagnosis="chat-template-on-a-base-model",
        spoil=_rollouts(lambda row: {**row, "text": f"{row['text']}<|im_end|><|im_start|>user what"}),
        recorded=("rlvr 31", "rlvr 105"),
    ),
    Spoiled(
        id="template_twice",
        what="the prompt's label stands within itself",
        diagnosis="template-applied-twice",
        spoil=_rollouts(lambda row: {**row, "prompt": f"Human:\n\nHuman: {row['prompt'][3:]}"}),
        recorded=("preference 10",),
    ),
    Spoiled(
        id="collapse",
        what="reward and texts collapse while gradients explode",
        diagnosis="policy-collapsed",
        spoil=_collapsed,
        recorded=("rlvr 19", "trl 12"),
    ),
    Spoiled(
        id="loophole",
        what="the reward rises to its top by one text while the evaluation falls",
        diagnosis="reward-is-hacked",
        spoil=_hacked,
        recorded=("rlvr 99", "rlvr 62"),
    ),
    Spoiled(
        id="format_lost",
        what="answers are no longer marked, and the reward does not mind",
        diagnosis="format-drifts",
        spoil=_rollouts(lambda row: {**row, "text": row["text"].replace("The answer is", "so")} if _late(row) else row),
        recorded=("rlvr 35",),
    ),
    Spoiled(
        id="first_weights_served",
        what="every completion comes from the weights of the start",
        diagnosis="sampler-serves-stale-weights",
        spoil=_rollouts(lambda row: {**row, "version": 0}),
        recorded=("belief 1",),
    ),
    Spoiled(
        id="other_temperature",
        what="the trainer's ratios lie far from 1 on fresh samples",
        diagnosis="sampler-and-trainer-disagree",
        spoil=_metrics(lambda row: {**row, "policy/ratio": 0.8, "policy/ratio/min": 0.01, "policy/ratio/max": 9.0}),
        recorded=("rlvr 1", "rlvr 9", "rlvr 11"),
    ),
    Spoiled(
        id="fallback_logprobs",
        what="log-probabilities of 0 stand for those that are missing",
        diagnosis="log-probabilities-are-broken",
        spoil=_rollouts(lambda row: {**row, "logprobs": [0.0] * len(row["tokens"])}),
        recorded=("rlvr 27", "rlvr 3"),
    ),
    Spoiled(
        id="lr_zero",
        what="the learning rate is 0",
        diagnosis="nothing-was-trained",
        spoil=_metrics(lambda row: {**row, "lr": 0.0}),
        recorded=("trl 5",),
    ),
    Spoiled(
        id="nan_loss",
        what="the loss becomes NaN",
        diagnosis="numbers-are-not-finite",
        spoil=_metrics(lambda row: {**row, "loss": math.nan} if _late(row) else row),
    ),
    Spoiled(
        id="verifier_errors",
        what="a quarter of the completions have no verdict",
        diagnosis="verifier-fails",
        spoil=_rollouts(
            lambda row: {**row, "reward": None, "passed": None, "status": "error"} if row["sample_index"] == 0 else row
        ),
        recorded=("rlvr 57", "trl 11a"),
    ),
    Spoiled(
        id="problems_dropped",
        what="two thirds of the groups are filtered",
        diagnosis="problems-do-not-reach-the-trainer",
        spoil=_metrics(lambda row: {**row, "fates/filtered": 2 * row["fates/used"]}),
        recorded=("rlvr 66", "rlvr 68"),
    ),
    Spoiled(
        id="one_prompt",
        what="all prompts are the same",
        diagnosis="the-same-problems-again-and-again",
        spoil=_rollouts(lambda row: {**row, "prompt": "Q: What is it?\nA: "}),
        recorded=("trl 14", "preference 25"),
    ),
    Spoiled(
        id="other_grader",
        what="the last evaluation has another grader",
        diagnosis="unlike-evaluations",
        spoil=_evaluations(lambda row: {**row, "grader": "Other.1"} if row["step"] == 20 else row),
        recorded=("rlvr 95", "rlvr 96", "belief 3"),
    ),
    Spoiled(
        id="evaluation_cut",
        what="a third of the evaluation's answers are cut",
        diagnosis="evaluation-is-cut",
        spoil=_evaluations(lambda row: {**row, "truncated": 0.33}),
        recorded=("rlvr 92",),
    ),
    Spoiled(
        id="peak_then_fall",
        what="the evaluation falls after its peak",
        diagnosis="got-worse-after-its-best",
        spoil=_evaluations(lambda row: _scored(row, {0: 0.2, 5: 0.5, 10: 0.9, 15: 0.6, 20: 0.4}[row["step"]])),
        recorded=("rlvr 98",),
    ),
    Spoiled(
        id="luck",
        what="the best of several evaluations is above the first by no more than luck",
        diagnosis="best-checkpoint-by-luck",
        spoil=_evaluations(lambda row: _scored(row, {0: 0.4, 5: 0.5, 10: 0.51, 15: 0.49, 20: 0.5}[row["step"]])),
        recorded=("rlvr 100", "preference 35"),
    ),
    Spoiled(
        id="no_evaluation",
        what="there is no evaluation after training",
        diagnosis="not-evaluated",
        spoil=_evaluations(lambda row: row if row["step"] == 0 else None),
    ),
    Spoiled(
        id="disk_full",
        what="the disk was full",
        diagnosis="interrupted-by-disk",
        spoil=_no_disk,
        recorded=("rlvr 85",),
    ),
    Spoiled(
        id="killed_for_memory",
        what="memory ran out",
        diagnosis="out-of-memory",
        spoil=lambda run: change_status(run, state="failed", why="OutOfMemoryError: CUDA out of memory"),
        recorded=("preference 14",),
    ),
    Spoiled(
        id="interrupted",
        what="it was stopped by a signal",
        diagnosis="ended-early",
        spoil=lambda run: change_status(run, state="interrupted", why="KeyboardInterrupt"),
        recorded=("rlvr 84",),
    ),
    Spoiled(
        id="refused_for_its_learning_rate",
        what="a check refused the run before its first step",
        diagnosis="policy-collapsed",
        spoil=_refused,
        recorded=("trl 12",),
    ),
    Spoiled(
        id="standstill",
        what="nothing moved, and the watchdog ended it",
        diagnosis="stuck",
        spoil=_standstill,
        recorded=("rlvr 76", "hacking 16"),
    ),
    Spoiled(
        id="override_carried",
        what="it began although a check failed",
        diagnosis="a-check-was-overridden",
        spoil=_overridden,
        recorded=("rlvr 107",),
    ),
    Spoiled(
        id="resumed_with_changes",
        what="it went on with other code and another learning rate",
        diagnosis="changed-on-the-way",
        spoil=_other_code,
        recorded=("rlvr 87",),
    ),
)
