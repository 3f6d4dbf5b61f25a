"""What the tests of this room share: real revisions of one text, and the room's steps in a row."""

from __future__ import annotations

import io
import json

import numpy as np
import pyarrow as pa
import pytest
from gristmill.dedup.candidates import band_hashes
from gristmill.dedup.minhash import signatures
from gristmill.dedup.settings import MinHashSettings
from gristmill.dedup.shingles import shingle_sets
from gristmill.dedup.survivors import stars, survivor_rank
from gristmill.dedup.together import candidate_pairs
from gristmill.dedup.verify import Verified, verify


@pytest.fixture(scope="session")
def revisions(shared_data) -> list[tuple[str, str]]:
    """(group, text) of 100 Python Enhancement Proposals, up to five revisions of each."""
    import zstandard

    path = shared_data / "neardup" / "pep-revisions-part1-docs.jsonl.zst"
    with path.open("rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw) as stream:
        records = [json.loads(line) for line in io.TextIOWrapper(stream, "utf-8")]
    groups = sorted({record["group"] for record in records})[:100]
    return [(record["group"], record["text"]) for record in records if record["group"] in groups]


def keys_of(count: int, seed: int = 0) -> np.ndarray:
    """uint64[n, 2]: random keys, all over the 64 bits."""
    return np.random.default_rng(seed).integers(0, 1 << 64, (count, 2), dtype=np.uint64)


class Road:
    """All steps over documents in memory, as a pipeline would run them over files."""

    def __init__(self, texts: list[str], key: np.ndarray, handle: np.ndarray, settings: MinHashSettings, partitions=3):
        column = pa.array(texts, pa.large_string())
        self.settings, self.key, self.handle, self.rank = settings, key, handle, survivor_rank(column)
        bands = band_hashes(signatures(column, settings), settings)
        self.pairs, self.big = candidate_pairs(bands, self.rank, key, handle, partitions)
        self.offsets, self.shingles = shingle_sets(column, settings)[::-1]

    def verified(self) -> Verified:
        return verify(
            self.handle,
            self.rank,
            self.key,
            self.offsets,
            self.shingles,
            self.pairs,
            self.big,
            self.settings.threshold,
        )

    def stars(self, found: Verified) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return stars(self.handle, self.rank, self.key, found.pairs, found.pairs["jaccard"], self.settings.threshold)


@pytest.fixture(scope="session")
def road() -> type[Road]:
    return Road


@pytest.fixture(scope="session")
def random_keys():
    return keys_of
