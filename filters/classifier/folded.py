"""Probabilities of a fastText model's labels: its file folded into a table of word scores, or the library as it is.

A dense model with the losses softmax, one-vs-all or negative sampling is folded, with or without runs of words and of
characters; the trade-off is a sum taken in another order, so probabilities agree with the library's to 1e-5 and not to
the bit (the library itself adds 1e-5 to each). Of the independent losses the library reads the logistic function from
a table of 512 steps; ours is exact, at most 0.008 away. Quantised and hierarchical models (`.ftz`, loss `hs`) go
through the library's own predictor, a text at a time.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from .model_file import PREFIX, SOFTMAX, BadModel, ModelFile

BLOCK = 1 << 16  # rows of a matrix that are read at once


class Predictor(Protocol):
    """What gives probabilities."""

    labels: tuple[str, ...]

    def __call__(self, data: np.ndarray, offsets: np.ndarray, active: np.ndarray | None = None) -> np.ndarray:
        """float64[n, labels] of texts data uint8[bytes], offsets int64[n + 1]; rows not in `active` (bool[n]) are NaN.

        So are texts that hold nothing that the model knows. A text is read as one line, and to the first word `</s>`,
        as fastText does.
        """
        ...


def predictor(model: ModelFile) -> Predictor:
    """The fastest predictor for a model. Raises BadModel; ImportError where the library is needed and missing."""
    return Library(model) if model.outputs is None else Folded(model)


class Folded:
    """The compiled predictor. One object serves all threads."""

    def __init__(self, model: ModelFile):
        from ..measures import word_scores as kernels

        self.labels, self.ngrams, (self.shortest, self.longest) = model.labels, model.word_ngrams, model.characters
        self.softmax = model.loss == SOFTMAX
        columns = len(model.labels) - 1 if self.softmax else len(model.labels)
        rows = np.empty((model.words + model.buckets, columns), np.float32)
        outputs = np.ascontiguousarray(model.outputs, np.float32)
        for first in range(0, len(rows), BLOCK):
            last = min(first + BLOCK, len(rows))
            block = np.array(model.inputs[first:last], np.float32)  # a copy: what is mapped need not be aligned
            kernels.fold(block, outputs, self.softmax, rows[first:last])
        if not np.isfinite(rows).all():
            raise BadModel("its matrices hold values that are no numbers")
        self.rows, self.buckets = rows[: model.words], rows[model.words :]
        if not len(self.buckets):
            self.longest = 0
        self.weights = np.ones(model.words, np.int32)
        if self.longest > 0:
            runs = self.buckets, self.shortest, self.longest
            kernels.add_characters(model.entries, model.words, *runs, self.rows, self.weights)
        self.slots = np.zeros((1 << max(4, (2 * model.words).bit_length()), 2), np.uint64)
        self.ending = kernels.index(model.entries, model.words, self.slots)

    def __call__(self, data: np.ndarray, offsets: np.ndarray, active: np.ndarray | None = None) -> np.ndarray:
        from ..measures import word_scores as kernels

        n = len(offsets) - 1
        active = np.ones(n, bool) if active is None else active
        means = np.full((n, self.rows.shape[1]), np.nan)
        table = self.slots, self.rows, self.weights, self.ending, self.buckets
        kernels.score(data, offsets, active, *table, self.ngrams, self.shortest, self.longest, means)
        if self.softmax:
            out = np.empty((n, len(self.labels)))
            kernels.softmax(means, out)
            return out
        out = np.empty_like(means)
        kernels.sigmoid(means, out)
        return out


class Library:
    """fastText's own predictor."""

    def __init__(self, model: ModelFile):
        from fasttext import load_model

        try:
            self.model: Any = load_model(str(model.path)).f
        except (ValueError, RuntimeError, MemoryError) as error:
            raise BadModel(f"the library cannot read it: {error}") from None
        self.labels = model.labels
        self._places = {label: place for place, label in enumerate(model.labels)}

    def __call__(self, data: np.ndarray, offsets: np.ndarray, active: np.ndarray | None = None) -> np.ndarray:
        out = np.full((len(offsets) - 1, len(self.labels)), np.nan)
        for row in range(len(out)) if active is None else np.flatnonzero(active).tolist():
            text = data[offsets[row] : offsets[row + 1]].tobytes().decode().replace("\n", " ")
            for probability, label in self.model.predict(text + "\n", -1, -1.0, "replace"):
                out[row, self._places[label.removeprefix(PREFIX)]] = min(probability, 1.0)
        return out
