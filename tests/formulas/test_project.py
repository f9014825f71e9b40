import math

import pytest
import torch

from trueloop.errors import DataError
from trueloop.formulas.project import (
    directions,
    erase,
    erase_both_sides,
    orient,
    random_directions,
    reverse,
    route,
)

V = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.0, 0.6, 0.8, 0.0]], dtype=torch.float64)
G = torch.tensor([2.0, -3.0, -4.0, 7.0], dtype=torch.float64)


def close(found, expected, **tolerance):
    torch.testing.assert_close(found, torch.as_tensor(expected, dtype=found.dtype), **tolerance)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_hand_values():
    close(V @ G, [2.0, -5.0])
    close(erase(G, V), [0.0, -3.0, -4.0, 7.0])
    close(erase_both_sides(G, V), [0.0, 0.0, 0.0, 7.0])
    close(reverse(G, V), [-2.0, 3.0, 4.0, 7.0])
    kept, dropped = route(G, V)
    close(kept, erase(G, V))
    close(dropped, [2.0, 0.0, 0.0, 0.0])


@pytest.mark.parametrize("K", [1, 3, 8])
def test_identities_for_any_basis(K):
    basis = random_directions(K, 20, seeded(K)).double()
    basis = torch.linalg.qr(basis.T)[0].T
    g = torch.randn(20, generator=seeded(9), dtype=torch.float64)
    along = basis @ g
    close(basis @ erase(g, basis), along.clamp(max=0))
    close(basis @ erase_both_sides(g, basis), torch.zeros(K), rtol=0, atol=1e-12)
    close(basis @ reverse(g, basis), -along)
    close(reverse(g, basis).norm(), g.norm())
    close(reverse(reverse(g, basis), basis), g)
    close(sum(route(g, basis)), g)
    for transform in (erase, erase_both_sides):
        once = transform(g, basis)
        close(transform(once, basis), once)
        assert once.norm() <= g.norm()


def test_a_flipped_sign_amplifies_what_it_should_erase():
    unwanted = torch.tensor([1.0, 0.0, 0.0, 0.0], dtype=torch.float64)
    gradients = [unwanted, -unwanted]  # one step towards, one back: no net motion
    net = {sign: sum(erase(g, sign * V[:1]) for g in gradients)[0].item() for sign in (+1, -1)}
    assert net == {+1: -1.0, -1: 1.0}


def test_erasing_the_gradient_lowers_no_loss_along_the_direction():
    """A step of descent on the erased gradient never moves towards the unwanted answer."""
    step = -erase(G, V)
    assert ((V @ step) >= 0).all() and (V @ -G)[0] < 0


def test_directions_of_a_planted_signal():
    g = seeded()
    planted = torch.linalg.qr(torch.randn(40, 2, generator=g, dtype=torch.float64))[0].T
    weights = torch.tensor([[5.0, 1.0], [4.0, -1.2], [6.0, 0.9], [5.5, 1.1], [4.5, -0.8]], dtype=torch.float64)
    found, S = directions(weights @ planted, 2)
    close(found @ found.T, torch.eye(2))
    assert (found[0] @ planted[0]).item() > 0.99
    close(S.square().sum(), weights.square().sum())
    assert ((weights @ planted @ found.T) > 0).sum(0).tolist()[0] == 5


def test_the_mean_difference_is_not_subtracted():
    same = torch.tensor([[0.0, 3.0, 4.0]] * 4, dtype=torch.float64)
    found, S = directions(same, 1)
    close(found, [[0.0, 0.6, 0.8]])
    close(S, [10.0])


def test_the_majority_decides_the_sign_and_the_sum_breaks_a_tie():
    v = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    rows = torch.tensor([[1.0, 0.0], [1.0, 0.0], [-5.0, 0.0]], dtype=torch.float64)
    close(orient(-v, rows), v)
    close(orient(v, rows), v)
    close(orient(v, rows[1:]), -v)
    close(orient(-v, rows[1:]), -v)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_swapping_the_roles_in_every_pair_turns_every_direction(sign):
    rows = torch.randn(7, 5, generator=seeded(3), dtype=torch.float64)
    found, _ = directions(sign * rows, 3)
    close(found, sign * directions(rows, 3)[0])


def test_shuffled_signs_are_no_control():
    rows = torch.randn(6, 10, generator=seeded(4), dtype=torch.float64)
    flips = torch.tensor([1.0, -1, 1, -1, -1, 1], dtype=torch.float64)[:, None]
    (a, S), (b, T) = directions(rows, 3), directions(rows * flips, 3)
    close(S, T)
    close((a @ b.T).abs(), torch.eye(3), rtol=0, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("D", [10, 20_000])
def test_more_directions_than_the_pairs_span_are_refused(dtype, D):
    rows = torch.randn(5, 2, generator=seeded(5), dtype=dtype) @ torch.randn(2, D, generator=seeded(6), dtype=dtype)
    assert directions(rows, 2)[0].shape == (2, D)
    with pytest.raises(DataError, match="asked for 3, but the 5 differences span 2; add pairs"):
        directions(rows, 3)
    with pytest.raises(DataError, match="span 0"):
        directions(torch.zeros(5, D, dtype=dtype), 1)


def test_random_directions_are_orthonormal_repeatable_and_catch_their_share():
    basis = random_directions(5, 400, seeded(7))
    close(basis @ basis.T, torch.eye(5))
    assert torch.equal(basis, random_directions(5, 400, seeded(7)))
    g = torch.randn(400, 2000, generator=seeded(8))
    share = ((basis @ g).norm(dim=0) / g.norm(dim=0)).square().mean().sqrt()
    assert share.item() == pytest.approx(math.sqrt(5 / 400), rel=0.03)


def test_random_directions_have_no_preferred_sign():
    signs = torch.stack([random_directions(1, 3, seeded(s))[0].sign() for s in range(400)])
    assert signs.mean(0).abs().max().item() < 0.2


@pytest.mark.parametrize("K", [0, 4])
def test_random_directions_that_do_not_exist_are_refused(K):
    with pytest.raises(DataError, match=r"K must lie in \[1, 3\]"):
        random_directions(K, 3, seeded())
