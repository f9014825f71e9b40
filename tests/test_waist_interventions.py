"""I."""

# -- hacking: interventions, each with the argument that makes it its own control arm


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
            lambda m, args, out_RSD: self._note("activation", [float((out_RSD @ self.v_D).abs().max())])
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
        return self.found

    def _note(self, what, values):
        if values:
            self.found[f"along/{what}"] = Metric.of(values)


class Erase:
    """Drops what goes towards +V, per named parameter; `source` renews V before a step."""

    def __init__(self, source):
        self.source, self.V = source, source()

    def refresh(self, step):
        self.V = self.source()

    def _one_sided(self, named):
        return {n: project.erase(g.flatten(), self.V[n]).view_as(g) if n in self.V else g for n, g in named.items()}


class EraseGradients(Erase):
    def gradients(self, gradients, backward):
        return self._one_sided(gradients)


class EraseUpdates(Erase):
    def update(self, deltas):
        return {n: -d for n, d in self._one_sided({n: -d for n, d in deltas.items()}).items()}


def contrast(policy, unwanted: Sample, wanted: Sample):
    """Per matrix the direction in which a loss gradient trains the unwanted answer instead of the wanted one."""
    up, down = (scratch(policy).backward([supervised("pair", [s])]) for s in (unwanted, wanted))
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

    def credit(self, groups, probes):
        chosen = self.choose(probes)
        return [
            replace(g, advantages=tuple(0.0 if r.id in chosen else a for r, a in zip(g.rollouts, g.advantages)))
            for g in groups
        ]


