"""`gristmill train`: from a configuration to a training directory, on every rank.

What only one process may do (the lock, run.json, the choice of the checkpoint) the first rank does for all; what it
finds wrong ends every rank, and is said once.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path
from typing import Any

import torch

from ..console import GristmillError, RequestError, say
from .compat import check_torch
from .directory import Lock, TrainingDirectory
from .distributed import World, join, leave
from .loader.stream import TokenStream
from .loop import Trainer
from .model.size import flops_per_token, parameters
from .settings import TrainSettings


def train(settings: TrainSettings, output: str | Path | None = None) -> Path:
    """Train as `settings` say, in the directory `output` (else `settings.output`), or go on with the run that is there.

    Called by every process that torchrun started, or by one alone. Gives the training directory. Raises RequestError
    before any work (no corpus, a directory in use, a run with another configuration) and WorkError where training
    fails.
    """
    target = output or settings.output
    if target is None:
        raise RequestError("no training directory: give --output DIR, or `output` in the configuration")
    check_torch()
    world = join()
    try:
        return _train(settings, TrainingDirectory(target), world)
    except GristmillError as error:
        if world.first:
            raise
        raise SystemExit(error.code) from None
    finally:
        leave()


def _train(settings: TrainSettings, directory: TrainingDirectory, world: World) -> Path:
    prepare_torch(settings, world.device)
    stream = TokenStream(settings.data.tokens, "train")
    tokenizer = _tokenizer(stream)
    with contextlib.ExitStack() as held:
        world.from_first(lambda: held.enter_context(Lock(directory.path)) and None)
        trainer = Trainer(settings, directory, world, stream, tokenizer)
        run = world.from_first(lambda: directory.begin(settings, *_facts(settings, trainer)))
        resumed = trainer.resume()
        if world.first:
            directory.progress(run, trainer.done, trainer.loader.consumed)
            _introduce(trainer, resumed)
        trainer.run(run)
    return directory.path


def _tokenizer(stream: TokenStream) -> bytes:
    """The tokenizer.json of the corpus. Raises RequestError where it is not the one that the manifest names."""
    info = stream.manifest.tokenizer
    path = stream.directory / info.file
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RequestError(f"{path}: the tokeniser of the corpus cannot be read: {error.strerror}") from None
    if hashlib.sha256(data).hexdigest() != info.sha256:
        raise RequestError(f"{path}: not the tokeniser that made these tokens, its sha256 differs from the manifest's")
    return data


def _facts(settings: TrainSettings, trainer: Trainer) -> tuple[dict[str, Any], dict[str, int], dict[str, Any]]:
    """What run.json says besides the configuration: the data, the seeds, and what they amount to."""
    data = {
        "tokens": str(trainer.stream.directory.resolve()),
        "digest": trainer.stream.digest,
        "length": settings.data.length,
        "sequences": settings.batch.sequences,
        "seed": settings.data.seed,
    }
    seeds = {"data": settings.data.seed, "model": settings.seed}
    details = {
        "model": trainer.config["model"]
        | {
            "parameters": parameters(trainer.model),
            "flops_per_token": flops_per_token(trainer.model, settings.data.length),
        },
        "ranks": trainer.world.size,
        "device": str(trainer.world.device),
        "precision": trainer.precision.name,
    }
    return data, seeds, details


def _introduce(trainer: Trainer, resumed: bool) -> None:
    """Say what is about to be trained, on what, from where."""
    stream, world, settings = trainer.stream, trainer.world, trainer.settings
    size = parameters(trainer.model)
    ranks = f"{world.size} ranks on " if world.size > 1 else ""
    say(f"model: {size:,} parameters; {ranks}{world.device.type}, {trainer.precision.name}")
    epochs = settings.schedule.steps * settings.batch.sequences / trainer.loader.sequences
    say(f"tokens: {stream.tokens:,} from {stream.directory}; {settings.schedule.steps:,} steps are {epochs:.2f} epochs")
    if resumed:
        say(f"going on after step {trainer.done:,}")


def prepare_torch(settings: TrainSettings, device: torch.device) -> None:
    """Threads, and on CUDA kernels that give the same bits twice where the configuration asks for them."""
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    if device.type == "cuda" and settings.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
        torch.utils.deterministic.fill_uninitialized_memory = False
