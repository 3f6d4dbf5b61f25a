"""A training configuration: every key that `gristmill train CONFIG.yaml` knows, with what it means."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from ..config import Settings
from .model.config import ModelShape


class Data(Settings):
    """Which tokens, cut how, in which order."""

    tokens: str = Field(min_length=1, description="folder of token shards and their manifest.json")
    length: int = Field(ge=2, description="tokens of context in a sequence")
    seed: int = Field(0, ge=0, description="seed of the order in which sequences are read after the first epoch")


class Optimizer(Settings):
    """AdamW."""

    lr: float = Field(3e-4, gt=0, description="learning rate at its peak")
    betas: tuple[float, float] = Field((0.9, 0.95), description="decay of the running mean and of the running square")
    eps: float = Field(1e-8, gt=0, description="added to the root of the running square")
    weight_decay: float = Field(0.1, ge=0, description="decay of matrices; gains of norms are not decayed")
    clip: float | None = Field(1.0, gt=0, description="largest global norm of the gradient; null: not clipped")

    @model_validator(mode="after")
    def _betas(self) -> Optimizer:
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas {list(self.betas)} must lie in [0, 1)")
        return self


class Schedule(Settings):
    """How long, and the learning rate on the way: a linear rise, then half a cosine."""

    steps: int = Field(ge=1, description="updates of the weights; the cosine ends there")
    warmup: int = Field(0, ge=0, description="steps of linear rise to the peak")
    min_lr: float = Field(0.1, ge=0, le=1, description="learning rate at the end, as a share of the peak")


class Batch(Settings):
    """What one update is made of."""

    sequences: int = Field(ge=1, description="sequences of the global batch, over all ranks and micro-batches")
    micro: int | None = Field(
        None, ge=1, description="sequences a forward pass of one rank takes; null: all that the rank has"
    )


class Checkpoint(Settings):
    """When the run's state is written, and how much of it is kept."""

    every: int = Field(500, ge=1, description="steps between checkpoints; the last step always has one")
    keep: int = Field(2, ge=1, description="checkpoints kept; older ones are removed")


class Validation(Settings):
    """When the model is measured on the validation split."""

    every: int = Field(500, ge=1, description="steps between measurements; the last step always has one")
    sequences: int | None = Field(None, ge=1, description="sequences of the split that are read; null: all of it")


class Samples(Settings):
    """When the model writes, and what it goes on from."""

    every: int = Field(
        500, ge=1, description="steps between samples; before the first and after the last are always some"
    )
    prompts: tuple[str, ...] = Field((), description="texts to continue; none: no samples")
    tokens: int = Field(64, ge=1, description="tokens written after each prompt")


class TrainSettings(Settings):
    """One training run."""

    data: Data = Field(description="the corpus and how it is cut")
    model: ModelShape = Field(description="the shape of the model; its vocabulary is the corpus's")
    optimizer: Optimizer = Field(Optimizer(), description="AdamW")
    schedule: Schedule = Field(description="length of the run and its learning rate")
    batch: Batch = Field(description="sequences in an update")
    precision: Literal["auto", "fp32", "bf16", "fp64"] = Field(
        "auto", description="auto: bf16 on CUDA devices of capability 8 and above, fp32 elsewhere"
    )
    deterministic: bool = Field(
        True, description="on CUDA, kernels that give the same bits twice, so that a resumed run is the same run"
    )
    checkpoint: Checkpoint = Field(Checkpoint(), description="when state is written")
    validation: Validation = Field(Validation(), description="when bits per byte are measured")
    samples: Samples = Field(Samples(), description="when text is written")
    seed: int = Field(0, ge=0, description="seed of the initial weights and of the samples")
    threads: int | None = Field(None, ge=1, description="CPU threads of a rank; null: what torch takes by itself")
    max_seconds: float | None = Field(
        None,
        gt=0,
        description="stop cleanly, with a checkpoint, after so many seconds; the schedule still follows `steps`",
    )
    output: str | None = Field(None, description="training directory; `--output` stands above it")


# What may differ when a run is resumed: how long, how fast, what is written beside it; never what is learned from what.
RESUMABLE = (
    "batch.micro",
    "checkpoint",
    "data.tokens",  # where the corpus lies; that it is the same one is checked by its digest
    "deterministic",
    "max_seconds",
    "output",
    "samples",
    "schedule.steps",
    "threads",
    "validation",
)
