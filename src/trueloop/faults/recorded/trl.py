"""Faults that were planted in TRL 1.16's GRPOTrainer: four raised, two warned, twelve finished without a word."""

from __future__ import annotations

from trueloop.faults.recorded.base import records

PLANTED = {
    "1": "a reward that is always 0",
    "2": "a reward function that reads a misspelt column",
    "3": "an adapter loaded as not trainable, with a KL to the reference",
    "4": "an adapter loaded as not trainable, without a KL",
    "5": "a learning rate of 0",
    "6": "collapsed sampling: identical completions",
    "7": "a sampler with top-k and a repetition penalty, a trainer that scores the full softmax",
    "8": "a chat template whose end of turn is no end token",
    "9": "a limit so low that every completion is cut",
    "10": "an infinite reward in one row",
    "11a": "every reward None",
    "11b": "every reward not a number",
    "12": "a learning rate of a million",
    "13": "evaluation rows inside the training set",
    "14": "thirty-two identical prompts",
    "15a": "a list of rewards of the wrong length",
    "15b": "no chat template where one is needed",
    "15c": "adapter targets that match nothing",
}

RECORDS = tuple(records("trl", PLANTED, {}))
