"""A batch of documents as rules see it: the bytes of its texts, and what several rules want to know of them, once.

Documents that an earlier rule dropped are no longer active and are not measured again. Work that rules share (counts of
words, of lines) is kept under a name; a rule that asks for it pays only for the active rows nobody asked for yet.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...document import text_buffers


class Texts:
    """n documents of a batch, of which those in `active` are measured."""

    def __init__(self, batch: pa.RecordBatch):
        self.batch = batch
        self.active = np.ones(batch.num_rows, bool)  # whoever runs the rules switches rows off
        self.data, self.offsets = text_buffers(batch.column("text"))  # uint8[bytes], int64[n + 1]
        self._kept: dict[Hashable, tuple[np.ndarray, np.ndarray]] = {}

    def __len__(self) -> int:
        return self.batch.num_rows

    def column(self, name: str) -> pa.Array:
        """Another column of the documents, such as `url` or `language`."""
        return self.batch.column(name)

    def shared(
        self, name: Hashable, dtype: np.dtype | type, fill: Callable[[np.ndarray, np.ndarray], None]
    ) -> np.ndarray:
        """dtype[n], kept under `name`: `fill(wanted bool[n], out dtype[n])` writes the rows nobody asked for yet.

        What it gives belongs to all: read only.
        """
        if name not in self._kept:
            self._kept[name] = np.zeros(len(self), dtype), np.zeros(len(self), bool)
        out, done = self._kept[name]
        wanted = self.active & ~done
        if wanted.any():
            fill(wanted, out)
            done |= wanted
        return out

    def characters(self) -> np.ndarray:
        """int64[n]: code points of each text."""

        def fill(wanted: np.ndarray, out: np.ndarray) -> None:
            out[:] = pc.utf8_length(self.column("text")).to_numpy(zero_copy_only=False)

        return self.shared("characters", np.int64, fill)

    def occurrences(self, pattern: str, ignore_case: bool = False) -> np.ndarray:
        """int64[n]: how often `pattern` occurs, without overlap."""

        def fill(wanted: np.ndarray, out: np.ndarray) -> None:
            rows = np.flatnonzero(wanted)
            found = pc.count_substring(self.column("text").take(pa.array(rows)), pattern, ignore_case=ignore_case)
            out[rows] = found.to_numpy(zero_copy_only=False)

        return self.shared(("occurrences", pattern, ignore_case), np.int64, fill)
