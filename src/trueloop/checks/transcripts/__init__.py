"""What transcripts alone tell of a training run: prompts, completions, rewards, log-probabilities, from any trainer."""

from trueloop.checks.transcripts import logprobs, rewards, texts

__all__ = ["logprobs", "rewards", "texts"]
