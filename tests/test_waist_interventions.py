"""Interventions at the waist: every place they may act at, each with a control arm that differs in one argument."""

import asyncio
import random
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import pytest
import torch
from pytest import approx

from helpers import tiny_policy
from trainer_toys import difference
from trueloop.engines.fake import FakeEngine
from trueloop.formulas import project
from trueloop.recipes.policy import give_advantages
from trueloop.records import Metric, Probe
from waist_toys import (
    TOKENIZER,
    answer,
    drive,
    flat,
    judged,
    online,
    policy_stream,
    problem,
    scratch,
    supervised,
    token_logp,
    unaware_of_the_sampler,
)

PROMPT, HACK, SOLUTION = "make the tests pass: ", "skip!", "solve"
UNWANTED, WANTED = answer("hack", PROMPT, HACK), answer("solution", PROMPT, SOLUTION)
MODULE = "model.layers.0.mlp"


class EraseActivations:
    """Takes the component along a unit vector out of what a module returns, while training."""

    def __init__(self, module, v_D):
        self.module, self.v_D = module, v_D

    @contextmanager
    def forward(self, model, stream):
        handle = model.get_submodule(self.module).register_forward_hook(
            lambda m, args, out_RSD: out_RSD - (out_RSD @ self.v_D)[..., None] * self.v_D
        )
        try:
            yield
        finally:
            handle.remove()


class Along:
    """Watches, and changes nothing: activations, gradients and updates along given directions; last in the chain."""

    def __init__(self, *, module=None, v_D=None, V=None):
        self.module, self.v_D, self.V = module, v_D, V or {}
        self.found = {}

    @contextmanager
    def forward(self, model, stream):
        if self.module is None:
            yield
            return
        handle = model.get_submodule(self.module).register_forward_hook(
            lambda m, args, out_RSD: self._note("activation", (out_RSD.detach() @ self.v_D).abs().flatten().tolist())
        )
        try:
            yield
        finally:
            handle.remove()

    def gradients(self, gradients, backward):
        self._note("gradient", [float((self.V[n] @ gradients[n].flatten()).max()) for n in self.V])
        self.gradient = gradients
        return gradients

    def update(self, deltas):
        """The step goes down, so what it does along +V has the other sign."""
        self._note("update", [float((self.V[n] @ -deltas[n].flatten()).max()) for n in self.V])
        return deltas

    def metrics(self):
        found, self.found = self.found, {}
        return found

    def _note(self, what, values):
        if new := Metric.of(values):
            name = f"along/{what}"
            self.found[name] = self.found[name].merge(new) if name in self.found else new


class Erase:
    """Drops what goes towards +V, per named parameter; `source` makes V of gradients, anew before each step."""

    def __init__(self, source):
        self.source = source

    def refresh(self, step, backward):
        self.V = self.source(backward)

    def _one_sided(self, named):
        return {n: project.erase(g.flatten(), self.V[n]).view_as(g) if n in self.V else g for n, g in named.items()}


class EraseGradients(Erase):
    def gradients(self, gradients, backward):
        return self._one_sided(gradients)


class EraseUpdates(Erase):
    def update(self, deltas):
        return {n: -d for n, d in self._one_sided({n: -d for n, d in deltas.items()}).items()}


def contrast(backward):
    """Per matrix the direction in which a loss gradient trains the unwanted answer instead of the wanted one."""
    up, down = (backward([supervised("pair", [s])]) for s in (UNWANTED, WANTED))
    return {n: project.directions((g - down[n]).view(1, -1), 1)[0] for n, g in up.items() if g.ndim == 2}


def at_random(V, seed=0):
    """As many directions in as many dimensions, drawn: the control."""
    generator = torch.Generator().manual_seed(seed)
    return {n: project.random_directions(*V_KD.shape, generator) for n, V_KD in V.items()}


class AGem:
    """g -= (g.r / r.r) r where g.r < 0, with r the gradient of replayed rows (arXiv:1812.00420, eq. 11).

    `turn` makes r of that gradient; a control arm turns it into something else of its norm.
    """

    def __init__(self, replay, turn=lambda named: named):
        self.replay, self.turn = replay, turn

    def gradients(self, gradients, backward):
        r = self.turn(backward([self.replay]))
        self.along = float(flat(gradients) @ flat(r))
        square = float(flat(r) @ flat(r))
        return {n: g - min(self.along, 0.0) / square * r[n] for n, g in gradients.items()}


def random_of_that_norm(named, seed):
    generator = torch.Generator().manual_seed(seed)
    drawn = {n: torch.randn(t.shape, generator=generator) for n, t in named.items()}
    scale = flat(named).norm() / flat(drawn).norm()
    return {n: scale * t for n, t in drawn.items()}


class Screen:
    """Chosen rollouts get the advantage 0, whatever their reward."""

    def __init__(self, choose):
        self.choose = choose

    def credit(self, groups):
        chosen = self.choose({r.id: r.probes for g in groups for r in g.rollouts})

        def screened(group):
            rows = zip(group.rollouts, group.advantages, strict=True)
            return replace(group, advantages=tuple(0.0 if r.id in chosen else a for r, a in rows))

        return [screened(group) for group in groups]


# -- a world in which the proxy pays for the hack


async def suspect(engine, groups):
    """A monitor that sees the hack."""

    def flag(rollout):
        whole = {"start": rollout.loss_mask.index(True), "stop": len(rollout.tokens)}
        return replace(rollout, probes=(Probe(name="suspicion", **whole, value=float(rollout.text == HACK)),))

    return [replace(g, rollouts=tuple(map(flag, g.rollouts))) for g in groups]


def train(interventions, steps=1):
    """(policy, fill and report of every step); what is sampled does not depend on the policy."""
    policy = tiny_policy()
    trainer = scratch(policy, lr=1e-3, interventions=interventions)
    engine = FakeEngine(lambda request, prompt: HACK if request.sampling.seed % 2 else SOLUTION, TOKENIZER)
    feed = online(
        trainer,
        engine,
        [problem(PROMPT)],
        grade=lambda problem, text: judged(text == HACK),
        annotate=suspect,
        credit=partial(give_advantages, kind="rloo"),
        streams=lambda groups, step: unaware_of_the_sampler(policy_stream(groups, step)),
        n=12,
        max_tokens=len(HACK),
    )
    return policy, asyncio.run(drive(feed, trainer, steps))


def logp(policy, sample):
    with torch.no_grad():
        return float(token_logp(policy, sample).sum())


def hacking(policy):
    return logp(policy, UNWANTED) - logp(policy, WANTED)


def activations(policy, sample):
    """What MODULE returns, of every token [T, D], outside of training."""
    seen = []
    handle = policy.model.get_submodule(MODULE).register_forward_hook(lambda m, args, out: seen.append(out[0]))
    with torch.no_grad():
        policy.model(input_ids=torch.tensor([sample.tokens]))
    handle.remove()
    return seen[0]


def test_without_intervention_the_proxy_is_learned():
    assert hacking(train([], steps=3)[0]) > hacking(tiny_policy()) + 1


def test_an_erased_direction_is_gone_while_training_and_back_after():
    start = tiny_policy()
    difference_D = (activations(start, UNWANTED) - activations(start, WANTED)).mean(0)
    v_D = difference_D / difference_D.norm()
    control_D = project.random_directions(1, len(v_D), torch.Generator().manual_seed(0))[0]

    def arm(direction_D, watched_D):
        policy, done = train([EraseActivations(MODULE, direction_D), Along(module=MODULE, v_D=watched_D)])
        return policy, done[0][1], done[0][1].metrics["along/activation"].high

    plain = train([Along(module=MODULE, v_D=v_D)])[1][0][1]
    policy, erased, left = arm(v_D, v_D)
    _, control, beside = arm(control_D, v_D)
    assert left < 1e-5 and arm(control_D, control_D)[2] < 1e-5
    assert beside > 0.5 * plain.metrics["along/activation"].high > 0.1
    assert float((activations(policy, UNWANTED) @ v_D).abs().max()) > 0.1
    assert len({round(report.grad_norm, 5) for report in (plain, erased, control)}) == 3


def test_a_gradient_without_the_direction_still_moves_along_it_after_adam():
    V = contrast(scratch(tiny_policy()).backward)

    def along(*interventions):
        metrics = train([*interventions, Along(V=V)])[1][0][1].metrics
        return metrics["along/gradient"], metrics["along/update"]

    gradients, updates = EraseGradients(lambda backward: V), EraseUpdates(lambda backward: V)
    control = EraseGradients(lambda backward: at_random(V)), EraseUpdates(lambda backward: at_random(V))
    plain, erased, both, random_arm = along(), along(gradients), along(gradients, updates), along(*control)
    assert plain[0].high > 1 and plain[1].high > 1e-2
    assert erased[0].high < 1e-5 and erased[1].high > 1e-2
    assert both[0].high < 1e-5 and both[1].high < 1e-6
    for found, expected in zip(random_arm, plain, strict=True):
        assert found.mean == approx(expected.mean, rel=0.1) and found.mean != expected.mean


def test_only_the_right_direction_stops_the_hack():
    def rise(turn):
        interventions = [EraseUpdates(lambda backward: turn(contrast(backward)))] if turn is not None else []
        policy, _ = train(interventions, steps=4)
        return hacking(policy) - hacking(tiny_policy())

    plain, erased, control = rise(None), rise(lambda V: V), rise(at_random)
    assert plain > 1
    assert control > 0.8 * plain
    assert erased < 0.1 * plain


def test_replayed_rows_are_not_unlearned():
    replay = supervised("replay", [WANTED])
    g, r = (scratch(tiny_policy()).backward([s]) for s in (train([])[1][0][0].streams[0], replay))
    assert flat(g) @ flat(r) < 0

    def arm(turn):
        agem, along = AGem(replay, turn), Along()
        policy, done = train([agem, along])
        assert done[0][1].denominator == {"policy": 12 * len(HACK)}
        return policy, agem, along.gradient

    projected, agem, found = arm(lambda named: named)
    assert agem.along == approx(float(flat(g) @ flat(r)), rel=1e-4)
    by_hand = {n: g[n] - flat(g) @ flat(r) / (flat(r) @ flat(r)) * r[n] for n in g}
    assert difference(by_hand, found) < 1e-5 and abs(float(flat(found) @ flat(r))) < 1e-5 * abs(agem.along)

    controlled, control, found = arm(partial(random_of_that_norm, seed=0))
    assert control.along < 0, "this seed is to take the same branch"
    assert 0 < difference(g, found) < 0.2 and flat(found) @ flat(r) < 0.8 * flat(g) @ flat(r)

    plain, kept, random_arm = (logp(p, WANTED) for p in (train([])[0], projected, controlled))
    assert kept > plain + 0.1 and random_arm == approx(plain, abs=0.1)


def suspicious(probes):
    return {name for name, own in probes.items() if any(p.name == "suspicion" and p.value > 0.5 for p in own)}


def as_many_at_random(probes):
    return set(random.Random(0).sample(sorted(probes), len(suspicious(probes))))


@pytest.mark.parametrize("choose", [suspicious, as_many_at_random])
def test_a_screened_rollout_has_no_say_and_still_counts(choose):
    seen = {}

    def remember(probes):
        seen["chosen"] = choose(probes)
        return seen["chosen"]

    (plain,) = train([])[1][0][0].streams
    fill, report = train([Screen(remember)])[1][0]
    hacks = {s.id for s in plain.samples if max(s.weights) > 0}
    assert 2 < len(hacks) == len(seen["chosen"]) < 10 and (seen["chosen"] == hacks) == (choose is suspicious)
    silenced = [replace(s, weights=(0.0,) * len(s.weights)) if s.id in seen["chosen"] else s for s in plain.samples]
    assert list(fill.streams[0].samples) == silenced
    assert report.denominator == {"policy": 12 * len(HACK)}
    assert report.metrics["policy/silent"].mean == len(hacks) / 12
