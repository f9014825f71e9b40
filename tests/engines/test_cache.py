import torch
import torch.nn.functional as F

from trueloop.engines.cache import Grid, Nowhere, Shape, Staged

SHAPE = Shape(layers=2, heads=2, dim=4, dtype=torch.float32, device=torch.device("cpu"))
H = 6


def tokens(B: int, T: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    return (
        torch.randn(B, T, H, 4, generator=g),
        torch.randn(B, T, 2, 4, generator=g),
        torch.randn(B, T, 2, 4, generator=g),
    )


def by_definition(q_THD: torch.Tensor, k_TKD: torch.Tensor, v_TKD: torch.Tensor) -> torch.Tensor:
    """Causal attention of one sequence, every query head with its own copy of its key head; [T, H * D]."""
    k, v = (x.repeat_interleave(H // 2, 1).transpose(0, 1) for x in (k_TKD, v_TKD))
    logits = q_THD.transpose(0, 1) @ k.transpose(1, 2) / 2
    logits = logits.masked_fill(torch.ones(logits.shape[1:]).triu(1).bool(), -torch.inf)
    return (F.softmax(logits, -1) @ v).transpose(0, 1).flatten(1)


def test_whole_sequences_and_pieces_of_them_attend_causally():
    q, k, v = tokens(2, 7, 0)
    want = torch.stack([by_definition(q[b], k[b], v[b]) for b in range(2)])
    assert torch.allclose(Nowhere().attend(0, q, k, v), want, atol=1e-6)
    staged, got = Staged(SHAPE, 2, 7), []
    for start, stop in [(0, 3), (3, 4), (4, 7)]:
        staged.start, staged.stop = start, stop
        got.append(staged.attend(1, q[:, start:stop], k[:, start:stop], v[:, start:stop]))
    assert torch.allclose(torch.cat(got, 1), want, atol=1e-6)


def filled(lengths: tuple[int, ...], grid: Grid, seed: int) -> list[list[torch.Tensor]]:
    """Append rows of these prompt lengths; returns each row's (q, k, v)."""
    q, k, v = tokens(len(lengths), max(lengths), seed)
    staged = Staged(SHAPE, len(lengths), max(lengths))
    staged.stop = max(lengths)
    for layer in range(2):
        staged.attend(layer, q, k, v)
    grid.append(staged, range(len(lengths)), lengths)
    return [[x[j, :n] for x in (q, k, v)] for j, n in enumerate(lengths)]


def step(grid: Grid, rows: list[list[torch.Tensor]], seed: int) -> None:
    """One token for every row, which must see its own row and nothing else."""
    new = tokens(len(rows), 1, seed)
    assert grid.begin_step().tolist() == [len(row[0]) for row in rows]
    got = [grid.attend(layer, *new) for layer in range(2)]
    for r, row in enumerate(rows):
        row[:] = [torch.cat((old, x[r])) for old, x in zip(row, new, strict=True)]
        for layer in range(2):
            assert torch.allclose(got[layer][r, 0], by_definition(*row)[-1], atol=1e-6)


def test_rows_come_go_and_move_without_seeing_each_other():
    grid = Grid(SHAPE)
    grid.reserve(4, 12)
    rows = filled((5, 2, 3), grid, 0)
    step(grid, rows, 1)
    order = grid.retire((0,))
    rows = [rows[i] for i in order]
    step(grid, rows, 2)
    grid.reserve(5, 16)
    rows += filled((9, 1), grid, 3)
    for seed in range(4, 7):
        step(grid, rows, seed)
    order = grid.retire((1, 3))
    rows = [rows[i] for i in order]
    step(grid, rows, 8)
    grid.reserve(2, 14)
    step(grid, rows, 9)


def test_nothing_of_a_row_stays_behind():
    grid = Grid(SHAPE)
    grid.reserve(3, 6)
    rows = filled((4, 2, 3), grid, 0)
    for kept in grid._kv[0]:
        kept[1, :, :2] = torch.nan
    grid.retire((1,))
    step(grid, [rows[0], rows[2]], 1)
    grid.retire((0, 1))
    assert not any(kept.any() for kv in grid._kv for kept in kv)
