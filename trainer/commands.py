"""The commands of the trainer."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..console import say

if TYPE_CHECKING:
    from .generation.sampling import Sampler

RECIPES = Path(__file__).parent / "recipes"

Model = Annotated[Path, typer.Argument(help="A training directory (its newest checkpoint is taken) or a checkpoint.")]
Count = Annotated[int, typer.Option("--tokens", min=1, help="At most so many tokens.")]
Temperature = Annotated[float, typer.Option(min=0, help="0: always the likeliest token; 1: as the model has it.")]
TopK = Annotated[int | None, typer.Option(min=1, help="Draw from the so many likeliest tokens only.")]
TopP = Annotated[float | None, typer.Option(help="Draw from the likeliest tokens that hold this share only.")]
Seed = Annotated[int, typer.Option(min=0, help="The same seed writes the same text.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this room."""
    from . import trace

    # Read when torch is loaded. By default its CPU threads spin while they wait for each other, which on a machine that
    # does anything else besides costs up to eight times the speed (measured); sleeping costs an idle one little.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

    app.command()(train)
    app.command()(generate)
    app.command()(chat)
    app.command()(evaluate)
    trace.register(app)


def train(
    config: Annotated[
        str, typer.Argument(help="A YAML file, or the name of a configuration that ships with gristmill.")
    ],
    settings: Annotated[list[str] | None, typer.Option("--set", help="path.to.key=value, above the file.")] = None,
    output: Annotated[Path | None, typer.Option(help="The training directory; a run that is there goes on.")] = None,
) -> None:
    """Train a model on a folder of token shards. Run it under torchrun for several processes."""
    from ..config import find, load
    from .run import train as run
    from .settings import TrainSettings

    run(load(TrainSettings, find(config, RECIPES), settings or ()), output)


def generate(
    model: Model,
    prompt: Annotated[str, typer.Option(help="The text to go on with.")] = "",
    tokens: Count = 128,
    temperature: Temperature = 0.8,
    top_k: TopK = None,
    top_p: TopP = None,
    seed: Seed = 0,
) -> None:
    """Write on from a prompt; the text goes to stdout as it is made."""
    from .generation.generate import open_writer

    sampler = _sampler(temperature, top_k, top_p, seed)
    writer, _ = open_writer(model)
    _show(prompt)
    for piece in writer.stream(prompt, tokens, sampler):
        _show(piece)
    _show("\n")


def chat(
    model: Model,
    tokens: Count = 128,
    temperature: Temperature = 0.8,
    top_k: TopK = None,
    top_p: TopP = None,
    seed: Seed = 0,
) -> None:
    """Talk to a model, a line at a time, until the end of the input (Ctrl-D)."""
    from .generation import chat as conversation
    from .generation.generate import open_writer

    sampler = _sampler(temperature, top_k, top_p, seed)
    writer, config = open_writer(model)
    conversation.chat(writer, config["stage"], conversation.typed(), tokens, sampler, _show, say)


def evaluate(
    directory: Annotated[Path, typer.Argument(help="A training directory.")],
    tokens: Annotated[Path | None, typer.Option(help="Where the tokens are now, if they were moved.")] = None,
) -> None:
    """Bits per byte of the validation split: the model's, beside those of a bigram of the same training tokens."""
    from .evaluation.compare import compare

    model, bigram = compare(directory, tokens)
    print(f"model   {model.per_byte:.4f} bits per byte   {model.nats:.4f} nats a token over {model.tokens:,} tokens")
    print(f"bigram  {bigram.per_byte:.4f} bits per byte   {bigram.nats:.4f} nats a token over {bigram.tokens:,} tokens")


def _sampler(temperature: float, top_k: int | None, top_p: float | None, seed: int) -> Sampler:
    from .generation.sampling import Sampler, Sampling

    return Sampler(Sampling(temperature, top_k, top_p), seed)


def _show(text: str) -> None:
    print(text, end="", flush=True)
