"""Processes for the trainer's tests, started from a server that has torch loaded: each costs a fraction of a second.

What runs in them is the product's own `train`, in the environment that torchrun would give. `bend` names a function of
this file that is applied in the process first: a fail point, a NaN, a recorder.
"""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import torch
import torch.multiprocessing as multiprocessing
from gristmill.config import validate
from gristmill.trainer import checkpoint, loop, meters
from gristmill.trainer.distributed import World
from gristmill.trainer.run import train
from gristmill.trainer.settings import TrainSettings
from safetensors.torch import load_file

# the server has no path to this file; it preloads what costs: the product, and what torch imports when first used
multiprocessing.set_forkserver_preload(["gristmill.trainer.run", "torch._dynamo", "torch.utils.tensorboard"])
torch.set_num_threads(1)  # of the tests' own process: small work in many threads waits for a busy machine


def settings(config: dict) -> TrainSettings:
    return validate(TrainSettings, config, "test")


def run(config: dict, output: Path, ranks: int = 1, bend: str | None = None, argument: object = None) -> Path:
    """Train on `ranks` processes and give the training directory. A process that fails or is killed raises."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = (config, str(output), ranks, port, bend, argument)
    multiprocessing.start_processes(_rank, arguments, nprocs=ranks, start_method="forkserver")
    return output


def _rank(rank: int, config: dict, output: str, ranks: int, port: int, bend: str | None, argument: object) -> None:
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(ranks), "LOCAL_RANK": str(rank)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    if bend is not None:
        globals()[bend](argument)
    try:
        train(settings(config), output)
    except SystemExit as stop:  # how the command line would end, as a process that ended by itself
        os._exit(stop.code or 0)


# -- what a run left ---------------------------------------------------------------------------------------------------


def losses(directory: Path) -> list[float]:
    """The loss of every step, in order; each step must stand there once."""
    records = [record for record in meters.read(directory / "metrics.jsonl") if "loss" in record]
    assert [record["step"] for record in records] == list(range(1, len(records) + 1))
    return [record["loss"] for record in records]


def weights(directory: Path, step: int = 20) -> dict[str, torch.Tensor]:
    """Weights, moments and step counts of a checkpoint."""
    folder = directory / "checkpoints" / f"step-{step:08d}"
    return load_file(folder / "model.safetensors") | load_file(folder / "optimizer.safetensors")


def assert_same(a: Path, b: Path, step: int = 20) -> None:
    """Two runs are one to the last bit: losses, weights, moments, measurements, random state, place in the data."""
    assert losses(a) == losses(b)
    one, two = weights(a, step), weights(b, step)
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)
    moved = ("seconds", "tokens_per_s")
    tell = [
        [{k: v for k, v in record.items() if k not in moved} for record in meters.read(path / "metrics.jsonl")]
        for path in (a, b)
    ]
    assert tell[0] == tell[1]
    states = [checkpoint.newest(path / "checkpoints").state for path in (a, b)]
    for key in ("step", "consumed", "guard"):
        assert states[0][key] == states[1][key]
    for name in states[0]["files"]:
        if name != "state.json":
            assert states[0]["files"][name] == states[1]["files"][name], name


# -- bends -------------------------------------------------------------------------------------------------------------


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def killed_before_step(step: int) -> None:
    """Die by SIGKILL when `step` steps are done, at the start of the next."""
    whole = loop.Trainer.step

    def bent(self: loop.Trainer) -> None:
        if self.done == step:
            die()
        whole(self)

    loop.Trainer.step = bent


def killed_in_save(point: tuple[str, int]) -> None:
    """Die by SIGKILL at call number n (from 0) of a function of checkpoint.py."""
    name, n = point
    whole, calls = getattr(checkpoint, name), []

    def bent(*args: object, **kwargs: object) -> object:
        if len(calls) == n:
            die()
        calls.append(None)
        return whole(*args, **kwargs)

    setattr(checkpoint, name, bent)


def told_at_step(step: int) -> None:
    """Receive SIGTERM in the midst of step number `step` + 1."""
    whole = loop.Trainer.step

    def bent(self: loop.Trainer) -> None:
        if self.done == step:
            os.kill(os.getpid(), signal.SIGTERM)
        whole(self)

    loop.Trainer.step = bent


def lagging(step: int | None) -> None:
    """Read numbers a step late, as on a GPU; and be told to stop in step number `step` + 1, if there is one."""
    World.asynchronous = True
    if step is not None:
        told_at_step(step)


def nan_in_steps(which: tuple[list[int], int]) -> None:
    """The loss of these steps (number of steps done before them) is not a number, on one rank alone."""
    steps, rank = which
    whole = loop.Trainer.step

    def bent(self: loop.Trainer) -> None:
        spoilt = self.done in steps and self.world.rank == rank
        forward = self.objective.forward
        if spoilt:
            self.objective.forward = lambda batch: forward(batch) * float("nan")
        whole(self)
        self.objective.__dict__.pop("forward", None)

    loop.Trainer.step = bent
