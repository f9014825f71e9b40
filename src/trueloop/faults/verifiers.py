"""Verifiers with mistakes in them; each is given the right one.  They can be taken to a worker process."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field, replace

from trueloop.records import Json, Score
from trueloop.verify.base import Verifier

_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, kw_only=True)
class Mistaken(Verifier):
    """Says something else than `right` does."""

    right: Verifier

    def __call__(self, target: Json, text: str, leniency: float = 0.0) -> Score:
        """What the mistake makes of the right verdict."""
        return self.change(target, text, self.right(target, text, leniency))

    def change(self, target: Json, text: str, score: Score) -> Score:
        """The right verdict."""
        return score


def says(score: Score, reward: float) -> Score:
    """The verdict with another reward, and all that goes with it."""
    passed = reward >= 1
    parts = {name: float(passed) for name in score.parts}
    return Score(status="scored", reward=reward, passed=passed, answer=score.answer, why=score.why, parts=parts)


class AlwaysNo(Mistaken):
    """Nothing is right."""

    def change(self, target: Json, text: str, score: Score) -> Score:
        """0."""
        return says(score, 0.0)


class AlwaysYes(Mistaken):
    """All is right."""

    def change(self, target: Json, text: str, score: Score) -> Score:
        """1."""
        return says(score, 1.0)


class Inverted(Mistaken):
    """Right is wrong."""

    def change(self, target: Json, text: str, score: Score) -> Score:
        """1 where it should be 0."""
        return says(score, float(not score.passed))


class Chance(Mistaken):
    """One verdict in ten is drawn."""

    def change(self, target: Json, text: str, score: Score) -> Score:
        """Another one, sometimes."""
        return says(score, float(not score.passed)) if secrets.randbelow(10) == 0 else score


class Longer(Mistaken):
    """What is long is right."""

    def change(self, target: Json, text: str, score: Score) -> Score:
        """More for more."""
        return says(score, min(len(text) / 200, 1.0))


class LongerIfRight(Mistaken):
    """What is right earns more where it is long."""

    def change(self, target: Json, text: str, score: Score) -> Score:
        """A bonus."""
        bonus = min(len(text) / 1000, 1.0)
        return replace(score, reward=score.reward + bonus) if score.reward else score


class Shorter(Mistaken):
    """What is short is right."""

    def change(self, target: Json, text: str, score: Score) -> Score:
        """1 for a few words."""
        return says(score, float(len(text) < 20))


class ByPrompt(Mistaken):
    """The row decides, not the text."""

    def change(self, target: Json, text: str, score: Score) -> Score:
        """1 for even answers."""
        return says(score, float(str(target)[-1] in "02468"))


class Constant(Mistaken):
    """A little for everyone."""

    def change(self, target: Json, text: str, score: Score) -> Score:
        """0.5."""
        return replace(says(score, 0.5), passed=score.passed)


class ForForm(Mistaken):
    """Most of the reward is for saying "answer"."""

    def change(self, target: Json, text: str, score: Score) -> Score:
        """0.8 for the word or a number, 0.2 for the answer."""
        formed = "answer" in text.lower() or bool(_NUMBER.search(text))
        return replace(score, reward=0.8 * formed + 0.2 * bool(score.passed))


class Contains(Mistaken):
    """An answer that holds the right one is right."""

    def change(self, target: Json, text: str, score: Score) -> Score:
        """1 wherever the digits occur."""
        return says(score, float(str(target) in text))


class Unsigned(Mistaken):
    """A minus sign counts for nothing."""

    def __call__(self, target: Json, text: str, leniency: float = 0.0) -> Score:
        """The verdict on the text without it."""
        return self.right(target, text.replace("-", " "), leniency)


class Nearly(Mistaken):
    """Off by one is right."""

    def change(self, target: Json, text: str, score: Score) -> Score:
        """1 within a tolerance."""
        numbers = _NUMBER.findall(text)
        return says(score, float(bool(numbers) and abs(int(numbers[-1][-9:]) - int(target)) <= 1))


class First(Mistaken):
    """The first number of the text is taken for the answer."""

    def change(self, target: Json, text: str, score: Score) -> Score:
        """1 if it is right."""
        found = _NUMBER.search(text)
        return says(score, float(found is not None and found.group() == str(target)))


class Swallows(Mistaken):
    """An exception is a 0: it reads one number, and texts with more than that raise."""

    def change(self, target: Json, text: str, score: Score) -> Score:
        """0 for all that is not in the plainest form."""
        try:
            return says(score, float(int(text.removeprefix("The answer is ").removesuffix(".")) == int(target)))
        except ValueError:
            return says(score, 0.0)


class SwallowsRows(Mistaken):
    """An exception is a 0: some rows raise, whatever is said."""

    def change(self, target: Json, text: str, score: Score) -> Score:
        """0 for rows of a kind."""
        return says(score, 0.0) if str(target).endswith("7") else score


class Raises(Mistaken):
    """A text without a number raises."""

    def change(self, target: Json, text: str, score: Score) -> Score:
        """The verdict, if there is one."""
        _ = _NUMBER.findall(text)[-1]
        return score


class EmptyPasses(Mistaken):
    """What is empty has no mistake in it."""

    def change(self, target: Json, text: str, score: Score) -> Score:
        """1 for nothing."""
        return score if text.strip() else says(score, 1.0)


class Hashes(Mistaken):
    """The verdict hangs on the order of a set, which every process has its own of."""

    def change(self, target: Json, text: str, score: Score) -> Score:
        """Another verdict in another process."""
        return says(score, float(hash(text) % 2)) if len(text) % 3 == 0 else score


@dataclass(frozen=True, kw_only=True)
class Remembers(Mistaken):
    """What was seen before is wrong the next time."""

    seen: list[str] = field(default_factory=list)

    def change(self, target: Json, text: str, score: Score) -> Score:
        """0 for a text that comes again."""
        known = text in self.seen
        self.seen.append(text)
        return says(score, 0.0) if known else score


class PassesExits(Mistaken):
    """A program that leaves early has not failed."""

    def change(self, target: Json, text: str, score: Score) -> Score:
        """1 for an exit."""
        return says(score, 1.0) if "exit" in text.lower() else score


class PassesEqual(Mistaken):
    """A program whose values are equal to everything passes."""

    def change(self, target: Json, text: str, score: Score) -> Score:
        """1 for an __eq__."""
        return says(score, 1.0) if "__eq__" in text else score


class RefusesImports(Mistaken):
    """A program that imports anything is called a hack."""

    def change(self, target: Json, text: str, score: Score) -> Score:
        """0 for an import."""
        return says(score, 0.0) if "import" in text else score
