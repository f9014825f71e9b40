"""Before a run: measure the very objects that it will use, ask the checks, refuse what cannot mean anything.

The recipes put their preflight together from these parts, each a function that measures and yields results.
"""
