"""The recipes: each is a module with `Config`, `plan` and `run`."""

RECIPES = ("distill", "rlvr", "sft")
