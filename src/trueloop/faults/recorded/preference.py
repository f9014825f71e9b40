"""Failures on record of preference training."""

from __future__ import annotations

from trueloop.faults.recorded.base import records

_LATER = "needs the recipe of multi-objective preferences"
_ENV = "environment of another project"

PLANTED = {
    "1": "a margin with its sign inverted",
    "3": "a division by a small weight",
    "4": "hard labels: every weight gives the same model",
    "5": "most pairs without gradient",
    "6": "an adapter directory passed as a base model: supervised training has no effect",
    "8": "the frozen adapter is trained, or the policy is frozen, after switching adapters",
    "9": "an adapter that is not zero and was never trained: B is 0",
    "10": "a prompt that was templated twice",
    "11": "diagnostics with another template than training",
    "12": "lengths in 16 bits",
    "13": "a length penalty that swamps the preference",
    "14": "out of memory in the first long step",
    "17": "weights and compute types that do not fit",
    "18": "a warm-up far longer, or shorter, than meant",
    "19": "a learning rate copied between adapters of another alpha over rank",
    "25": "duplicate prompts make intervals look honest and tiny",
    "27": "pairs lost at the edges of batches",
    "30": "a half-written checkpoint taken for a whole one",
    "31": "models answered different prompts",
    "33": "degenerate, endless outputs",
    "35": "best checkpoints by losses that cannot be compared",
    "38": "chosen and rejected, or train and evaluation, swapped",
}

UNPLANTED = {
    "2": ("a metric that does not depend on the policy", _LATER),
    "15": ("a metrics store that expects tensors", "metrics are typed"),
    "20": ("a quality objective named for its length", _LATER),
    "21": ("scores by the reward that was trained on", _LATER),
    "22": ("a reward model whose scores depend on the batch", _LATER),
    "23": ("a reward model that needs an old library", _ENV),
    "24": ("heads of a reward model in the wrong order", _LATER),
    "26": ("conflicts counted with ties", _LATER),
    "29": ("a stale result reused", "needs the pipeline of stages"),
    "34": ("a tuner that picks a large beta", _LATER),
    "36": ("ties counted as losses, in one order only", _LATER),
    "39": ("accidents of shell arguments", "one parser echoes what it resolved"),
    "40": ("a path that is too long for a socket", _ENV),
    "41": ("an unfair soup of adapters", _LATER),
}

RECORDS = tuple(records("preference", PLANTED, UNPLANTED))
