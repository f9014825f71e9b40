"""Faults planted in TRL's trainers through their public arguments, each in a process of its own.

    python trl_faults.py WORLD OUT CASE ...      (run by ../faults_vs_peers.py, in an environment that has TRL)

WORLD  directory with model/ (a small causal LM and its tokenizer) and rows.json: "prompts", "held_out" and "pairs"
OUT    gets CASE.json for each case: how it ended, what was said, whether weights moved

TRL is imported once and forked for each case.  What is *said* is what reaches stderr (warnings and loggers) and the
exception; the metrics that a trainer prints at every step are kept apart, since no one is told that they are wrong.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

for name, value in {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}.items():
    os.environ.setdefault(name, value)
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"

LIMIT = 240.0
"""Seconds of a case; a healthy one takes about ten."""


@dataclass
class Setup:
    """What a trainer is given; a case changes it.

    model    a directory, or a model
    reward   GRPO's reward function(s)
    config   arguments of GRPOConfig or DPOConfig
    further  further arguments of the trainer: peft_config, ref_model, optimizers, callbacks, ...
    """

    world: Path
    model: Any
    tokenizer: Any
    rows: list[dict[str, Any]]
    held_out: list[dict[str, Any]]
    config: dict[str, Any]
    reward: Any = None
    further: dict[str, Any] = field(default_factory=dict)

    def load(self) -> Any:
        """The model of this setup as an object, which stays its model."""
        from transformers import AutoModelForCausalLM

        if isinstance(self.model, str | Path):
            self.model = AutoModelForCausalLM.from_pretrained(str(self.model))
        return self.model


@dataclass(frozen=True)
class Case:
    """A fault.  about: a pattern of what a message about this fault would have to mention; generous."""

    name: str
    trainer: str
    about: str
    plant: Callable[[Setup], None]


def last_number(text: str) -> str | None:
    """The last whole number of a text."""
    found = re.findall(r"\d+", text)
    return found[-1] if found else None


def right(completions: list[Any], gold: list[str], **_: Any) -> list[float]:
    """1 where the last number is the gold answer."""
    return [float(last_number(text_of(c)) == g) for c, g in zip(completions, gold, strict=True)]


def text_of(completion: Any) -> str:
    """A completion's text, of either of TRL's two forms."""
    return completion if isinstance(completion, str) else completion[-1]["content"]


COMMON = {
    "max_steps": 3,
    "logging_steps": 1,
    "bf16": False,
    "use_cpu": True,
    "gradient_checkpointing": False,
    "report_to": "none",
    "save_strategy": "no",
    "disable_tqdm": True,
    "seed": 0,
}
GRPO = {
    "learning_rate": 1e-4,
    "per_device_train_batch_size": 64,
    "per_device_eval_batch_size": 64,
    "num_generations": 8,
    "max_completion_length": 64,
}
DPO = {"learning_rate": 1e-4, "per_device_train_batch_size": 16, "per_device_eval_batch_size": 16, "beta": 0.1}


def setup(world: Path, trainer: str) -> Setup:
    """The healthy one."""
    from transformers import PreTrainedTokenizerFast

    rows = json.loads((world / "rows.json").read_text(encoding="utf-8"))
    tokenizer = PreTrainedTokenizerFast.from_pretrained(str(world / "model"))
    shared = {"world": world, "model": str(world / "model"), "tokenizer": tokenizer}
    if trainer == "dpo":
        return Setup(**shared, rows=rows["pairs"], held_out=rows["held_out_pairs"], config={**COMMON, **DPO})
    return Setup(**shared, rows=rows["prompts"], held_out=rows["held_out"], config={**COMMON, **GRPO}, reward=right)


def open_trainer(made: Setup, kind: str, folder: Path) -> Any:
    """TRL's trainer of a setup."""
    import trl
    from datasets import Dataset

    config = {"output_dir": str(folder / "out"), **made.config}
    given: dict[str, Any] = {"model": made.model, "processing_class": made.tokenizer, **made.further}
    given["train_dataset"] = Dataset.from_list(made.rows)
    if config.get("eval_strategy", "no") != "no":
        given["eval_dataset"] = Dataset.from_list(made.held_out)
    if kind == "dpo":
        return trl.DPOTrainer(args=trl.DPOConfig(**config), **given)
    return trl.GRPOTrainer(args=trl.GRPOConfig(**config), reward_funcs=made.reward, **given)


def run(case: Case, world: Path, folder: Path) -> dict[str, Any]:
    """Plant, train, and say what became of the weights and the logged metrics."""
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    made = setup(world, case.trainer)
    case.plant(made)
    trainer = open_trainer(made, case.trainer, folder)
    before = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
    trainer.train()
    after = dict(trainer.model.named_parameters())
    moved = [n for n, p in before.items() if not torch.equal(p, after[n].detach())]
    finite = all(bool(p.isfinite().all()) for p in after.values())
    steps = [{k: v for k, v in row.items() if isinstance(v, int | float)} for row in trainer.state.log_history]
    return {"moved": len(moved), "tensors": len(before), "finite": finite, "log": steps}


def forked(case: Case, world: Path, out: Path) -> dict[str, Any]:
    """The case in a child process: how it ended, and what it said."""
    folder = out / case.name
    folder.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    child = os.fork()
    if child == 0:
        _in_child(case, world, folder)
    ending = _wait(child, LIMIT)
    found: dict[str, Any] = {"case": case.name, "trainer": case.trainer, "seconds": time.perf_counter() - start}
    result = folder / "result.json"
    found |= json.loads(result.read_text(encoding="utf-8")) if result.exists() else {"error": None}
    said = (folder / "stderr").read_text(encoding="utf-8", errors="replace")
    return found | {"ending": ending, "said": said, "about": case.about}


def _in_child(case: Case, world: Path, folder: Path) -> None:
    os.setsid()
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    code = 0
    try:
        found = run(case, world, folder)
    except BaseException as error:
        found = {"error": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()}
        code = 1
    (folder / "result.json").write_text(json.dumps(found), encoding="utf-8")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _wait(child: int, limit: float) -> str:
    """exit N, signal N, or timed out (then the child is ended)."""
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            return f"exit {code}" if code >= 0 else f"signal {-code}"
        time.sleep(0.05)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "timed out"


def cases() -> dict[str, Case]:
    """All of them by name."""
    import trl_dpo
    import trl_grpo

    return {case.name: case for case in (*trl_grpo.CASES, *trl_dpo.CASES)}


def main() -> None:
    world, out, names = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
    known = cases()
    if not names:
        print("\n".join(known))
        return
    import peft
    import torch
    import transformers
    import trl
    from datasets import Dataset
    from trl import DPOTrainer, GRPOTrainer

    assert Dataset and DPOTrainer and GRPOTrainer
    torch.set_num_threads(1)
    versions = {m.__name__: m.__version__ for m in (trl, transformers, torch, peft)}
    for name in names:
        found = forked(known[name], world, out) | {"versions": versions}
        partial = out / f"{name}.json.partial"
        partial.write_text(json.dumps(found, indent=1), encoding="utf-8")
        partial.replace(out / f"{name}.json")
        print(f"{name}: {found['ending']}, {found['seconds']:.0f} s", flush=True)


if __name__ == "__main__":
    sys.modules["trl_faults"] = sys.modules["__main__"]
    sys.path.insert(0, str(Path(__file__).parent))
    main()
