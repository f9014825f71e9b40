"""The local engine against transformers' `generate`: same model, same prompts, same number of tokens, one thread.

    python bench/engine_vs_generate.py [--repeats 3] [--quick]

Random weights.  "equal" draws every completion to one length.  "long-tailed" forces lengths drawn once from a
lognormal (median 37, at most 160): the engine is asked for each length, `generate` runs to the longest, as it must when
rows of one batch end at different times.  The two run in turn; the table has medians over the repeats, and the range of
the ratio.  Only wanted tokens count.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import time
from dataclasses import dataclass
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from tokenizers import Tokenizer, decoders, models
from transformers import PreTrainedModel, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from trueloop.engines.local import LocalEngine
from trueloop.records import Request, Sampling

TINY = {"hidden_size": 128, "intermediate_size": 384, "num_hidden_layers": 4, "head_dim": 32, "vocab_size": 100}
SMALL = {"hidden_size": 384, "intermediate_size": 1152, "num_hidden_layers": 8, "head_dim": 64, "vocab_size": 4096}


@dataclass(frozen=True)
class Case:
    """A model, and what is asked of it; `heads` are (query, key), `lengths` are per completion."""

    name: str
    model: dict[str, Any]
    heads: tuple[int, int]
    prompts: int
    samples: int
    prompt_length: int
    lengths: tuple[int, ...]


def equal(count: int, length: int) -> tuple[int, ...]:
    return (length,) * count


def long_tailed(count: int) -> tuple[int, ...]:
    drawn = torch.distributions.LogNormal(3.61, 0.75).sample((count,))
    return tuple(drawn.clamp(1, 160).int().tolist())


def cases() -> list[Case]:
    torch.manual_seed(0)
    return [
        Case("800k, 16x8, prompt 13, equal 48", TINY, (4, 2), 16, 8, 13, equal(128, 48)),
        Case("800k, 16x8, prompt 40, long-tailed", TINY, (4, 2), 16, 8, 40, long_tailed(128)),
        Case("16M, 4x8, prompt 96, equal 64", SMALL, (6, 3), 4, 8, 96, equal(32, 64)),
        Case("16M, 4x8, prompt 96, long-tailed", SMALL, (6, 3), 4, 8, 96, long_tailed(32)),
    ]


def build(case: Case) -> PreTrainedModel:
    torch.manual_seed(0)
    heads, key_heads = case.heads
    config = Qwen3Config(
        **case.model,
        num_attention_heads=heads,
        num_key_value_heads=key_heads,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=0,
    )
    return Qwen3ForCausalLM(config).eval()


def tokenizer(size: int) -> PreTrainedTokenizerFast:
    plain = Tokenizer(models.WordLevel({str(i): i for i in range(size)}, unk_token="0"))
    plain.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=plain)


def timed(run: Any) -> tuple[float, float]:
    """(CPU seconds of the process, wall seconds)."""
    cpu, wall = time.process_time(), time.perf_counter()
    run()
    return time.process_time() - cpu, time.perf_counter() - wall


def compare(case: Case, repeats: int) -> None:
    model = build(case)
    engine = LocalEngine(model, tokenizer(case.model["vocab_size"]), end_ids=())
    prompts = torch.randint(1, case.model["vocab_size"], (case.prompts, case.prompt_length))
    ids = prompts.repeat_interleave(case.samples, 0)
    requests = [
        Request(id=str(i), prompt=tuple(row), sampling=Sampling(max_tokens=length, seed=i))
        for i, (row, length) in enumerate(zip(ids.tolist(), case.lengths, strict=True))
    ]

    async def ours() -> None:
        got = {i: len(c.tokens) async for i, c in engine.generate(requests)}
        assert got == {r.id: r.sampling.max_tokens for r in requests}

    def theirs() -> None:
        with torch.inference_mode():
            mask, longest = torch.ones_like(ids), max(case.lengths)
            out = model.generate(ids, attention_mask=mask, do_sample=True, top_k=0, top_p=1.0, max_new_tokens=longest)
        assert out.shape[1] == case.prompt_length + longest

    asyncio.run(ours())
    theirs()
    pairs = [(timed(lambda: asyncio.run(ours())), timed(theirs)) for _ in range(repeats)]
    asyncio.run(engine.close())
    mine, other = ([statistics.median(p[side][k] for p in pairs) for k in (0, 1)] for side in (0, 1))
    ratios = sorted(p[1][0] / p[0][0] for p in pairs)
    tokens = sum(case.lengths)
    print(
        f"{case.name:36} {mine[0]:7.3f} {mine[1]:7.3f} {other[0]:8.3f} {other[1]:7.3f} "
        f"{tokens / mine[0] / 1e3:9.1f} {tokens / other[0] / 1e3:8.1f}   "
        f"{statistics.median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one small case, which shows only that the script works")
    arguments = parser.parse_args()
    repeats = 1 if arguments.quick else arguments.repeats
    chosen = [Case("800k, 2x2, prompt 13", TINY, (4, 2), 2, 2, 13, (3, 1, 4, 1))] if arguments.quick else cases()
    torch.set_num_threads(1)
    print(f"load {os.getloadavg()[0]:.1f} at the start, {os.cpu_count()} cores, one thread, {repeats} repeats")
    print(f"{'':36} {'engine':>15} {'generate':>16} {'tokens per CPU-ms':>18}   ratio of CPU seconds")
    print(
        f"{'':36} {'cpu s':>7} {'wall s':>7} {'cpu s':>8} {'wall s':>7} {'engine':>9} {'generate':>8}   median (range)"
    )
    for case in chosen:
        compare(case, repeats)
    print(f"load {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
