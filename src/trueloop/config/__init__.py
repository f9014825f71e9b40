"""The configuration tree: typed, frozen, and nothing in it that it does not know.

A run's configuration is a stack of tables laid over each other: the defaults of the recipe's `Config`, the presets
from the deepest `extends` up, the user's file, the overrides of the command line.  A table changes only the keys it
names; where it names another `kind`, the keys of the old kind are gone and the defaults of the new one are in.

    resolved = load(Config, "rlvr/base", ["optim.lr=1e-5", 'loss={kind="cispo", max_ratio=2.0}'])
"""

from trueloop.config.base import Config
from trueloop.config.keys import key_table
from trueloop.config.loading import Resolved, Source, load, preset_names, preset_title, read, resolve, run_name
from trueloop.config.tree import difference, plain, to_toml

__all__ = [
    "Config",
    "Resolved",
    "Source",
    "difference",
    "key_table",
    "load",
    "plain",
    "preset_names",
    "preset_title",
    "read",
    "resolve",
    "run_name",
    "to_toml",
]
