"""The proof that the checks work: faults, planted one at a time into a run that is healthy otherwise.

A fault is a small change of configuration, data, template, verifier, engine or trainer through the seams that a real
mistake would go through; the check of its mechanism must say so.  `catalogue.FAULTS` has them all, one file a theme.
"""
