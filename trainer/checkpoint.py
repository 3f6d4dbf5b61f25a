"""Checkpoints: a run's whole state in a folder that is either complete or not there.

    checkpoints/step-00000500/
        model.safetensors        weights by name
        optimizer.safetensors    moments by `parameter/slot`
        random-0.safetensors     state of the random generators, one file a rank
        config.json              shape of the model, tokeniser, stage of training: all that generation needs
        tokenizer.json           the tokeniser itself
        state.json               place in the run, and size and sha256 of every file above

Nothing is unpickled, ever: tensors are safetensors, the rest is JSON. A checkpoint is written as step-N.tmp and renamed
when all of it is on the disk, so a killed writer leaves a .tmp that the next one removes. The digests are checked on
the way back in: a file that was cut or changed later makes a resume fall back to the checkpoint before, and say so.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..console import RequestError, WorkError, say
from .directory import write_json
from .distributed import World
from .model.config import ModelConfig
from .model.decoder import Decoder
from .optimizers.adamw import load_named_state, named_state

FORMAT = 1


@dataclass(frozen=True)
class Checkpoint:
    """A whole checkpoint that was found: its folder and its state.json."""

    path: Path
    state: dict[str, Any]


def save(
    folder: Path,
    step: int,
    *,
    world: World,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    state: dict[str, Any],
    config: dict[str, Any],
    tokenizer: bytes,
    keep: int,
) -> None:
    """Write step `step` under `folder` and remove all but the newest `keep`. Called by every rank at the same step.

    Weights and moments are the same on every rank and come from the first; each rank adds its random state.
    """
    final = folder / f"step-{step:08d}"
    aside = final.with_name(final.name + ".tmp")
    if world.first:
        folder.mkdir(parents=True, exist_ok=True)
        for rest in folder.glob("*.tmp"):
            shutil.rmtree(rest)
        aside.mkdir()
    world.barrier()
    _save_tensors(random_state(world.device), aside / f"random-{world.rank}.safetensors")
    if world.first:
        _save_tensors(dict(model.named_parameters()), aside / "model.safetensors")
        _save_tensors(named_state(model, optimizer), aside / "optimizer.safetensors")
        write_json(aside / "config.json", config)
        (aside / "tokenizer.json").write_bytes(tokenizer)
    world.barrier()
    if world.first:
        files = {path.name: _seal(path) for path in sorted(aside.iterdir())}
        write_json(
            aside / "state.json", {"format": FORMAT, "step": step, "ranks": world.size} | state | {"files": files}
        )
        _sync(aside)
        _remove(final)  # one that was found damaged
        os.rename(aside, final)
        _sync(folder)
        for old in steps(folder)[keep:]:
            _remove(old)
    world.barrier()


def steps(folder: Path) -> list[Path]:
    """The checkpoints under `folder`, newest first, whole or not."""
    found = [path for path in folder.glob("step-*") if path.is_dir() and path.name[5:].isdigit()]
    return sorted(found, key=lambda path: int(path.name[5:]), reverse=True)


def newest(folder: Path) -> Checkpoint | None:
    """The newest whole checkpoint under `folder`; None where there is none at all.

    A damaged one is passed over with a line that says so. Raises WorkError where all that are there are damaged: to
    begin again from nothing is for the user to decide.
    """
    found = steps(folder)
    for path in found:
        fault = damage(path)
        if fault is None:
            return Checkpoint(path, json.loads((path / "state.json").read_text(encoding="utf-8")))
        say(f"{path}: damaged ({fault}); falling back to the checkpoint before")
    if found:
        raise WorkError(f"{folder}: none of its {len(found)} checkpoints is whole; remove the folder to begin again")
    return None


def damage(path: Path) -> str | None:
    """What is wrong with the checkpoint at `path`; None if every file is as it was written."""
    try:
        state = json.loads((path / "state.json").read_text(encoding="utf-8"))
        if state["format"] != FORMAT:
            return f"format {state['format']}, this version reads {FORMAT}"
        for name, (size, digest) in state["files"].items():
            file = path / Path(name).name
            if file.stat().st_size != size:
                return f"{name} has {file.stat().st_size} bytes, not {size}"
            if _digest(file) != digest:
                return f"the bytes of {name} have changed"
    except FileNotFoundError as error:
        return f"{Path(error.filename).name} is missing"
    except (ValueError, KeyError, TypeError) as error:
        return f"state.json cannot be read: {error}"
    return None


def restore(found: Checkpoint, *, world: World, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Put weights, moments and this rank's random state back as they were when `found` was written.

    Where the run had fewer ranks, a rank without a state of its own keeps the one its seed gave it.
    """
    load_weights(model, found.path / "model.safetensors")
    load_named_state(model, optimizer, load_file(found.path / "optimizer.safetensors", device=str(world.device)))
    own = found.path / f"random-{world.rank}.safetensors"
    if own.exists():
        set_random_state(load_file(own), world.device)


@torch.no_grad()
def load_weights(model: nn.Module, file: Path) -> None:
    """Copy the weights in `file` into `model`. Raises RequestError where names or shapes are not the model's."""
    weights = load_file(file)
    parameters = dict(model.named_parameters())
    for name in sorted(weights.keys() ^ parameters.keys()):
        where = "only in the file" if name in weights else "missing from the file"
        raise RequestError(f"{file}: weight {name} is {where}; the model is not the one that was saved")
    for name, parameter in parameters.items():
        if weights[name].shape != parameter.shape:
            shapes = f"{list(weights[name].shape)}, the model needs {list(parameter.shape)}"
            raise RequestError(f"{file}: weight {name} has shape {shapes}")
        parameter.copy_(weights[name])


def open_model(path: Path, device: torch.device) -> tuple[Decoder, dict[str, Any]]:
    """The model of a checkpoint, ready to read tokens on `device`, and its config.json.

    `path`: a checkpoint's folder or a training directory, whose newest whole checkpoint is taken. Raises RequestError.
    """
    if not path.is_dir():
        raise RequestError(f"{path}: no such folder; give a training directory or a checkpoint inside one")
    if not (path / "config.json").exists():
        found = newest(path / "checkpoints")
        if found is None:
            raise RequestError(f"{path}: neither a checkpoint nor a training directory that has one")
        path = found.path
    elif (fault := damage(path)) is not None:
        raise RequestError(f"{path}: damaged ({fault})")
    config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    with device:
        model = Decoder(ModelConfig.model_validate_json(json.dumps(config["model"])))
    load_weights(model, path / "model.safetensors")
    return model.eval(), config | {"folder": str(path)}


# -- random state ----------------------------------------------------------------------------------------------------


def random_state(device: torch.device) -> dict[str, Tensor]:
    """The generators a model can draw from on this rank: the CPU's and the device's."""
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def set_random_state(state: dict[str, Tensor], device: torch.device) -> None:
    """Put back what `random_state` gave; a generator that was not there then is left alone."""
    torch.set_rng_state(state["cpu"])
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)


# -- files -----------------------------------------------------------------------------------------------------------


def _save_tensors(tensors: dict[str, Tensor], path: Path) -> None:
    save_file({name: tensor.detach().contiguous() for name, tensor in tensors.items()}, path)


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _seal(path: Path) -> tuple[int, str]:
    """(size, sha256) of a file that is on the disk when this returns."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
    return path.stat().st_size, _digest(path)


def _sync(folder: Path) -> None:
    """Have the names in `folder` on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    """Remove a checkpoint so that no half of it is ever taken for one."""
    if path.exists():
        aside = path.with_name(path.name + ".old.tmp")
        os.rename(path, aside)
        shutil.rmtree(aside)
