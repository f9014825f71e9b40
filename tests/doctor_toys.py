"""A small healthy run, written by hand: plain sums that a policy gets right more and more often."""

import math
import random

from trueloop.evaluate import Evaluation
from trueloop.formulas.stats import Estimate
from trueloop.store.run import Run

CONFIG = {
    "seed": 0,
    "loop": {"steps": 20},
    "flow": {"max_staleness": 0, "sync_every": 1, "max_reads": 1},
    "guard": {"every": 5, "metric": "strict"},
}


def share(mean, n=200):
    """A share with its error."""
    se = math.sqrt(mean * (1 - mean) / n)
    return Estimate(mean=mean, se=se, low=mean - 2 * se, high=mean + 2 * se, n=n, clusters=n)


def evaluation(mean, **changes):
    """An evaluation of 200 problems."""
    figure = share(mean)
    fields = {
        "name": "guard",
        "task": "sums",
        "split": "validation",
        "template": "none",
        "template_hash": "t",
        "data_hash": "d",
        "prompts_hash": "p",
        "grader": "Numbers.1",
        "model": {},
        "settings": None,
        "seed": 0,
        "shots": 0,
        "samples": 1,
        "sampling": {"max_tokens": 64, "temperature": 0.0, "stop": ["\n"]},
        "lenient": figure,
        "strict": figure,
        "passed": figure,
        "figures": {"strict": figure, "lenient": figure},
        "gaps": {"lenient-strict": Estimate(mean=0.0, se=None, low=None, high=None, n=200, clusters=200)},
        "pass_at_k": None,
        "maj_at_k": None,
        "by": {},
        "problems": 200,
        "answers": 200,
        "scored": 200,
        "unscorable": 0,
        "errors": 0,
        "lost": 0,
        "truncated": 0.0,
        "stops": {"<end>": 1.0},
        "mean_tokens": 20 + mean,
        "versions": (0, 0),
        "verifier": {},
        "rows": (),
    }
    return Evaluation(**{**fields, **changes})


def rollouts(step, rng, groups=4, samples=4):
    """A step's rows: right with a chance that grows."""
    rows = []
    for g in range(groups):
        a, b = 10 + step * groups + g, rng.randrange(10, 99)
        for k in range(samples):
            right = rng.random() < 0.25 + 0.02 * step
            said = a + b if right else a + b + rng.choice([-10, -1, 1, 2, 10, 11])
            text = f"{a}+{b}: {rng.choice(['so', 'then', 'thus'])} {rng.randrange(9)}. The answer is {said}."
            rows.append(
                {
                    "step": step,
                    "id": f"{step}/{g}/{k}",
                    "problem_id": f"sum-{a}-{b}",
                    "task": "sums",
                    "epoch": 0,
                    "read": 1,
                    "group_index": g,
                    "sample_index": k,
                    "fate": "used",
                    "version": step - 1,
                    "source": "policy",
                    "finish": "stop",
                    "stop": "<end>",
                    "status": "scored",
                    "reward": float(right),
                    "passed": right,
                    "answer": str(said),
                    "parts": {"strict": float(right), "lenient": float(right)},
                    "audit": {},
                    "probes": [],
                    "prompt_length": 2,
                    "completion_length": 3,
                    "prompt": f"Q: {a}+{b}=?\nA: ",
                    "text": text,
                    "tokens": [1, 2, 3, 4, 5],
                    "loss_mask": [False, False, True, True, True],
                    "logprobs": [0.0, 0.0, -0.3, -0.2, -0.1],
                    "policy_logprobs": None,
                }
            )
    return rows


def healthy_run(path):
    """The directory of a finished run."""
    rng = random.Random(0)
    with Run.create(path, recipe="rlvr", config=CONFIG, difference={}, seed=0, data={"sums/train": "d"}) as run:
        run.add_evaluation(evaluation(0.2).summary(), 0)
        for step in range(1, 21):
            rows = rollouts(step, rng)
            mean = sum(r["reward"] for r in rows) / len(rows)
            metrics = {
                "step": step,
                "version": step,
                "loss": 0.01,
                "grad_norm": 0.5 + 0.01 * (step % 3),
                "lr": 1e-4,
                "reward/mean": mean,
                "length/mean": 30.0,
                "policy/nll": 0.2,
                "flow/lag_max": 0.0,
                "policy/ratio": 1.0,
                "policy/ratio/min": 0.999,
                "policy/ratio/max": 1.001,
                "fates/used": 4.0 * step,
                "fates/filtered": 0.0,
                "fates/stale": 0.0,
                "fates/failed": 0.0,
            }
            run.write_step(metrics, rows)
            if step % 5 == 0:
                run.add_evaluation(evaluation(0.2 + 0.03 * step).summary(), step)
        run.finish("finished", "all 20 steps done")
    return path
