from __future__ import annotations

import re

import pytest
import torch

from casemate.errors import BadInput
from casemate.modalities.imagery.network import LITE0, SIZES, Architecture, FrozenNormConv, Stage, build


def test_answers_come_every_four_pixels_for_any_multiple_of_32() -> None:
    detector = build(SIZES["debug"], 3, seed=0).eval()
    for height, width in ((32, 32), (64, 96), (160, 32)):
        logits, logs = detector(torch.zeros(2, 3, height, width, dtype=torch.uint8))
        assert logits.shape == (2, 3, height // 4, width // 4)
        assert logs.shape == (2, 4, height // 4, width // 4)


def test_the_base_size_stays_below_a_million_and_a_half_weights() -> None:
    assert sum(p.numel() for p in build(Architecture(), 4, seed=0).parameters()) < 1_500_000
    assert [stage.channels for stage in LITE0] == [16, 24, 40, 80, 112]


def test_the_seed_alone_decides_the_first_weights_and_chance_elsewhere_is_untouched() -> None:
    torch.manual_seed(7)
    before = torch.get_rng_state()
    one, same, other = (build(SIZES["debug"], 2, seed=seed).state_dict() for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_an_untrained_network_says_that_objects_are_rare_and_kinds_likely() -> None:
    logits, _ = build(SIZES["debug"], 3, seed=0).eval()(torch.zeros(1, 3, 64, 64, dtype=torch.uint8))
    shares = logits.sigmoid().mean((0, 2, 3))
    assert shares[0] < 0.05
    assert (shares[1:] > 0.5).all()


def test_frozen_parts_learn_nothing_and_the_rest_does() -> None:
    detector = build(SIZES["debug"], 2, seed=0)
    detector.freeze(2)
    logits, logs = detector(torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8))
    (logits.square().mean() + logs.square().mean()).backward()
    frozen = [*detector.backbone.stem.parameters(), *detector.backbone.stages[0].parameters()]
    learning = [p for name, p in detector.named_parameters() if not name.startswith("backbone")]
    learning += [p for stage in detector.backbone.stages[1:] for p in stage.parameters()]
    assert all(p.grad is None and not p.requires_grad for p in frozen)
    assert all(p.grad is not None for p in learning)


def test_padding_is_that_of_the_imagenet_weights() -> None:
    assert FrozenNormConv(1, 1, 3, stride=2).pads == (0, 1)
    assert FrozenNormConv(1, 1, 5, stride=2).pads == (1, 2)
    assert FrozenNormConv(1, 1, 5).pads == (2, 2)


def test_an_architecture_reads_back_what_it_wrote() -> None:
    for architecture in SIZES.values():
        assert Architecture.from_json(architecture.to_json()) == architecture


@pytest.mark.parametrize("change", [{"stem": None, "more": 1}, {"more": 1}])
def test_an_architecture_with_unknown_or_missing_facts_is_refused(change: dict[str, int | None]) -> None:
    facts = {k: v for k, v in (SIZES["debug"].to_json() | change).items() if v is not None}
    with pytest.raises(BadInput, match=re.escape("architecture: expected ['stages', 'stem', 'trunk', 'trunk_blocks']")):
        Architecture.from_json(facts)


def test_a_stage_with_unknown_facts_is_refused() -> None:
    facts = SIZES["debug"].to_json() | {"stages": [{"width": 3}]}
    with pytest.raises(BadInput, match=r"architecture stages: expected \['blocks', .* found .*width"):
        Architecture.from_json(facts)
    assert Stage(8, 1, 3, 1, 1).channels == 8
