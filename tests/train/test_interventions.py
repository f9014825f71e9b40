"""Each family of interventions from the literature, as a small object against a hand calculation."""

import threading
from contextlib import contextmanager

import pytest
import torch
from pytest import approx

from helpers import tiny_policy
from trainer_toys import Capture, Halve, Sft, difference, groups, measure, rl
from trueloop.errors import ConfigError, TrainingError
from trueloop.formulas.project import erase, random_directions
from trueloop.records import Group, Metric, Problem
from trueloop.train.batch import Batching
from trueloop.train.interventions import Chain
from trueloop.train.optim import Optim
from trueloop.train.step import Trainer

LAYER = "model.layers.0.mlp"


def flat(named):
    return torch.cat([t.flatten() for t in named.values()])


def basis(policy, K=3):
    generator = torch.Generator().manual_seed(0)
    return {n: random_directions(K, p.numel(), generator) for n, p in policy.trainable().items() if p.ndim == 2}


class Erase:
    """One-sided erasure of gradients, per parameter."""

    def __init__(self, directions):
        self.directions = directions

    def gradients(self, gradients, backward):
        return {n: self._one(n, g) for n, g in gradients.items()}

    def _one(self, name, g):
        V = self.directions.get(name)
        return g if V is None else erase(g.flatten(), V).view_as(g)

    def metrics(self):
        return {"erase/directions": Metric(total=1, count=1, low=1, high=1)}


class EraseUpdate:
    """The same on what Adam made of the gradient; the update goes down, so its sign is the other one."""

    def __init__(self, directions):
        self.erase = Erase(directions)

    def update(self, deltas):
        return {n: -g for n, g in self.erase.gradients({n: -d for n, d in deltas.items()}, None).items()}


class Untouched:
    """The control arm: the same methods, no effect."""

    def gradients(self, gradients, backward):
        backward(backward.streams)
        return gradients


class AGem:
    """g -= (g.r / r.r) r where g.r < 0, with r the gradient on a replayed batch (arXiv:1812.00420, eq. 11)."""

    def __init__(self, replay):
        self.replay = replay

    def gradients(self, gradients, backward):
        r = backward([self.replay])
        along = sum(float((gradients[n] * r[n]).sum()) for n in r)
        square = sum(float((t * t).sum()) for t in r.values())
        return {n: g - min(along, 0.0) / square * r[n] for n, g in gradients.items()}


class Sharpness:
    """The gradient at the worst nearby point (SAM, arXiv:2010.01412, eq. 2)."""

    def __init__(self, radius):
        self.radius = radius

    def gradients(self, gradients, backward):
        norm = float(flat(gradients).norm())
        return backward(backward.streams, at={n: self.radius / norm * g for n, g in gradients.items()})


class RouteBlock:
    """Rows of the stream "flagged" may only touch one block (gradient masks as in gradient routing)."""

    def __init__(self, flagged, block):
        self.flagged, self.block = flagged, block

    def gradients(self, gradients, backward):
        own = backward([self.flagged])
        return {n: g if self.block in n else g - own[n] for n, g in gradients.items()}


@pytest.fixture
def policy():
    return tiny_policy()


def test_forward_hooks_act_while_training_and_only_then(policy):
    streams = [rl(groups(1, [3]))]
    plain, _ = measure(policy, streams)
    halved, gradient = measure(policy, streams, interventions=[Halve(LAYER)])
    assert halved.loss != approx(plain.loss, rel=1e-3)
    with Halve(LAYER).forward(policy.model, "rl"):
        by_hand, by_hand_gradient = measure(policy, streams)
    assert halved.loss == by_hand.loss and torch.equal(flat(gradient), flat(by_hand_gradient))
    assert measure(policy, streams)[0].loss == plain.loss
    trainer = Trainer(policy, Optim(lr=0.1), Batching(), interventions=[Halve(LAYER)])
    samples = groups(1, [3])
    assert trainer.logprobs(samples) == Trainer(policy, Optim(lr=0.1), Batching()).logprobs(samples)


def test_forward_may_treat_one_stream_alone(policy):
    a, b = rl(groups(1, [2])), rl(groups(2, [2]), Sft(), name="flagged")
    both, _ = measure(policy, [a, b], interventions=[Halve(LAYER, only="flagged")])
    assert both.metrics["rl/loss"] == measure(policy, [a])[0].metrics["rl/loss"]
    halved = measure(policy, [b], interventions=[Halve(LAYER)])[0]
    assert both.metrics["flagged/loss"].mean == approx(halved.loss, rel=1e-6)


def test_erased_gradients_have_nothing_left_along_plus_v(policy):
    V = basis(policy)
    streams = [rl(groups(1, [3]))]
    _, before = measure(policy, streams)
    report, after = measure(policy, streams, interventions=[Erase(V)])
    for name, V_KD in V.items():
        assert (V_KD @ after[name].flatten()).max() < 1e-6
        kept = (V_KD @ before[name].flatten()).clamp(max=0)
        assert torch.allclose(V_KD @ after[name].flatten(), kept, atol=1e-6)
    assert report.grad_norm == approx(float(flat(after).norm()), rel=1e-5) and report.grad_norm < flat(before).norm()
    assert report.metrics["erase/directions"].total == 1


def test_adam_turns_an_erased_gradient_back_and_the_update_can_be_erased(policy):
    V = basis(policy)

    def moved(interventions):
        policy = tiny_policy()
        start = {n: p.detach().clone() for n, p in policy.trainable().items()}
        trainer = Trainer(policy, Optim(lr=0.01), Batching(), interventions=interventions)
        trainer.step([rl(groups(1, [3]))])
        return {n: p.detach() - start[n] for n, p in policy.trainable().items()}

    def along(deltas):  # how far the step went down, against the loss gradient's direction +V
        return max(float((-(V_KD @ deltas[n].flatten())).max()) for n, V_KD in V.items())

    assert along(moved([Erase(V)])) > 1e-3
    assert along(moved([EraseUpdate(V)])) < 1e-5


def test_a_control_arm_takes_the_same_path_and_changes_nothing(policy):
    streams = [rl(groups(1, [3]))]
    assert torch.equal(
        flat(measure(policy, streams)[1]), flat(measure(policy, streams, interventions=[Untouched()])[1])
    )


def test_agem_never_hurts_the_replayed_batch(policy):
    own = [rl(groups(1, [3]))]
    opposite = rl(groups(1, [3]), reduction=lambda n: [-0.1] * len(n), name="replay")
    _, r = measure(policy, [opposite])
    _, g = measure(policy, own)
    assert torch.dot(flat(g), flat(r)) < 0
    _, projected = measure(policy, own, interventions=[AGem(opposite)])
    assert abs(float(torch.dot(flat(projected), flat(r)))) < 1e-4 * float(flat(g).norm() * flat(r).norm())


def test_sharpness_aware_steps(policy):
    streams = [rl(groups(1, [3]))]
    _, g = measure(policy, streams)
    _, sharp = measure(policy, streams, interventions=[Sharpness(0.05)])
    scale = 0.05 / float(flat(g).norm())
    displaced = Trainer(policy, Optim(lr=0.1), Batching()).backward(streams, at={n: scale * t for n, t in g.items()})
    assert difference(displaced, sharp) < 1e-5 and difference(g, sharp) > 1e-3


def test_flagged_rows_can_be_kept_in_their_block(policy):
    flagged, rest = rl(groups(2, [2]), Sft(), name="flagged"), rl(groups(1, [2]))
    _, routed = measure(policy, [rest, flagged], interventions=[RouteBlock(flagged, "layers.1.mlp")])
    _, both = measure(policy, [rest, flagged])
    _, alone = measure(policy, [rest])
    for name, g in routed.items():
        assert torch.allclose(g, (both if "layers.1.mlp" in name else alone)[name], atol=1e-6), name


def test_a_chain_applies_each_to_what_the_one_before_left(policy):
    class Add:
        def __init__(self, x):
            self.x = x

        def gradients(self, gradients, backward):
            return {n: g * 2 + self.x for n, g in gradients.items()}

    found = Chain([Add(1.0), Add(3.0)]).gradients({"w": torch.tensor([1.0])}, None)
    assert found["w"].item() == 9.0


def test_credit_and_refresh_reach_those_that_have_them():
    class Sink:
        def credit(self, groups):
            return [Group(problem=g.problem, rollouts=g.rollouts, advantages=()) for g in groups]

        def refresh(self, step, backward):
            self.seen = (step, backward)

    problem = Problem.create(prompt="1+1", target=2, task="t", split="train")
    sink = Sink()
    chain = Chain([Halve(LAYER), sink])
    assert chain.credit([Group(problem=problem, rollouts=())])[0].advantages == ()
    chain.refresh(7, backward := object())
    assert sink.seen == (7, backward)


def test_what_is_refreshed_may_be_made_of_gradients(policy):
    """Directions of other rows, taken before each step at the weights that it starts from."""
    rows, own = rl(groups(2, [2]), Sft(), name="pairs"), [rl(groups(1, [3]))]

    class Renewed:
        V, steps = [], []

        def refresh(self, step, backward):
            assert backward.streams == ()
            self.steps.append(step)
            self.V.append(backward([rows]))

    trainer = Trainer(policy, Optim(lr=0.01), Batching(), interventions=[renewed := Renewed()])
    expected = []
    for step in (1, 2):
        expected.append(measure(policy, [rows])[1])
        trainer.refresh(step)
        trainer.step(own)
    assert renewed.steps == [1, 2]
    assert all(torch.equal(flat(a), flat(b)) for a, b in zip(renewed.V, expected, strict=True))
    assert difference(*renewed.V) > 1e-3


def test_an_object_without_a_method_is_no_intervention():
    with pytest.raises(ConfigError, match="object is no intervention"):
        Chain([object()])


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        *[("gradient", "gradients"), ("Gradients", "gradients"), ("gradeints", "gradients"), ("grads", "gradients")],
        *[("foward", "forward"), ("updates", "update"), ("credits", "credit"), ("metric", "metrics")],
        *[("refreshed", "refresh"), ("grad", "gradients")],
    ],
)
def test_a_misspelt_method_is_refused_with_the_one_that_is_meant(name, meant):
    kept = "refresh" if meant != "refresh" else "update"
    odd = type("Odd", (), {name: lambda self: None, kept: lambda self: None})
    with pytest.raises(ConfigError, match=rf"Odd\.{name} is no method of an intervention.*rename it to '{meant}'"):
        Chain([odd()])


def test_helpers_and_data_of_other_names_are_no_misspellings():
    class Honest:
        def __init__(self):
            self.gradient, self.metric = 0.5, {}

        def gradients(self, gradients, backward):
            return gradients

        def gradient_of(self, rows): ...

        def grad(self, rows):
            """A helper beside the real one."""

        def reward(self): ...

        def score(self): ...

        def project(self): ...

        def _forward(self): ...

    assert Chain([Honest()]).having("gradients")


@pytest.mark.parametrize("method", ["gradients", "update"])
def test_lost_names_and_nan_are_named_and_leave_the_weights(policy, method):
    def lose(named, backward=None):
        return dict(list(named.items())[1:])

    def spoil(named, backward=None):
        return {n: t * float("nan") for n, t in named.items()}

    before = {n: p.detach().clone() for n, p in policy.trainable().items()}
    for act, message in ((lose, "1 differ, the first is"), (spoil, "returned nan or inf")):
        arm = type("Arm", (), {method: staticmethod(act)})()
        trainer = Trainer(policy, Optim(lr=0.1), Batching(), interventions=[arm])
        with pytest.raises(TrainingError, match=rf"Arm\.{method} .*{message}|Arm\.{method} {message}"):
            trainer.step([rl(groups(1, [2]))])
        assert all(torch.equal(p, before[n]) for n, p in policy.trainable().items())
        assert trainer.version == 0


def test_state_without_restore_is_refused():
    with pytest.raises(ConfigError, match="needs both"):
        Chain([type("Half", (), {"state": lambda self: {}})()])


def test_two_metrics_of_one_name_are_refused():
    with pytest.raises(ConfigError, match="'erase/directions'"):
        Chain([Erase({}), Erase({})]).metrics()


def test_what_cannot_be_sent_to_workers_is_refused_by_name():
    class Local:
        def __init__(self):
            self.lock = threading.Lock()

        @contextmanager
        def forward(self, model, stream):
            yield

    with pytest.raises(ConfigError, match=r"\(Local\) cannot be sent to worker processes"):
        Chain([Local()]).for_workers()
    assert Chain([Capture()]).for_workers() == Chain([]).for_workers()
