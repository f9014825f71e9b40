import pytest
import torch

from trueloop.engines.weights import checksum, load, require_loadable
from trueloop.errors import EngineError


def slots(tied: bool = False) -> dict[str, torch.Tensor]:
    fused = torch.zeros(5, 2)
    embedding = torch.zeros(4, 2)
    head = embedding if tied else torch.zeros(4, 2)
    return {"q": fused[:3], "k": fused[3:], "embed": embedding, "head": head}


def source() -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    return {name: torch.randn(tensor.shape, generator=g) for name, tensor in slots().items()}


def test_load_fills_every_view():
    mine, new = slots(), source()
    load(mine, new)
    assert all(torch.equal(mine[name], new[name]) for name in new)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s.pop("k"), r"1 names missing \['k'\]"),
        (lambda s: s.update(x=torch.zeros(1)), r"1 unknown \['x'\]"),
        (lambda s: s.update(q=torch.zeros(2, 2)), r"q is \(2, 2\), expected \(3, 2\)"),
    ],
)
def test_what_does_not_fit_changes_nothing(change, said):
    mine, new = slots(), source()
    change(new)
    with pytest.raises(EngineError, match=said):
        load(mine, new)
    assert all(not tensor.any() for tensor in mine.values())


def test_either_name_of_a_tie_loads_both_and_a_disagreement_is_refused():
    for name, other in [("embed", "head"), ("head", "embed")]:
        mine, new = slots(tied=True), source()
        new.pop(other)
        load(mine, new)
        assert torch.equal(mine["head"], new[name])
        assert torch.equal(mine["embed"], new[name])
    with pytest.raises(EngineError, match="bring different values"):
        require_loadable(slots(tied=True), source())


def test_an_untied_head_must_be_given():
    new = source()
    new.pop("head")
    with pytest.raises(EngineError, match=r"missing \['head'\]"):
        load(slots(), new)


def test_checksum_tells_one_bit_and_equals_what_loading_would_give():
    mine, new = slots(), source()
    promised = checksum(mine, new)
    assert checksum(mine) != promised
    load(mine, new)
    assert checksum(mine) == promised
    mine["k"][1, 1] = torch.nextafter(mine["k"][1, 1], torch.tensor(9.0))
    assert checksum(mine) != promised


def test_checksum_of_a_tie_does_not_depend_on_the_name_given():
    new = source()
    first = checksum(slots(tied=True), {k: v for k, v in new.items() if k != "head"})
    renamed = {("head" if k == "embed" else k): v for k, v in new.items() if k != "head"}
    assert checksum(slots(tied=True), renamed) == first


def test_checksum_rounds_to_the_engines_dtype():
    half = {name: tensor.bfloat16() for name, tensor in slots().items()}
    new = source()
    assert checksum(half, new) == checksum(half, {name: tensor.bfloat16() for name, tensor in new.items()})
