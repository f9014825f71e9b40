"""B."""

# -- beliefs


def state_beliefs(request, prompt):
    """A prior and a posterior of two digits each, drawn by the request's seed; the posterior overshoots."""
    rng = random.Random(request.sampling.seed)
    prior = rng.randrange(20, 80)
    posterior = min(99, max(1, prior + round(0.4 * (prior - 50)) + rng.randrange(-15, 16)))
    return f"0.{prior:02d} so 0.{posterior:02d}"


async def annotate_beliefs(engine, groups):
    """A probe at each digit that says how much: its position, and the belief that it is part of."""
    return [replace(g, rollouts=tuple(map(_with_probes, g.rollouts))) for g in groups]


def _with_probes(rollout):
    start, probes = rollout.loss_mask.index(True), []
    for name, match in zip(("prior", "posterior"), re.finditer(r"0\.(\d\d)", rollout.text), strict=True):
        span = range(start + match.start(1), start + match.end(1))
        probes += [Probe(name=name, position=t, value=float(match[0])) for t in span]
    return replace(rollout, probes=tuple(probes))


def stated(rollout, name):
    return next(p.value for p in rollout.probes if p.name == name)


def unpredictable_revisions(groups):
    """Every rollout's share in making Cov(prior, revision)^2 of the WHOLE step small."""
    rollouts = [r for g in groups for r in g.rollouts]
    prior_N, posterior_N = (torch.tensor([stated(r, x) for r in rollouts]).double() for x in ("prior", "posterior"))
    credit = iter(belief.leave_one_out_credit(belief.squared_covariance, prior_N, posterior_N - prior_N).tolist())
    return [replace(g, advantages=tuple(next(credit) for _ in g.rollouts)) for g in groups]


def belief_streams(groups, step, *, reference, anchor):
    """Credit on the posterior's digits; the prior's digits are held by a stream of their own."""
    credited = [(r, a) for g in groups for r, a in zip(g.rollouts, g.advantages, strict=True)]
    told = [_only(to_sample(r, a), r, "posterior") for r, a in credited]
    held = with_reference([_only(to_sample(r, 1.0), r, "prior") for r, _ in credited], reference)
    return [
        Stream(name="told", samples=told, loss=PolicyLoss(Reinforce()), reduction=token_mean),
        Stream(name="held", samples=held, loss=Anchor(), reduction=token_mean, coefficient=anchor),
    ]


def _only(sample, rollout, name):
    """Weights at the probes of this name alone; a fake engine's log-probabilities are not used."""
    at = {p.position for p in rollout.probes if p.name == name}
    weights = tuple(w if t in at else 0.0 for t, w in enumerate(sample.weights))
    return replace(sample, id=f"{sample.id}/{name}", weights=weights, logprobs=None)


class Spy:
    """A loss that remembers the gradient of every token's log-probability, by sample."""

    def __init__(self, loss):
        self.loss, self.seen = loss, []
        self.needs_entropy, self.silent_at_zero_weight = loss.needs_entropy, loss.silent_at_zero_weight

    def __call__(self, out, batch):
        out.logp_BT.retain_grad()
        self.seen.append((out, batch))
        return self.loss(out, batch)

    def touched(self):
        """Per sample which of its tokens, counted from the first trained one, got a gradient."""
        return {
            name: tuple((row != 0).nonzero()[:, 0].tolist())
            for out, batch in self.seen
            for name, row in zip(batch.ids, out.logp_BT.grad, strict=True)
        }


# -- probes with a step-wide statistic

WEATHER = (problem("will it rain? "), problem("will it snow? "))


def beliefs(policy, steps, *, anchor=1.0, lr=1e-3):
    """Two problems, six rollouts each; rollouts do not depend on the policy, so arms see the same ones."""
    trainer = scratch(policy, lr=lr)
    feed = online(
        trainer,
        FakeEngine(state_beliefs, TOKENIZER, end_id=1),
        WEATHER,
        grade=lambda problem, text: judged(False),
        annotate=annotate_beliefs,
        credit=unpredictable_revisions,
        streams=partial(belief_streams, reference=FrozenCopy(policy), anchor=anchor),
        n=6,
        max_tokens=20,
    )
    return asyncio.run(drive(feed, trainer, steps))


def credited(stream):
    """Per sample its one weight that is not 0."""
    return [next(w for w in s.weights if w) for s in stream.samples]


def said(sample, at):
    """(prior, posterior) as the text of the sample says them."""
    text = TOKENIZER.decode([t for t, m in zip(sample.tokens, sample.loss_mask, strict=True) if m])
    return float(text[:4]), float(text[8:12])


def test_credit_is_what_each_rollout_adds_to_a_statistic_of_the_whole_step(policy):
    told, _ = beliefs(policy, 1)[0][0].streams
    p, q = torch.tensor([said(s, told) for s in told.samples]).double().T

    def statistic(keep):
        return float(torch.cov(torch.stack([p, q - p])[:, keep], correction=0)[0, 1]) ** 2

    everyone, N = list(range(12)), 12
    by_hand = [-N * (statistic(everyone) - statistic([j for j in everyone if j != i])) for i in everyone]
    assert credited(told) == approx(by_hand, abs=1e-9)
    assert max(by_hand) > 1e-4 > -1e-4 > min(by_hand)


def test_credit_reaches_the_belief_and_the_anchor_the_prior(policy):
    moved, before = tiny_policy(), FrozenCopy(policy)
    beliefs(moved, 2, lr=3e-3)
    told, held = beliefs(policy, 1)[0][0].streams
    held = replace(held, samples=with_reference(held.samples, before))
    digits = {"told": (10, 11), "held": (2, 3)}
    for stream in (told, held):
        spy = Spy(stream.loss)
        got = scratch(moved).backward([replace(stream, loss=spy)])
        assert set(spy.touched().values()) == {digits[stream.name]} and len(spy.touched()) == 12
        assert difference(by_hand(moved, stream, digits[stream.name]), got) < 1e-5


def by_hand(policy, stream, digits):
    """Credit times log-probability, or k3 to the reference, at these tokens of the answer alone."""
    total = torch.zeros(())
    for sample in stream.samples:
        start, own = sample.loss_mask.index(True), token_logp(policy, sample)
        for t in digits:
            if stream.name == "told":
                total = total - sample.weights[start + t] * own[t]
            else:
                d = sample.ref_logprobs[start + t] - own[t]
                total = total + d.exp() - d - 1
    return gradient_of(policy, total / sum(s.trained_tokens for s in stream.samples))


def test_the_anchor_holds_the_prior_while_the_belief_moves():
    def drift(anchor):
        policy = tiny_policy()
        start = tiny_policy()
        told, held = beliefs(policy, 6, anchor=anchor, lr=3e-3)[-1][0].streams
        gains = sum(w * (logp_at(policy, s, w) - logp_at(start, s, w)) for s, w in zip(told.samples, credited(told)))
        return gains, sum((logp_at(policy, s, 1) - logp_at(start, s, 1)) ** 2 for s in held.samples)

    (free_gain, free), (gain, anchored) = drift(0.0), drift(30.0)
    assert free_gain > 0 and gain > 0
    assert anchored < 0.3 * free


def logp_at(policy, sample, weight):
    """Log-probability of the tokens that have this weight."""
    with torch.no_grad():
        own = token_logp(policy, sample)
    weights = [w for w, m in zip(sample.weights, sample.loss_mask, strict=True) if m]
    return sum(float(x) for x, w in zip(own, weights, strict=True) if w == weight)
