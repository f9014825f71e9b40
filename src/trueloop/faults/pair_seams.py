"""Where pair faults are planted, and what is put there: pairs, rows, margins, losses, references, policies."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from torch import Tensor

from trueloop.faults import pairs_bed
from trueloop.faults.base import Fault
from trueloop.models import LoRA, Policy
from trueloop.models.reference import FrozenCopy
from trueloop.preflight.pairs import Objective
from trueloop.recipes import wiring
from trueloop.records import Pair, Sample, SamplePair
from trueloop.train.batch import PairBatch, PairLoss, PairOutputs
from trueloop.train.step import Trainer

# -- seams


def given(change: Callable[[list[Pair]], Sequence[Pair]]) -> AbstractContextManager[Any]:
    """Other pairs of the split that is trained."""
    original = pairs_bed.read

    def read(task: Any, split: str, count: int) -> Sequence[Pair]:
        return change(original(task, split, count)) if split == "train" else original(task, split, count)

    return mock.patch.object(pairs_bed, "read", read)


def each(change: Callable[[Pair], Pair]) -> AbstractContextManager[Any]:
    """Every pair of the split that is trained is another one."""
    return given(lambda pairs: [change(pair) for pair in pairs])


def rows(change: Callable[[list[SamplePair]], Sequence[SamplePair]]) -> AbstractContextManager[Any]:
    """Other rows of the same pairs."""
    original = pairs_bed.encode
    return mock.patch.object(pairs_bed, "encode", lambda *args: change(original(*args)))


def row(change: Callable[[Sample], Sample]) -> AbstractContextManager[Any]:
    """Every row of tokens is another one, before the reference has scored it."""
    original = pairs_bed.row
    return mock.patch.object(pairs_bed, "row", lambda *args: change(original(*args)))


def loss(change: Callable[[PairLoss], PairLoss]) -> AbstractContextManager[Any]:
    """Another loss."""
    original = pairs_bed.stream

    def stream(*args: Any) -> Any:
        made = original(*args)
        return replace(made, loss=change(made.loss))  # type: ignore[arg-type]

    return mock.patch.object(pairs_bed, "stream", stream)


def margin(change: Callable[[Objective, str, str], float]) -> AbstractContextManager[Any]:
    """Margins are computed in another way than they are declared."""
    original = pairs_bed.encode

    class Otherwise(Objective):
        def margin(self, chosen: str, rejected: str) -> float:
            return change(Objective(**{f: getattr(self, f) for f in FIELDS}), chosen, rejected)

    def encode(task: Any, policy: Any, reference: Any, pairs: Any, objectives: Sequence[Objective], config: Any) -> Any:
        others = [Otherwise(**{f: getattr(o, f) for f in FIELDS}) for o in objectives]
        return original(task, policy, reference, pairs, others, config)

    return mock.patch.object(pairs_bed, "encode", encode)


FIELDS = ("name", "measure", "direction", "unit")


def reference(make: Callable[[Policy], Any]) -> AbstractContextManager[Any]:
    """Another reference."""
    return mock.patch.object(pairs_bed, "open_reference", make)


# -- what is planted


def turned(pair: Pair) -> Pair:
    """The label the other way round."""
    return replace(pair, chosen=pair.rejected, rejected=pair.chosen)


def asked(pair: Pair, prompt: str) -> Pair:
    """Another prompt."""
    return replace(pair, problem=replace(pair.problem, prompt=prompt))


def coin(pairs: list[Pair]) -> list[Pair]:
    """About every other label turned."""
    return [turned(pair) if int(pair.problem.id[-1], 16) % 2 else pair for pair in pairs]


def both_orders(pairs: list[Pair]) -> list[Pair]:
    """Half of the pairs, each in both orders."""
    half = pairs[: len(pairs) // 2]
    return [*half, *map(turned, half)]


def other_split(task: Any, split: str, count: int) -> list[Pair]:
    """The pairs of the other data set."""
    other = {"train": "validation", "validation": "train"}[split]
    return _READ(task, other, min(count, 48))


def with_held_out(task: Any, split: str, count: int) -> list[Pair]:
    """The held-out pairs among the trained ones, under their split's name."""
    extra = [replace(p, problem=replace(p.problem, split="train")) for p in _READ(task, "validation", 48)]
    return [*_READ(task, split, count), *(extra if split == "train" else [])]


_READ = pairs_bed.read


def without_end(sample: Sample) -> Sample:
    """The end token outside the loss."""
    mask = (*sample.loss_mask[:-1], False)
    return replace(sample, loss_mask=mask)


def prompt_trained(sample: Sample) -> Sample:
    """The prompt inside the loss."""
    mask = (False, *[True] * (len(sample.tokens) - 1))
    return replace(sample, loss_mask=mask, weights=tuple(map(float, mask)))


def shifted(sample: Sample) -> Sample:
    """The mask one token late: the answer's first token is not trained."""
    mask = (False, *sample.loss_mask[:-1])
    return replace(sample, loss_mask=mask)


def retold(sample: Sample) -> Sample:
    """The prompt's first tokens once more, as a second template would put them."""
    more = sample.tokens[:3]
    mask, weights = (False,) * 3 + sample.loss_mask, (0.0,) * 3 + sample.weights
    return replace(sample, tokens=more + sample.tokens, loss_mask=mask, weights=weights)


def other_prompts(found: list[SamplePair]) -> list[SamplePair]:
    """Rejected rows from the neighbour: pairs kept by position, one was lost."""
    return [replace(p, rejected=found[k - 1].rejected) for k, p in enumerate(found)]


class _Changed:
    """A loss whose inputs or value are changed."""

    def __init__(self, inner: PairLoss, how: Callable[[PairLoss, PairOutputs, PairBatch], Any]) -> None:
        self.inner, self.how = inner, how

    def __call__(self, out: PairOutputs, batch: PairBatch) -> Any:
        return self.how(self.inner, out, batch)


def changed(how: Callable[[PairLoss, PairOutputs, PairBatch], Any]) -> AbstractContextManager[Any]:
    """The loss, with `how` around it."""
    return loss(lambda inner: _Changed(inner, how))


def margins_turned(inner: PairLoss, out: PairOutputs, batch: PairBatch) -> Any:
    """Margins rejected minus chosen."""
    return inner(out, replace(batch, margins_BM=-batch.margins_BM))


def sides_turned(inner: PairLoss, out: PairOutputs, batch: PairBatch) -> Any:
    """Chosen for rejected, and the reverse."""
    turned = replace(out, chosen_logp_B=out.rejected_logp_B, rejected_logp_B=out.chosen_logp_B)
    refs = {"ref_chosen_logp_B": batch.ref_rejected_logp_B, "ref_rejected_logp_B": batch.ref_chosen_logp_B}
    return inner(turned, replace(batch, **refs))  # type: ignore[arg-type]


def without_reference(inner: PairLoss, out: PairOutputs, batch: PairBatch) -> Any:
    """The reference taken for 0."""
    zero: Tensor = torch.zeros_like(out.chosen_logp_B)
    return inner(out, replace(batch, ref_chosen_logp_B=zero, ref_rejected_logp_B=zero))


def margins_ignored(inner: PairLoss, out: PairOutputs, batch: PairBatch) -> Any:
    """The margins taken for 0."""
    return inner(out, replace(batch, margins_BM=torch.zeros_like(batch.margins_BM)))


def in_bfloat16(objective: Objective, chosen: str, rejected: str) -> float:
    """A count of tokens kept in bfloat16, which knows whole numbers up to 256."""
    a, b = (torch.tensor(objective.measure(t) + 600, dtype=torch.bfloat16) for t in (chosen, rejected))
    gain = float(a - b) / objective.unit
    return gain if objective.direction == "maximize" else -gain


def perturbed(policy: Policy) -> FrozenCopy:
    """The reference is another model: the policy with noise."""
    copy = FrozenCopy(policy)
    generator = torch.Generator().manual_seed(0)
    state = {n: t + 0.02 * torch.randn(t.shape, generator=generator) for n, t in copy.state_dict().items()}
    copy.load_state_dict(state)
    return copy


class Live(FrozenCopy):
    """The policy itself, whatever it has become."""

    @contextmanager
    def swapped_in(self) -> Iterator[None]:
        """Nothing is swapped."""
        yield


def nan(policy: Policy) -> None:
    """One weight is not a number."""
    with torch.no_grad():
        next(policy.base_model.parameters())[5, 0] = float("nan")


def freeze(policy: Policy, part: str) -> None:
    """What has `part` in its name is not trained."""
    for name, p in policy.model.named_parameters():
        if part in name:
            p.requires_grad_(False)


def unfreeze(policy: Policy) -> None:
    """A layer of the base is trained beside the adapter."""
    for name, p in policy.model.named_parameters():
        p.requires_grad_("lora_" in name or "layers.0" in name)


def unscaled(policy: Policy) -> None:
    """The adapter's scale is 0."""
    for module in policy.model.modules():
        if isinstance(module, LoraLayer):
            module.scaling = dict.fromkeys(module.scaling, 0.0)


def rounded(policy: Policy) -> None:
    """Weights in 16 bits."""
    policy.model.to(torch.bfloat16)


class _AlsoTheBase:
    """Moves a tensor that is frozen, as an optimizer with a stale list of parameters does."""

    def __init__(self, policy: Policy) -> None:
        self.frozen = next(p for p in policy.model.parameters() if not p.requires_grad)

    def update(self, deltas: Any) -> Any:
        """The step's own changes, and one more."""
        with torch.no_grad():
            self.frozen.add_(1e-3)
        return deltas


def also_the_base(trainer: Trainer) -> Trainer:
    """A step that moves a frozen tensor too."""
    return Trainer(trainer.policy, trainer.optim, trainer.batching, interventions=(_AlsoTheBase(trainer.policy),))


def backwards(trainer: Trainer) -> Trainer:
    """A step up the loss."""

    class Uphill:
        def update(self, deltas: Any) -> Any:
            return {n: -d for n, d in deltas.items()}

    return Trainer(trainer.policy, trainer.optim, trainer.batching, interventions=(Uphill(),))


def _nothing() -> None:
    pass


def without_steps(trainer: Trainer) -> None:
    """An optimizer that does nothing."""
    trainer._optimizer.step = _nothing  # type: ignore[method-assign, assignment]


@contextmanager
def saved(*, trained: bool, discarded: bool) -> Iterator[None]:
    """The model is a directory that holds an adapter: trained or not, and used or silently left behind."""
    original = wiring.build_policy
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:

        def build(model: Any, adapter: Any, seed: int) -> Policy:
            made = Policy.load(model.path, adapter=LoRA(rank=4, alpha=8), seed=seed)
            assert isinstance(made.model, PeftModel)
            with torch.no_grad():
                for name, p in made.model.named_parameters() if trained else ():
                    if "lora_B" in name:
                        p.normal_(0, 0.02)
            made.save(Path(folder))
            named = model.model_copy(update={"path": folder})
            stack.enter_context(mock.patch.object(pairs_bed, "named", lambda config: Path(folder)))
            return original(model if discarded else named, adapter, seed)

        stack.enter_context(mock.patch.object(wiring, "build_policy", build))
        yield


def planted(id: str, mechanism: str, what: str, *caught_by: str, **more: Any) -> Fault:
    """A fault of the bed `pairs`."""
    given = {"bed": "pairs"} | more
    return Fault(id=f"pairs_{id}", mechanism=f"pairs: {mechanism}", what=what, caught_by=caught_by, **given)
