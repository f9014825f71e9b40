"""Models and adapters: load, score, save, and the reference they are held against.

`spec` alone imports no torch, so a configuration can name a model without loading anything.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from trueloop.models.spec import Fresh, LoRA, Pretrained, SavedAdapter

if TYPE_CHECKING:
    from trueloop.models.policy import Policy, load_policy

__all__ = ["Fresh", "LoRA", "Policy", "Pretrained", "SavedAdapter", "load_policy"]


def __getattr__(name: str) -> Any:
    if name in ("Policy", "load_policy"):
        return getattr(importlib.import_module("trueloop.models.policy"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
