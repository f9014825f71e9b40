"""Do sampler, trainer, reference and loss compute the numbers that they are taken for, and does the update keep them.

The measurements are log-probabilities of real tokens from both sides, and gradients of the run's own losses.
"""

from trueloop.checks.numerics import credit, gradient, loss, reference, sampler, teacher, weights

__all__ = ["credit", "gradient", "loss", "reference", "sampler", "teacher", "weights"]
