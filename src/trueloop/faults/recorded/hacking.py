"""Failures on record of reward hacking and gradient projection."""

from __future__ import annotations

from trueloop.faults.recorded.base import records

_LATER = "needs the environments and arms of the reward-hacking recipe"

PLANTED = {
    "1": "tests that are no valid programs: the ground truth is 0 for every model",
    "3": "an oracle that shares its process with the code it judges",
    "4": "another condition than the one named was run: the prompt or the reward differs",
    "5": "a model too weak for the task: only the format is rewarded",
    "8": "a KL weight that smothers learning",
    "9": "all rewards equal: a loss of 0",
    "10": "a wall-clock limit that right answers exceed on a busy machine",
    "16": "a hang that is buffered output, or output that is a hang",
    "17": "divergence at a high learning rate",
}

UNPLANTED = {
    "2": ("a hack that is never or always paid", _LATER),
    "6": (
        "a task too easy: everything passes, nothing is learned",
        "needs a policy that has solved its world; sampling.pass_rate and sampling.signal say so of one that has",
    ),
    "7": ("a hack that cannot be discovered", _LATER),
    "11": ("a projection whose measure is an identity", _LATER),
    "12": ("a projection that removes half of the skill", _LATER),
    "13": ("a delay reported as suppression", _LATER),
    "14": ("shrinkage reported as ablation", _LATER),
    "15": ("imitation of a teacher reported as learning", _LATER),
    "18": ("a monitor that screens most of the batch", _LATER),
    "19": ("a penalty that is too small for its accuracy", _LATER),
}

RECORDS = tuple(records("hacking", PLANTED, UNPLANTED))
