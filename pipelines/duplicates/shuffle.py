"""Blocks of hashes through a shuffle: planned by a memory budget, reduced to exchange files, committed by the pass.

A pass holds as many blocks as the memory budget allows, since the local runner keeps a whole shuffle in memory; what is
found does not depend on the passes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from ...exchange import ExchangeWriter
from .. import stepfiles
from ..files import arrow_batches
from ..units import Commit, Unit, fail_point, progress, write_json
from . import index
from .standing import DUPLICATES, Removals

RUNNER_COPIES = 5.5  # the local runner's peak over the bytes that cross a shuffle, measured


def plan_blocks(bytes_each: int, documents: int, memory: int, blocks_a_partition: int) -> tuple[int, list[list[int]]]:
    """(partitions, blocks of each pass): `blocks_a_partition` bands times partitions, so many a pass as memory allows.

    A partition holds at most an eighth of the budget; both depend on the input and the recipe alone.
    """
    total = max(1, bytes_each * documents)
    budget = max(1, int(memory / RUNNER_COPIES))
    partitions = max(1, -(-total * 8 // budget))
    size = max(1, total // partitions)
    numbers = list(range(blocks_a_partition * partitions))
    share = max(1, budget // size)
    return partitions, [numbers[i : i + share] for i in range(0, len(numbers), share)]


def mappers(unit: Unit) -> list[int]:
    """The mappers of a shuffle: the units of the first phase that kept anything, and the parts of earlier indexes."""
    entries = stepfiles.load(unit.root, unit.inputs["documents"])
    return [e.number for e in entries if e.manifest.counts.get("kept")] + index.numbers(unit)


def known(unit: Unit, number: int) -> Iterator[tuple[np.ndarray, pa.RecordBatch]]:
    """(handles, hashes) of the documents that unit `number` of the first phase kept, or of a part of an index."""
    from ...dedup.candidates import handles

    if index.is_part(number):
        batches = index.rows(unit, number)
    else:
        entry = stepfiles.load(unit.root, unit.inputs["documents"])[number]
        batches = arrow_batches(f"{unit.root}/{entry.manifest.only('work/hashes')}")
    start = 0
    for batch in batches:
        yield handles(number, np.arange(start, start + batch.num_rows)), batch
        start += batch.num_rows


def left(unit: Unit, number: int, before: Iterable[str]) -> Iterator[tuple[np.ndarray, pa.RecordBatch]]:
    """(handles, hashes) of what the steps so far left of a unit; of a part of an index, what `before` left of it."""
    old = index.is_part(number)
    gone = None if old else Removals(unit, number).dropped()
    for handle, batch in known(unit, number):
        stays = index.took_part(batch, before) if old else ~np.isin(handle & 0xFFFFFFFF, gone)
        yield handle[stays], batch.filter(pa.array(stays))
        progress()


# -- files -----------------------------------------------------------------------------------------------------------


def _block_stem(unit: Unit, folder: str, block: int) -> str:
    return f"{folder}/{unit.file_stem}-{block:06d}"


def write_block(unit: Unit, folder: str, block: int, schema: pa.Schema, parts: list, counts: dict[str, int]) -> None:
    """What one reducer leaves: an exchange file, and beside it its index and counts, for the commit of the pass.

    `parts`: (batch of `schema`, destination of each row). Counts named `largest_...` are maxima, the others sums.
    """
    stem = Path(unit.root, _block_stem(unit, folder, block))
    stem.parent.mkdir(parents=True, exist_ok=True)
    aside = stem.with_name(f".{stem.name}.aside")
    with ExchangeWriter(aside, schema) as writer:
        for batch, destinations in parts:
            writer.add(batch, destinations)
        places = writer.close()
    fail_point(unit.step, "block")
    aside.replace(stem.with_name(stem.name + ".arrow"))
    write_json(unit, stem.with_name(stem.name + ".json"), {"index": places, "counts": counts})
    progress()


def commit_blocks(folder: str, unit: Unit) -> None:
    """Commit a pass of a shuffle: its reducers' files stand under their final names; a block without rows left none."""
    counts: dict[str, int] = {}
    with Commit(unit) as commit:
        for block in unit.settings["blocks"]:
            stem = _block_stem(unit, folder, block)
            side = Path(unit.root, stem + ".json")
            if side.exists():
                facts = json.loads(side.read_text())
                commit.adopt(stem + ".arrow", facts["index"])
                add_counts(counts, facts["counts"])
        commit.finish(counts)


def add_counts(total: dict[str, int], counts: dict[str, int]) -> None:
    """Add counts to `total`: those named `largest_...` are maxima, the others sums."""
    for name, count in counts.items():
        known = total.get(name, 0)
        total[name] = max(known, count) if name.startswith("largest_") else known + count


def to_units(handles: np.ndarray, drops: pa.RecordBatch) -> tuple[pa.RecordBatch, np.ndarray]:
    """DUPLICATES rows with `row` filled from the handles, and the unit that each belongs to."""
    from ...dedup.candidates import units_and_rows

    numbers, rows = units_and_rows(handles)
    return drops.set_column(0, DUPLICATES.field(0), pa.array(rows)), numbers
