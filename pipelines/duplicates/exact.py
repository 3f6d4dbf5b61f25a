"""Equal addresses and equal texts: of those with one hash one stays, the smallest by (rank, key).

A unit a pass of the shuffle: hashes by partition; a reducer has all documents of its hashes. With a Bloom filter a step
before marks the hashes that occur more than once, and only these cross the shuffle: the same documents are dropped.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from ...document import key_words, words_to_keys
from ..recipe import from_json
from ..units import Commit, Unit, progress
from .index import is_old, names
from .shuffle import left, mappers, to_units, write_block
from .standing import DUPLICATES, REMOVERS, duplicates

HASHED = np.dtype([("hash", "<u8", (2,)), ("rank", "<i8"), ("key", "<u8", (2,)), ("handle", "<i8")])
COLUMNS = {"urls": "url", "exact": "content"}  # step -> the column of hashes it compares


def _hashes(unit: Unit, number: int, step: str) -> Iterator[tuple[np.ndarray, pa.RecordBatch, np.ndarray]]:
    """(handles, rows of hashes, the hashes uint64[n, 2]) of the documents of a unit that take part in a step."""
    from ...dedup.exact import has_url

    before = () if step == "urls" else ("urls",)
    for handle, batch in left(unit, number, before):
        hashes = key_words(batch.column(COLUMNS[step]))
        if step == "urls":
            located = has_url(hashes)
            handle, batch, hashes = handle[located], batch.filter(pa.array(located)), hashes[located]
        yield handle, batch, hashes


# -- with a Bloom filter ---------------------------------------------------------------------------------------------


def run_sieve(step: str, unit: Unit) -> None:
    """Mark the hashes of a step that occur more than once: one worker, 16 bytes a document read."""
    sieve_of(unit, (hashes for number in mappers(unit) for _, _, hashes in _hashes(unit, number, step)))


def sieve_of(unit: Unit, hashes: Iterator[np.ndarray]) -> None:
    """Leave the filter of those of `hashes` that occur more than once, `unit.settings["bloom"]` its BloomSettings."""
    from ...dedup.bloom import Sieve
    from ...dedup.paragraph_settings import BloomSettings

    sieve = Sieve(from_json(BloomSettings, unit.settings["bloom"]))
    for part in hashes:
        sieve.mark(part)
        progress()
    with Commit(unit) as commit:
        sieve.more.save(Path(commit.file("work/sieves", ".bloom")))
        rates = {"false_positive_rate": sieve.rate_by_bits(), "asked_rate": sieve.once.rate}
        counts = {"hashes": sieve.marked, "different": sieve.once.count, "let_through": sieve.let_through()}
        commit.finish({**counts, "bytes": sieve.nbytes, **rates, "too_low": sieve.too_low()})


def repeated(unit: Unit, hashes: np.ndarray) -> np.ndarray:
    """bool[n]: which of hashes uint64[n, 2] the filter of `unit.inputs["sieve"]` lets through; all without one."""
    from ...dedup.bloom import BloomFilter

    if not unit.inputs.get("sieve"):
        return np.ones(len(hashes), bool)
    return BloomFilter.open(Path(unit.root, unit.inputs["sieve"])).contains(hashes)


# -- compared --------------------------------------------------------------------------------------------------------


def map_hashes(step: str, unit: Unit, number: int) -> Iterator[tuple[int, bytes]]:
    """Blocks of HASHED, one a partition of the hashes."""
    wanted = set(unit.settings["blocks"])
    for handle, batch, hashes in _hashes(unit, number, step):
        asked = repeated(unit, hashes)
        rows = hashed(batch.filter(pa.array(asked)), hashes[asked], handle[asked])
        for block, data in hash_blocks(rows, unit.settings["partitions"]):
            if block in wanted:
                yield block, data


def hashed(batch: pa.RecordBatch, hashes: np.ndarray, handle: np.ndarray) -> np.ndarray:
    """HASHED[n] of rows of documents.hash_schema, their hashes uint64[n, 2] and handles."""
    rows = np.empty(len(handle), HASHED)
    rows["hash"], rows["key"] = hashes, key_words(batch.column("key"))
    rows["rank"], rows["handle"] = batch.column("rank").to_numpy(), handle
    return rows


def hash_blocks(rows: np.ndarray, partitions: int) -> Iterator[tuple[int, bytes]]:
    """The entries by partition of their hashes, those that have any."""
    from ...dedup.candidates import partition_of

    to = partition_of(rows["hash"][:, 0], partitions)
    for block in np.unique(to).tolist():
        yield block, rows[to == block].tobytes()


def equal(values: list[bytes]) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """(handles dropped, handles kept for them, keys of these uint64[d, 2], hashes that occur once) of one partition."""
    from ...dedup.exact import group_duplicates

    rows = np.frombuffer(b"".join(values), HASHED)
    drop, kept = group_duplicates(rows["hash"], rows["rank"], rows["key"], rows["handle"])
    alone = len(rows) - len(drop) - len(np.unique(kept))
    return rows["handle"][drop].copy(), rows["handle"][kept].copy(), rows["key"][kept], alone


def reduce_hashes(step: str, unit: Unit, block: int, values: list[bytes]) -> None:
    """The drops of one partition of the hashes, to their units by exchange."""
    handles, kept, keys, alone = equal(values)
    ours = ~is_old(handles)
    handles, kept, keys = handles[ours], kept[ours], keys[ours]
    rows = duplicates(words_to_keys(keys), np.ones(len(handles)), 1.0, names(unit, kept))
    counts = {"compared": sum(map(len, values)) // HASHED.itemsize, "compared_for_nothing": alone}
    folder = REMOVERS[step].folder
    write_block(unit, folder, block, DUPLICATES, [to_units(handles, rows)], {"dropped": len(handles), **counts})


map_urls, map_exact = (partial(map_hashes, step) for step in COLUMNS)
reduce_urls, reduce_exact = (partial(reduce_hashes, step) for step in COLUMNS)
sieve_urls, sieve_exact = (partial(run_sieve, step) for step in COLUMNS)
