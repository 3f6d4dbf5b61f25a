"""Global batches and each rank's share of them, resumable from one integer.

The idea: the state of the loader is the number of sequences consumed, nothing else. A global batch is the sequences at
the next B positions of the run; which rank reads which of them is decided last, in contiguous slices, so the batches of
all ranks put together in rank order are the batch of one rank, and a run may go on with another number of ranks than it
began with. Nothing is buffered, so nothing can be lost or seen twice when a run is killed.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...console import RequestError
from .order import sequence_at
from .stream import TokenStream


class Loader:
    """Endless batches of a stream. `state()` and `load(state)` are the number of sequences consumed by all ranks."""

    def __init__(
        self, stream: TokenStream, length: int, sequences_per_batch: int, seed: int, rank: int = 0, world: int = 1
    ):
        """`sequences_per_batch` is of the global batch. Raises RequestError where ranks or tokens do not fit it."""
        if sequences_per_batch < 1 or sequences_per_batch % world:
            raise RequestError(
                f"a batch of {sequences_per_batch} sequences cannot be shared equally by {world} ranks; "
                f"choose a multiple of {world}"
            )
        if not 0 <= rank < world:
            raise ValueError(f"rank {rank} of {world} ranks")
        self.sequences = stream.sequences(length)
        if self.sequences == 0:
            raise RequestError(
                f"{stream.directory}: the {stream.split} split has {stream.tokens} tokens, "
                f"too few for one sequence of {length} and its last target"
            )
        self.stream, self.length, self.seed = stream, length, seed
        self.sequences_per_batch, self.rank, self.world = sequences_per_batch, rank, world
        self.consumed = 0

    def next(self) -> np.ndarray:
        """int64[B / world, length + 1]: this rank's rows of the next global batch."""
        share = self.sequences_per_batch // self.world
        first = self.consumed + self.rank * share
        rows = self.stream.read(sequence_at(np.arange(first, first + share), self.sequences, self.seed), self.length)
        self.consumed += self.sequences_per_batch
        return rows

    def state(self) -> int:
        """Sequences consumed by all ranks: all that a checkpoint has to keep."""
        return self.consumed

    def load(self, state: int) -> None:
        """Go on after `state` sequences, whatever the number of ranks was."""
        if state < 0:
            raise ValueError(f"sequences consumed: {state}")
        self.consumed = state


def validation_batches(
    stream: TokenStream, length: int, batch: int, limit: int | None = None, rank: int = 0, world: int = 1
) -> Iterator[np.ndarray]:
    """This rank's part of the first `limit` sequences (all, if None) of a stream: int64[at most `batch`, length + 1].

    Every sequence comes once among all ranks: rank r has the sequences r, r + world, ... so ranks differ by one
    sequence at most, and a rank may have none.
    """
    held = stream.sequences(length)
    mine = np.arange(rank, held if limit is None else min(limit, held), world)
    for first in range(0, len(mine), batch):
        yield stream.read(mine[first : first + batch], length)
