"""Training: a fastText classifier from good and bad text; the same text and settings give the same file.

fastText (Joulin et al. 2016, arXiv:1607.01759) averages a vector a word and learns one linear layer over the mean. The
default is words alone with sixteen numbers each: on web text against books it was as accurate as a hundred numbers and
pairs of words, twenty times smaller and several times quicker to ask, since there is less to learn from the same text.
Words that occur fewer than five times are not learnt, which also keeps most names and addresses out of the file.
One thread, because several race for the weights and no two runs would agree.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
from pydantic import Field

from ...config import Settings
from ...console import RequestError, WorkError
from ...document import text_buffers
from .examples import BAD, GOOD, Chosen, Examples, Part, read_examples
from .model_file import PREFIX, read

AT_ONCE = 1000  # held-out examples in memory


class TrainingSettings(Settings):
    """How a classifier is trained."""

    word_ngrams: int = Field(1, ge=1, le=5, description="Longest run of words that is a feature; 1 is words alone")
    dimension: int = Field(16, ge=1, le=1000, description="Numbers a word")
    epochs: int = Field(5, ge=1, le=1000, description="How often all examples are learnt from")
    learning_rate: float = Field(0.5, gt=0, le=10, description="At the start; it falls to 0")
    min_count: int = Field(5, ge=1, description="Rarer words are not learnt")
    buckets: int = Field(1 << 18, ge=1, le=1 << 28, description="Slots that runs of words are hashed into")
    held_out: float = Field(0.1, gt=0, lt=1, description="Share of the documents that the model is tested on")
    examples: int | None = Field(None, ge=1, description="At most so many examples of each side, by draw; null: all")
    example_characters: int = Field(10_000, ge=100, description="Longer documents become several examples")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Of the draws and of the library")


@dataclass(frozen=True)
class HeldOut:
    """What the finished model says of k held-out examples."""

    good: np.ndarray  # bool[k]: what they are
    scores: np.ndarray  # float64[k]: probability of `good`


@dataclass(frozen=True)
class Trained:
    """A model that was written."""

    counts: dict[str, dict[str, int]]
    words: int
    held_out: HeldOut
    nearest: list[dict[str, Any]]  # id, side, score, text of the held-out examples nearest to the threshold


def train(
    good: Iterable[pa.RecordBatch],
    bad: Iterable[pa.RecordBatch],
    output: Path,
    settings: TrainingSettings,
    threshold: float = 0.5,
    nearest: int = 10,
) -> Trained:
    """Write the model `output`, with the labels `good` and `bad`, from batches with the column `text` (and `id`).

    Memory is bounded: examples lie in temporary files next to `output`. Raises RequestError where a side has no text,
    WorkError where the training fails.
    """
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}-") as folder:
        with open(Path(folder, "examples"), "w+b") as file:
            examples = Examples(file, settings.example_characters)
            examples.add(GOOD, good)
            examples.add(BAD, bad)
            chosen = examples.choose(settings.held_out, settings.examples, settings.seed)
            _enough(chosen)
            _write(file, chosen.training, Path(folder, "training"))
            model = Path(folder, output.name)
            _fit(Path(folder, "training"), model, settings)
            words = read(model).words
            if not words:
                raise RequestError(f"--set min_count: no word occurs {settings.min_count:,} times; try a lower number")
            held_out = _ask(model, file, chosen.held_out)
            shown = _nearest(file, chosen.held_out, held_out, threshold, nearest)
        os.replace(model, output)
    return Trained(chosen.counts, words, held_out, shown)


def _enough(chosen: Chosen) -> None:
    if not len(chosen.training) or not len(chosen.held_out):
        shown = []
        for side, counts in chosen.counts.items():
            alone = counts["examples"] - counts["repeated"] - counts["on_both_sides"]
            shown.append(f"--{side} {alone:,} ({counts['documents']:,} documents)")
        raise RequestError(
            f"too few texts that are on one side alone: {', '.join(shown)}; each side needs some to learn from and "
            "some to hold out"
        )


def _write(file: BinaryIO, part: Part, path: Path) -> None:
    """The file that fastText reads: a label and an example a line."""
    labels = {True: f"{PREFIX}{GOOD} ".encode(), False: f"{PREFIX}{BAD} ".encode()}
    with open(path, "wb") as out:
        for first in range(0, len(part), AT_ONCE):
            rows = np.arange(first, min(first + AT_ONCE, len(part)))
            _, lines = read_examples(file, part, rows)
            for row, line in zip(rows, lines, strict=True):
                out.write(labels[bool(part.good[row])] + line + b"\n")


def _fit(examples: Path, model: Path, settings: TrainingSettings) -> None:
    try:
        from fasttext import train_supervised
    except ImportError:
        raise RequestError("the module fasttext was not found; install gristmill[pipelines]") from None
    try:
        trained = train_supervised(
            str(examples),
            dim=settings.dimension,
            epoch=settings.epochs,
            lr=settings.learning_rate,
            wordNgrams=settings.word_ngrams,
            minCount=settings.min_count,
            bucket=settings.buckets,
            loss="softmax",
            thread=1,
            seed=settings.seed,
            verbose=0,
        )
        trained.save_model(str(model))
    except (ValueError, RuntimeError) as error:
        raise WorkError(
            f"fastText could not train: {error}; a lower learning_rate or min_count may help, or more text"
        ) from None


def _ask(model: Path, file: BinaryIO, part: Part) -> HeldOut:
    """The probability of `good` of every held-out example."""
    from .folded import predictor

    folded = predictor(read(model))
    column, scores = folded.labels.index(GOOD), np.empty(len(part))
    for first in range(0, len(part), AT_ONCE):
        rows = np.arange(first, min(first + AT_ONCE, len(part)))
        _, lines = read_examples(file, part, rows)
        scores[rows] = folded(*text_buffers(pa.array(lines, pa.large_binary())))[:, column]
    return HeldOut(part.good, np.nan_to_num(scores, nan=0.5))  # nothing known of it: it may be either


def _nearest(file: BinaryIO, part: Part, held_out: HeldOut, threshold: float, most: int) -> list[dict[str, Any]]:
    """The examples whose score is nearest to the threshold, their text and id scrubbed of personal data."""
    from ..pii.scrub import redact, scrub_ids

    rows = np.argsort(np.abs(held_out.scores - threshold), kind="stable")[:most]
    ids, lines = read_examples(file, part, rows)
    ids = scrub_ids(pa.array(ids, pa.string())).to_pylist()
    return [
        {
            "id": _printable(id),
            "side": GOOD if part.good[row] else BAD,
            "score": round(float(held_out.scores[row]), 4),
            "text": _printable(redact(line.decode()[:2000]))[:80],
        }
        for row, id, line in zip(rows.tolist(), ids, lines, strict=True)
    ]


def _printable(text: str) -> str:
    """Without what would steer a terminal."""
    return "".join(c if c.isprintable() else " " for c in text)
