"""A trained model beside the baseline it must beat, on the same predicted tokens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from ...console import RequestError
from ..checkpoint import open_model
from ..directory import TrainingDirectory
from ..distributed import World
from ..loader.batches import validation_batches
from ..loader.stream import TokenStream
from ..objectives.causal import CausalObjective
from ..precision import choose
from . import bigram
from .bits import Bits, as_bits, bits_per_byte, bytes_per_token

BATCH = 16  # sequences a forward pass
TRAIN_TOKENS = 50_000_000  # the bigram counts no more than the first so many: its memory is then a few hundred MB


def compare(directory: Path, tokens: Path | None = None) -> tuple[Bits, Bits]:
    """(the model's, the bigram's) bits per byte over the whole validation split.

    `directory`: a training directory; `tokens`: its corpus, where run.json's path no longer leads to it. Raises
    RequestError where the tokens are not those of the run.
    """
    run = TrainingDirectory(directory).read_run()
    if run is None:
        raise RequestError(f"{directory}: not a training directory, it has no run.json")
    data = run["data"]
    path = tokens or Path(data["tokens"])
    validation = TokenStream(path, "validation")
    if validation.digest != data["digest"]:
        raise RequestError(
            f"{path}: these tokens have digest {validation.digest[:12]}, the run has read {data['digest'][:12]}"
        )
    return model_bits(directory, validation, data["length"]), bigram_bits(path, data["length"])


def model_bits(directory: Path, validation: TokenStream, length: int) -> Bits:
    """Bits per byte of the newest checkpoint under `directory`."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model, _ = open_model(directory, device)
    batches = validation_batches(validation, length, BATCH)
    world = World(0, 1, device)
    token_bytes = bytes_per_token(validation)
    return bits_per_byte(CausalObjective(model), batches, token_bytes, world, choose("auto", device))


def bigram_bits(tokens: Path, length: int) -> Bits:
    """Bits per byte of a bigram of the train split, on the tokens that a model of context `length` predicts."""
    train, validation = TokenStream(tokens, "train"), TokenStream(tokens, "validation")
    window = 1024
    held = min(train.sequences(window), TRAIN_TOKENS // window)
    batches = (train.read(np.arange(first, min(first + 64, held)), window) for first in range(0, held, 64))
    model = bigram.fit(batches, train.manifest.tokenizer.vocabulary)
    nats, count = model.nats(validation_batches(validation, length, 64))
    return as_bits(nats, count, bytes_per_token(validation))
