"""Several processes as one run: torch.distributed where there is more than one, nothing at all where there is one.

Rules. Each process draws its own places of the same batch and gradients are averaged, so a run of N processes learns
from the same things as a run of one. Either each holds all weights (ddp) or a part of them (fsdp); what is saved is
whole in both and does not tell which. Process 0 writes. After a restart by torchrun, the processes meet under a new
name in the same store, because the old one still remembers those that died.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Team:
    """One process among its peers, and where its tensors live."""

    rank: int
    size: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def places(self, batch: int) -> range:
        """The process's own places in a batch."""
        return range(self.rank, batch, self.size)

    def averaging(self, module: nn.Module) -> nn.Module:
        """The module with all its weights, averaging its gradients with its peers where there are any (ddp)."""
        if self.size == 1:
            return module
        devices = [self.device.index] if self.device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(module, device_ids=devices)

    def divided(self, module: nn.Module, layers: Iterable[nn.Module], *, bf16: bool) -> nn.Module:
        """The module with each layer's weights divided among the processes, gathered when the layer works (fsdp)."""
        if self.size == 1:
            return module
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

        mesh = init_device_mesh(self.device.type, (self.size,))
        half = torch.bfloat16 if bf16 else None
        policy = MixedPrecisionPolicy(param_dtype=half, reduce_dtype=torch.float32 if bf16 else None)
        for layer in layers:
            fully_shard(layer, mesh=mesh, mp_policy=policy)
        fully_shard(module, mesh=mesh, mp_policy=policy)
        return module

    def adding_up(self, module: nn.Module, *, last: bool) -> Any:
        """The context of one of a step's passes: with ddp, gradients travel with the last one only."""
        if last or not isinstance(module, nn.parallel.DistributedDataParallel):
            return nullcontext()
        return module.no_sync()

    def total(self, value: float) -> float:
        """The sum over all processes, on every process."""
        if self.size == 1:
            return value
        held = torch.tensor([value], dtype=torch.float64, device=self.device)
        torch.distributed.all_reduce(held)
        return float(held.item())

    def wait(self) -> None:
        """Until every process is here."""
        if self.size > 1:
            torch.distributed.barrier()


def whole(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors with their missing parts gathered from the other processes; each of them must ask."""
    gathered = {}
    for name in sorted(tensors):
        tensor = tensors[name].detach()
        gathered[name] = tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor
    return gathered


@torch.no_grad()
def put_back(into: Tensor, full: Tensor) -> None:
    """Give a tensor, or this process's part of it, the values of a whole one."""
    if hasattr(into, "full_tensor"):
        from torch.distributed.tensor import distribute_tensor

        full = distribute_tensor(full.to(into.device), into.device_mesh, into.placements)  # type: ignore[attr-defined]
    into.copy_(full)


@contextmanager
def team(*, gpus: int) -> Iterator[Team]:
    """Join the other processes of the run, as torchrun's environment names them, and leave at the end."""
    rank, size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    local = int(os.environ.get("LOCAL_RANK", "0"))
    on_gpu = gpus > 0 and torch.cuda.is_available()
    device = torch.device("cuda", local) if on_gpu else torch.device("cpu")
    if on_gpu:
        torch.cuda.set_device(device)
    if size == 1:
        yield Team(rank, size, device)
        return
    agent_has_store = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    store = torch.distributed.TCPStore(  # type: ignore[attr-defined]
        os.environ["MASTER_ADDR"],
        int(os.environ["MASTER_PORT"]),
        size,
        is_master=rank == 0 and not agent_has_store,
        timeout=timedelta(minutes=5),
    )
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    named = torch.distributed.PrefixStore(  # type: ignore[attr-defined]
        f"attempt-{attempt}", store
    )
    torch.distributed.init_process_group("nccl" if on_gpu else "gloo", store=named, rank=rank, world_size=size)
    try:
        yield Team(rank, size, device)
    finally:
        torch.distributed.destroy_process_group()
