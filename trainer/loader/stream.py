"""The tokens of a split as one long line of ids, cut into sequences that are read where they are needed.

The idea: sequence s of length L is the ids s * L to s * L + L, both included: L inputs and, one further, L targets.
Documents follow each other, each closed by its end-of-text id, so nothing is padded and no id is lost but the last few.
Shards are mapped into memory when they are first touched, and a bounded number of them stays open: starting costs one
manifest, whatever the corpus holds. Reading happens in the training process itself: one gather of a mapped file is
ten times cheaper than the same rows through worker processes, which pickle and queue them.
The trade-off: a sequence may begin inside a document, whose beginning the model then does not see.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...console import WorkError
from ...tokenize.manifest import Manifest
from ...tokenize.shards import Shard

OPEN_SHARDS = 128  # each holds a file descriptor; a usual limit is 1,024


@dataclass(frozen=True)
class DocumentPart:
    """The part of a document that lies in a sequence: its ids number `first` to `last`, counted from 0."""

    shard: str  # file name
    row: int
    first: int
    last: int  # included
    id: str
    key: str  # hex
    source: str
    record: int
    offset: int | None


class TokenStream:
    """The `split` ("train" or "validation") of a directory of tokens.

    `manifest` and `digest` say which tokens these are; `documents`, `tokens` and `utf8_bytes` are the split's totals.
    """

    def __init__(self, directory: str | Path, split: str = "train"):
        """Reads the manifest alone. Raises RequestError where there is none or this version cannot read it."""
        self.directory, self.split = Path(directory), split
        self.manifest = Manifest.read(directory)
        self.digest = self.manifest.digest
        self.shards = getattr(self.manifest.splits, split)
        self.starts = np.concatenate([[0], np.cumsum([shard.tokens for shard in self.shards], dtype=np.int64)])
        self.tokens = int(self.starts[-1])
        self.documents = sum(shard.rows for shard in self.shards)
        self.utf8_bytes = sum(shard.utf8_bytes for shard in self.shards)
        self._open: OrderedDict[int, Shard] = OrderedDict()

    def sequences(self, length: int) -> int:
        """How many sequences of `length` inputs the stream holds."""
        return max(0, self.tokens - 1) // length

    def read(self, sequences: np.ndarray, length: int) -> np.ndarray:
        """int64[k, length + 1]: the ids of each of k sequences; [:, :-1] are the inputs and [:, 1:] the targets.

        Raises IndexError for a sequence that the stream does not hold, WorkError for a missing or damaged shard.
        """
        sequences = np.asarray(sequences, np.int64)
        held = self.sequences(length)
        if ((sequences < 0) | (sequences >= held)).any():
            raise IndexError(f"sequences from 0 to {held - 1}, found {sequences.min()} to {sequences.max()}")
        rows = np.empty((len(sequences), length + 1), np.int64)
        firsts = sequences * length
        shards = np.searchsorted(self.starts, firsts, side="right") - 1
        for row, shard, first in zip(rows, shards.tolist(), (firsts - self.starts[shards]).tolist(), strict=True):
            done = self.shard(shard).copy(first, row)
            while done <= length:  # over the border, and over shards without a document
                shard += 1
                done += self.shard(shard).copy(0, row[done:])
        return rows

    def parts(self, sequence: int, length: int) -> list[DocumentPart]:
        """The documents of `sequence`, in order: all that share an id with it, be it the last target only."""
        at, end = sequence * length, sequence * length + length + 1
        if not 0 <= sequence < self.sequences(length):
            raise IndexError(f"sequences from 0 to {self.sequences(length) - 1}, found {sequence}")
        found = []
        while at < end:
            number = int(np.searchsorted(self.starts, at, side="right")) - 1
            shard, start = self.shard(number), int(self.starts[number])
            row = shard.row_of(at - start)
            first, after = (start + token for token in shard.span(row))
            who = shard.document(row)
            who["key"] = who["key"].hex()
            found.append(DocumentPart(self.shards[number].file, row, at - first, min(after, end) - 1 - first, **who))
            at = after
        return found

    def shard(self, number: int) -> Shard:
        """Shard `number`, opened if it is not; the one used longest ago is closed where too many are open."""
        shard = self._open.get(number)
        if shard is None:
            info = self.shards[number]
            shard = Shard(self.directory / info.file)
            if (shard.rows, shard.tokens) != (info.rows, info.tokens):
                raise WorkError(
                    f"{shard.path}: {shard.rows} documents and {shard.tokens} tokens, the manifest says "
                    f"{info.rows} and {info.tokens}; see `gristmill tokens verify {self.directory}`"
                )
            self._open[number] = shard
            if len(self._open) > OPEN_SHARDS:
                self._open.popitem(last=False)
        self._open.move_to_end(number)
        return shard
