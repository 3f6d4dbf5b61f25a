"""The ranks of a run: who takes part, and the few things they say to each other.

Under torchrun every process is a rank; without it there is one rank and every function here is trivial, so the training
loop has one path. gloo serves CPUs, NCCL serves GPUs (with gloo beside it for what lives on the CPU).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ..console import GristmillError

T = TypeVar("T")
TIMEOUT = timedelta(minutes=10)  # a rank that says nothing for so long is dead


@dataclass(frozen=True)
class World:
    """This process's `rank` among `size`, and the device it computes on."""

    rank: int
    size: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this rank speaks and writes for all."""
        return self.rank == 0

    @property
    def asynchronous(self) -> bool:
        """Whether the device still computes when a call returns."""
        return self.device.type != "cpu"

    def sum(self, value: Tensor) -> Tensor:
        """`value` summed over the ranks, in place; no wait on the host."""
        if self.size > 1:
            dist.all_reduce(value)
        return value

    def barrier(self) -> None:
        """Wait for every rank."""
        if self.size > 1:
            dist.barrier()

    def from_first(self, work: Callable[[], T]) -> T:
        """What `work` gives on rank 0, on every rank; an error there ends every rank, and only rank 0 tells of it.

        The result travels as a pickle between processes of one run, so it must be plain data.
        """
        if self.size == 1:
            return work()
        box: list = [None, None]
        error = None
        if self.first:
            try:
                box[0] = work()
            except Exception as caught:
                error = caught
                box[1] = caught.code if isinstance(caught, GristmillError) else 1
        dist.broadcast_object_list(box, src=0)
        if error is not None:
            raise error
        if box[1] is not None:
            raise SystemExit(box[1])
        return box[0]

    def data_parallel(self, module: nn.Module) -> nn.Module:
        """`module` with gradients SUMMED over the ranks during backward; itself where there is one rank."""
        if self.size == 1:
            return module
        device_ids = [self.device.index] if self.device.type == "cuda" else None
        wrapped = nn.parallel.DistributedDataParallel(module, device_ids=device_ids, gradient_as_bucket_view=True)
        wrapped.register_comm_hook(None, _summed)
        return wrapped


def _summed(_, bucket):  # without annotations: torch compares them with the types, and here they are text
    """The hook of DistributedDataParallel that reduces a bucket of gradients: a sum where the default is a mean."""
    return dist.all_reduce(bucket.buffer(), async_op=True).get_future().then(lambda future: future.value()[0])


def join() -> World:
    """Take the place that torchrun's environment gives this process; alone where there is none."""
    rank, size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    local = int(os.environ.get("LOCAL_RANK", 0))
    if torch.cuda.is_available():
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    else:
        device = torch.device("cpu")
    if size > 1:
        store, rank, size = next(dist.rendezvous("env://", timeout=TIMEOUT))
        # a restarted group must not find the addresses of the dead one: gloo would connect to them and fail
        store = dist.PrefixStore(f"attempt/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)
        backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=TIMEOUT)
    return World(rank, size, device)


def leave() -> None:
    """Close the group, if there is one."""
    if dist.is_initialized():
        dist.destroy_process_group()
