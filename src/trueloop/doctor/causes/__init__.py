"""Every cause that the doctor knows."""

from __future__ import annotations

from trueloop.doctor.causes import signal, training
from trueloop.doctor.causes.base import HEALTHY, NOTHING, PRIOR, UNCLEAR, Cause

__all__ = ["CAUSES", "HEALTHY", "NOTHING", "PRIOR", "UNCLEAR", "Cause"]

CAUSES: tuple[Cause, ...] = (*signal.CAUSES, *training.CAUSES)
