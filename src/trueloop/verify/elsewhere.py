"""A verifier that is asked in another process, whatever it is: to see whether its verdicts depend on this one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from trueloop.records import Json, Score
from trueloop.verify.base import Verifier, named_depends


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere(Verifier):
    """The verdicts of `verifier`, from a worker of the pool, with nothing answered here."""

    isolated: ClassVar[bool] = True
    limit_s: ClassVar[float] = 30.0

    verifier: Verifier

    def __call__(self, target: Json, text: str, leniency: float = 0.0) -> Score:
        """The verifier's verdict."""
        return self.verifier(target, text, leniency)

    def prepare(self) -> None:
        """Prepare the verifier."""
        self.verifier.prepare()

    def depends(self) -> Mapping[str, str]:
        """The verifier's identity, and what it rests on."""
        return named_depends("verifier", self.verifier)
