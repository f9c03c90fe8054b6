"""Several processes as one run: torch.distributed where there is more than one, nothing at all where there is one.

Rules. Each process draws its own places of the same batch and gradients are averaged, so a run of N processes sees the
same crops as a run of one. Process 0 writes. After a restart by torchrun, the processes meet under a new name in the
same store, because the old one still remembers those that died.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import nn


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

    def wrap(self, module: nn.Module) -> nn.Module:
        """The module, averaging its gradients with its peers where there are any."""
        if self.size == 1:
            return module
        devices = [self.device.index] if self.device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(module, device_ids=devices)

    def agree(self, value: float) -> float:
        """Process 0's value, on every process."""
        if self.size == 1:
            return value
        held = torch.tensor([value], dtype=torch.float64, device=self.device)
        torch.distributed.broadcast(held, src=0)
        return float(held.item())

    def wait(self) -> None:
        """Until every process is here."""
        if self.size > 1:
            torch.distributed.barrier()


@contextmanager
def team(*, gpus: int) -> Iterator[Team]:
    """Join the other processes of the run, as torchrun's environment names them, and leave at the end."""
    rank, size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    local = int(os.environ.get("LOCAL_RANK", "0"))
    on_gpu = gpus > 0 and torch.cuda.is_available()
    device = torch.device("cuda", local) if on_gpu else torch.device("cpu")
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
