import json

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from trueloop.errors import DataError
from trueloop.store.ledger import FateLedger, Ticket

REASONS = ["all right", "all wrong", "too long"]


def test_every_ticket_has_one_fate_and_the_counts_say_which():
    ledger = FateLedger()
    a, b, c, d, e = (ledger.issue(p, 0, version=v) for p, v in [("a", 0), ("b", 0), ("c", 1), ("d", 1), ("e", 2)])
    ledger.use(a)
    ledger.use(a)
    ledger.filter(b, "all right")
    ledger.stale(c)
    ledger.fail(d, "EngineError")
    fates = ("used", "filtered", "stale", "failed", "open")
    assert [ledger.count(fate) for fate in fates] == [1, 1, 1, 1, 1]
    assert [ledger.fate(t) for t in (a, b, c, d, e)] == list(fates)
    assert ledger.count("stale", version=1) == 1
    assert ledger.count("stale", version=0) == 0
    assert ledger.count("filtered", reason="all wrong") == 0
    assert ledger.count("open", version=2) == 1
    assert (ledger.issued, ledger.uses) == (5, 2)
    assert ledger.open_tickets() == {e: 2}
    assert ledger.summary() == (
        "5 issued: 1 used, 1 filtered (1 all right), 1 stale, 1 failed (1 EngineError), 1 open; groups trained 2 times"
    )


def test_a_summary_names_only_what_happened():
    ledger = FateLedger()
    assert ledger.summary() == "0 issued: 0 used"
    ledger.use(ledger.issue("a", 0, version=0))
    assert ledger.summary() == "1 issued: 1 used"


def test_reasons_come_the_most_frequent_first():
    ledger = FateLedger()
    for i, reason in enumerate(["too long", "all wrong", "all wrong"]):
        ledger.filter(ledger.issue(f"p{i}", 0, version=i), reason)
    assert list(ledger.reasons("filtered").items()) == [("all wrong", 2), ("too long", 1)]
    assert ledger.reasons("failed") == {}


def test_a_stale_or_failed_problem_is_attempted_again_and_a_used_one_only_in_the_next_epoch():
    ledger = FateLedger()
    ledger.stale(ledger.issue("a", 0, version=0))
    ledger.fail(ledger.issue("a", 0, version=1), "EngineError")
    third = ledger.issue("a", 0, version=2)
    assert third == Ticket("a", 0, 2)
    with pytest.raises(DataError, match=r"problem 'a' cannot be issued again in epoch 0: attempt 2 is open"):
        ledger.issue("a", 0, version=2)
    ledger.use(third)
    with pytest.raises(DataError, match="attempt 2 is used; expected none, or one that is stale or failed"):
        ledger.issue("a", 0, version=3)
    assert ledger.attempts("a", 0) == 3
    assert ledger.issue("a", 1, version=3) == Ticket("a", 1, 0)
    assert ledger.attempts("a", 1) == 1


@pytest.mark.parametrize("second", ["filter", "stale", "fail", "use"])
@pytest.mark.parametrize("first", ["filter", "stale", "fail"])
def test_a_closed_ticket_stays_what_it_is(first, second):
    def close(how):
        getattr(ledger, how)(ticket, *(["why"] if how in ("filter", "fail") else []))

    ledger = FateLedger()
    ticket = ledger.issue("a", 0, version=0)
    close(first)
    before = ledger.state()
    with pytest.raises(DataError, match=r"cannot become .*; expected an open ticket"):
        close(second)
    assert ledger.state() == before


def test_a_used_ticket_cannot_become_stale():
    ledger = FateLedger()
    ticket = ledger.issue("a", 0, version=0)
    ledger.use(ticket)
    with pytest.raises(DataError, match="cannot become stale: it is used"):
        ledger.stale(ticket)


@pytest.mark.parametrize("ticket", [Ticket("b", 0, 0), Ticket("a", 1, 0), Ticket("a", 0, 1), Ticket("a", 0, -1)])
def test_a_ticket_that_was_never_issued_is_refused(ticket):
    ledger = FateLedger()
    ledger.issue("a", 0, version=0)
    with pytest.raises(DataError, match="was never issued"):
        ledger.use(ticket)
    assert ledger.uses == 0


@pytest.mark.parametrize(
    "harm",
    [
        lambda s: s["history"]["a"].update({"0": "f"}),
        lambda s: s["open"].clear(),
        lambda s: s["counts"][0].__setitem__(3, 2),
        lambda s: s.update(issued=9),
    ],
)
def test_a_state_that_does_not_add_up_is_refused(harm):
    ledger = FateLedger()
    ledger.use(ledger.issue("a", 0, version=0))
    ledger.issue("b", 0, version=0)
    state = ledger.state()
    FateLedger.restore(state)
    harm(state)
    with pytest.raises(DataError, match="ledger: "):
        FateLedger.restore(state)


def test_the_state_is_small():
    ledger = FateLedger()
    for i in range(1000):
        for epoch in range(4):
            ledger.use(ledger.issue(f"gsm8k-{i:016x}", epoch, version=i // 100))
    assert len(json.dumps(ledger.state())) / 4000 < 20, "bytes per problem and epoch"


class Accounts(RuleBasedStateMachine):
    """The ledger against a plain list of what was done, through saving and restoring at any moment."""

    @initialize()
    def begin(self):
        self.ledger = FateLedger()
        self.fates: dict[Ticket, tuple[str, str, int]] = {}
        self.uses = 0

    def some(self, draw, fate):
        tickets = [t for t, (f, _, _) in self.fates.items() if f == fate]
        return draw.draw(st.sampled_from(tickets)) if tickets else None

    @rule(problem=st.sampled_from("abcd"), epoch=st.integers(0, 2), version=st.integers(0, 3))
    def issue(self, problem, epoch, version):
        past = [(t, f) for t, (f, _, _) in self.fates.items() if (t.problem_id, t.epoch) == (problem, epoch)]
        if any(fate in ("open", "used", "filtered") for _, fate in past):
            with pytest.raises(DataError):
                self.ledger.issue(problem, epoch, version=version)
            return
        ticket = self.ledger.issue(problem, epoch, version=version)
        assert ticket == Ticket(problem, epoch, len(past))
        self.fates[ticket] = ("open", "", version)

    @precondition(lambda self: any(f == "open" for f, _, _ in self.fates.values()))
    @rule(draw=st.data(), how=st.sampled_from(["used", "filtered", "stale", "failed"]), why=st.sampled_from(REASONS))
    def close(self, draw, how, why):
        ticket = self.some(draw, "open")
        why = why if how in ("filtered", "failed") else ""
        verb = {"used": "use", "filtered": "filter", "stale": "stale", "failed": "fail"}[how]
        getattr(self.ledger, verb)(ticket, *([why] if why else []))
        self.uses += how == "used"
        self.fates[ticket] = (how, why, self.fates[ticket][2])

    @precondition(lambda self: any(f == "used" for f, _, _ in self.fates.values()))
    @rule(draw=st.data())
    def read_again(self, draw):
        self.ledger.use(self.some(draw, "used"))
        self.uses += 1

    @precondition(lambda self: any(f not in ("open", "used") for f, _, _ in self.fates.values()))
    @rule(draw=st.data(), fate=st.sampled_from(["filtered", "stale", "failed"]))
    def close_twice(self, draw, fate):
        ticket = self.some(draw, fate)
        if ticket is not None:
            with pytest.raises(DataError):
                self.ledger.use(ticket)

    @rule()
    def save_and_restore(self):
        state = json.loads(json.dumps(self.ledger.state()))
        self.ledger = FateLedger.restore(state)
        assert json.loads(json.dumps(self.ledger.state())) == state

    @invariant()
    def adds_up(self):
        if not hasattr(self, "ledger"):
            return
        fates = list(self.fates.values())
        assert self.ledger.issued == len(fates)
        for fate in ("open", "used", "filtered", "stale", "failed"):
            assert self.ledger.count(fate) == sum(f == fate for f, _, _ in fates)
            for version in range(4):
                assert self.ledger.count(fate, version=version) == sum((f, v) == (fate, version) for f, _, v in fates)
        for reason in REASONS:
            assert self.ledger.reasons("filtered").get(reason, 0) == fates_of(fates, "filtered", reason)
            assert self.ledger.count("failed", reason=reason) == fates_of(fates, "failed", reason)
        assert self.ledger.uses == self.uses
        assert self.ledger.open_tickets() == {t: v for t, (f, _, v) in self.fates.items() if f == "open"}


def fates_of(fates, fate, reason):
    return sum((f, r) == (fate, reason) for f, r, _ in fates)


TestAccounts = Accounts.TestCase
TestAccounts.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)
