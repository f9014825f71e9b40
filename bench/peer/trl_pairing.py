"""Case of peer/trl_grpo.py or peer/trl_dpo.py -> the fault of `trueloop.faults` that is the same mistake."""

OURS: dict[str, str] = {}
