"""What a run's record tells once it has ended: how it ended, its curves, and what its evaluations are worth."""

from trueloop.checks.outcome import curves, ending, evaluated

__all__ = ["curves", "ending", "evaluated"]
