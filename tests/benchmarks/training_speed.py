"""Training beside a bare loop of the same model, in a process of its own: `training_speed.py TOKENS FOLDER`.

The bare loop is forward and backward on one batch of the same shape, over and over: no reading, no optimiser, no
clipping, no metrics. The difference is what the trainer costs. Blocks of both take turns. Prints one line of JSON.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from gristmill.config import load
from gristmill.trainer.directory import TrainingDirectory
from gristmill.trainer.distributed import World, join
from gristmill.trainer.loader.stream import TokenStream
from gristmill.trainer.loop import Trainer
from gristmill.trainer.run import prepare_torch
from gristmill.trainer.settings import TrainSettings

TINY = Path(__file__).parents[2] / "trainer" / "recipes" / "tiny.yaml"
BLOCK, ROUNDS = 60, 5


def rate(step: Callable[[], None], tokens: int) -> float:
    """Tokens a second of a block of steps."""
    start = time.perf_counter()
    for _ in range(BLOCK):
        step()
    return BLOCK * tokens / (time.perf_counter() - start)


def main(tokens: str, folder: str) -> None:
    settings = load(TrainSettings, TINY, [f"data.tokens={tokens}"])
    world: World = join()
    prepare_torch(settings, world.device)
    stream = TokenStream(settings.data.tokens, "train")
    tokenizer = (stream.directory / stream.manifest.tokenizer.file).read_bytes()
    trainer = Trainer(settings, TrainingDirectory(folder), world, stream, tokenizer)
    shape = (settings.batch.sequences, settings.data.length + 1)
    batch = torch.randint(stream.manifest.tokenizer.vocabulary, shape)
    size = settings.batch.sequences * settings.data.length

    def bare() -> None:
        trainer.objective(batch).backward()
        trainer.model.zero_grad(set_to_none=True)

    rate(bare, size), rate(trainer.step, size)  # the first blocks pay for what is allocated once
    ours, loops = [], []
    for _ in range(ROUNDS):
        ours.append(rate(trainer.step, size))
        loops.append(rate(bare, size))
    print(json.dumps({"trainer": statistics.median(ours), "bare": statistics.median(loops)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
