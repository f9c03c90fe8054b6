"""One process among others, where there are no others; and arithmetic that is exact."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch

from casemate.learning.exact import exact, keep_freed_memory
from casemate.learning.parallel import Team, put_back, team, whole


def test_a_run_of_one_process_shares_nothing_and_waits_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    module = torch.nn.Linear(2, 2)
    with team(gpus=0) as us:
        assert us == Team(0, 1, torch.device("cpu"))
        assert us.leads
        assert us.averaging(module) is module
        assert us.divided(module, [module], bf16=True) is module
        assert isinstance(us.adding_up(module, last=False), nullcontext)
        assert us.total(1.5) == 1.5
        us.wait()


def test_processes_draw_every_place_of_a_batch_once() -> None:
    places = [Team(rank, 3, torch.device("cpu")).places(8) for rank in range(3)]
    assert sorted(place for own in places for place in own) == list(range(8))


def test_whole_tensors_are_gathered_by_name_and_put_back() -> None:
    held = {"b": torch.ones(2, requires_grad=True), "a": torch.zeros(1)}
    gathered = whole(held)
    assert list(gathered) == ["a", "b"]
    assert not gathered["b"].requires_grad
    put_back(held["b"], torch.full((2,), 7.0))
    assert held["b"].tolist() == [7.0, 7.0]


def test_exact_arithmetic_ends_as_it_began() -> None:
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    with exact(1):
        assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == (1, True)
        keep_freed_memory()
    assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == before
