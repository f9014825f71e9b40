"""Post-training for language models in which a wrong number does not survive."""

__version__ = "0.1.0"
