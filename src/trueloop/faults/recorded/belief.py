"""Failures on record of belief training."""

from __future__ import annotations

from trueloop.faults.recorded.base import records

_LATER = "needs the belief recipe and its estimators"

PLANTED = {
    "1": "the trained adapter was never applied: trained and base score the same",
    "2": "the adapter is listed and served, and the output is that of the base",
    "3": "two pipelines compared as one",
    "10": "an effect that a KL alone has",
    "11": "a recipe that is inert: no gradient, a tiny learning rate, nothing passed on",
    "12": "the configuration names a value that the trainer does not have",
    "15": "failed requests become empty texts or zeros and join the mean",
    "16": "memorised or general: the evaluation overlaps the training set",
}

UNPLANTED = {
    "4": ("noise and look-ahead turn a slope's sign", _LATER),
    "5": ("two estimators compared as one", _LATER),
    "6": ("signed fits whose sign is not the slope's", _LATER),
    "7": ("a simulated floor that is not 0", _LATER),
    "8": ("updates that stop instead of improving", _LATER),
    "9": ("a score gamed by counter-movement", _LATER),
    "18": ("the only copy on a machine that was stopped", "outside one machine's run"),
    "20": ("slopes of single trajectories", _LATER),
    "21": ("a judge that drifts", _LATER),
    "22": ("questions resolved before the model was trained", _LATER),
    "23": ("a source of messages that is down, read as silence", "outside training"),
    "24": ("logs sent nowhere", "a run keeps its own record"),
    "25": ("threads that fight over two cores", "a matter of speed"),
}

RECORDS = tuple(records("belief", PLANTED, UNPLANTED))
