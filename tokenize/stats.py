"""What a directory of tokens holds, counted in one pass: documents, tokens, lengths, the commonest ids.

The idea: exact percentiles without a list of all lengths. Documents are counted by length, and documents of k different
lengths have at least 1 + 2 + ... + k tokens, so the counts of a corpus of T tokens are at most about sqrt(2 T) numbers.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .manifest import Manifest
from .shards import Shard

PERCENTILES = (0, 1, 10, 25, 50, 75, 90, 99, 100)


@dataclass(frozen=True)
class Stats:
    """Of one split: totals, percentiles of the tokens a document has (nearest rank), the commonest (id, count)."""

    documents: int
    tokens: int
    utf8_bytes: int
    lengths: dict[int, int]
    commonest: list[tuple[int, int]]


def measure(directory: str | Path, split: str, commonest: int = 20) -> Stats:
    """Read every id of a split. Memory is bounded by a record batch and the vocabulary."""
    manifest = Manifest.read(directory)
    shards = getattr(manifest.splits, split)
    lengths: Counter[int] = Counter()
    counts = np.zeros(manifest.tokenizer.vocabulary, np.int64)
    for info in shards:
        for batch in Shard(Path(directory, info.file)).batches:
            values, times = np.unique(np.diff(batch.offsets), return_counts=True)
            lengths.update(dict(zip(values.tolist(), times.tolist(), strict=True)))
            found = np.bincount(batch.tokens, minlength=len(counts))
            counts = found + np.pad(counts, (0, len(found) - len(counts)))
    order = np.lexsort((np.arange(len(counts)), -counts))[:commonest]
    return Stats(
        documents=lengths.total(),
        tokens=int(counts.sum()),
        utf8_bytes=sum(info.utf8_bytes for info in shards),
        lengths=percentiles(lengths),
        commonest=[(i, int(counts[i])) for i in order.tolist() if counts[i]],
    )


def percentiles(counts: Counter[int]) -> dict[int, int]:
    """percentile -> the smallest value that so many percent of all values do not exceed; empty where there is none."""
    if not counts:
        return {}
    values = np.array(sorted(counts))
    up_to = np.cumsum([counts[value] for value in values.tolist()])
    ranks = np.maximum(1, -(-np.array(PERCENTILES) * up_to[-1] // 100))
    return dict(zip(PERCENTILES, values[np.searchsorted(up_to, ranks)].tolist(), strict=True))
