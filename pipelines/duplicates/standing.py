"""What is left of the documents of a unit when a step has its turn: the drops and cuts of the steps before it, applied.

A step that drops documents tells their units by exchange, schema DUPLICATES. A step that cuts texts is done a unit a
unit of input, and leaves one file with a row a document that it touched, schema EDITED; spans are of the text as that
step saw it. So whoever applies the steps in their order has what the next one saw.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from ...exchange import read_table
from ...filters.cuts import cut
from ...filters.rule import Cuts
from .. import stepfiles
from ..files import arrow_batches
from ..units import Unit

# The row to drop and the key of the twin that stays; of a twin in an earlier run its id and that run
DUPLICATES = pa.schema(
    [
        ("row", pa.int64()),
        ("kept", pa.binary(16)),
        ("value", pa.float64()),  # measured similarity; 1 for equal hashes
        ("threshold", pa.float64()),
        ("old_id", pa.string()),
        ("old_run", pa.string()),
    ]
)


def duplicates(
    keys: pa.Array, value: np.ndarray, threshold: float, old: tuple[pa.Array, pa.Array] | None = None
) -> pa.RecordBatch:
    """DUPLICATES rows, `row` to be filled, dropped in favour of documents of `keys`; `old`: see index.names."""
    n = len(keys)
    ids, runs = old or (pa.nulls(n, pa.string()), pa.nulls(n, pa.string()))
    columns = [pa.array(np.zeros(n, np.int64)), keys, pa.array(value), pa.array(np.full(n, threshold)), ids, runs]
    return pa.RecordBatch.from_arrays(columns, schema=DUPLICATES)


# A document that is cut, or dropped for what would be left: the spans in bytes, and what the ledger says of it
EDITED = pa.schema(
    [
        ("row", pa.int64()),
        ("starts", pa.list_(pa.int64())),
        ("ends", pa.list_(pa.int64())),
        ("drop", pa.bool_()),
        ("value", pa.float64()),
        ("threshold", pa.float64()),
        ("detail", pa.string()),
    ]
)


@dataclass(frozen=True)
class Remover:
    """A step that takes documents or parts of them away."""

    folder: str  # of its files
    rule: str  # in the ledger, stage `dedup`
    edits: bool = False  # EDITED, or else DUPLICATES


REMOVERS = {  # step -> what it is, in their order
    "urls": Remover("work/urls", "same_url"),
    "exact": Remover("work/exact", "exact_duplicate"),
    "verify": Remover("work/near", "near_duplicate"),
    "paragraphs": Remover("work/paragraphs", "repeated_paragraphs", edits=True),
    "substring": Remover("work/substring", "repeated_passages", edits=True),
}


@dataclass(frozen=True)
class Removed:
    """What one step takes from one batch."""

    remover: Remover
    rows: np.ndarray  # int64: positions in the batch
    drop: np.ndarray  # bool: which of these go whole
    facts: pa.Table  # DUPLICATES or EDITED of these
    batch: pa.RecordBatch  # as that step saw it, documents dropped before still in it


class Removals:
    """What the steps in `unit.inputs["removals"]` (step -> step file) take from the documents of one unit."""

    def __init__(self, unit: Unit, number: int):
        self.tables: list[tuple[Remover, pa.Table]] = []
        for step, remover in REMOVERS.items():
            file = unit.inputs["removals"].get(step)
            if file is None:
                continue
            entries = stepfiles.load(unit.root, file)
            if remover.edits:
                found = [e.manifest.only(remover.folder) for e in entries if e.number == number]
                batches = [batch for name in found for batch in arrow_batches(f"{unit.root}/{name}")]
                table = pa.Table.from_batches(batches, EDITED)
            else:
                files = stepfiles.exchange_files(unit.root, entries, remover.folder)
                table = read_table(files, number, DUPLICATES)
            self.tables.append((remover, table.combine_chunks().sort_by("row")))

    def dropped(self) -> np.ndarray:
        """int64: the rows of all documents that are dropped, ascending."""
        rows = [np.empty(0, np.int64)]
        for remover, table in self.tables:
            rows.append(table.column("row").to_numpy()[_drop(remover, table)])
        return np.unique(np.concatenate(rows))

    def apply(self, batch: pa.RecordBatch, start: int) -> tuple[np.ndarray, pa.RecordBatch, list[Removed]]:
        """(bool[n]: who stays, the batch with the texts cut, what was taken) of the rows from `start` on."""
        kept, taken = np.ones(batch.num_rows, bool), []
        for remover, table in self.tables:
            rows = table.column("row").to_numpy()
            low, high = np.searchsorted(rows, [start, start + batch.num_rows])
            if low == high:
                continue
            facts, at = table.slice(low, high - low), rows[low:high] - start
            drop = _drop(remover, facts)
            taken.append(Removed(remover, at, drop, facts, batch))
            kept[at[drop]] = False
            if not drop.all():
                batch = _cut(batch, at[~drop], facts.filter(pa.array(~drop)))
        return kept, batch, taken


def _drop(remover: Remover, facts: pa.Table) -> np.ndarray:
    """bool[n]: which of the documents go whole."""
    if not remover.edits:
        return np.ones(facts.num_rows, bool)
    return facts.column("drop").to_numpy(zero_copy_only=False).astype(bool)


def _cut(batch: pa.RecordBatch, at: np.ndarray, facts: pa.Table) -> pa.RecordBatch:
    starts, ends = (facts.column(name).combine_chunks() for name in ("starts", "ends"))
    rows = np.repeat(at, np.diff(np.asarray(starts.offsets)))
    spans = Cuts("", rows, np.asarray(starts.flatten()), np.asarray(ends.flatten()))
    column = batch.schema.get_field_index("text")
    return batch.set_column(column, batch.schema.field(column), cut(batch.column(column), [spans]))


def standing(unit: Unit, number: int, text: str | None = None) -> Iterator[tuple[np.ndarray, pa.RecordBatch]]:
    """(rows int64[n], documents) of unit `number` of the first phase, batch by batch, as the steps so far left them.

    `text`: the file of its documents, by default found through `unit.inputs["documents"]`.
    """
    if text is None:
        text = stepfiles.load(unit.root, unit.inputs["documents"])[number].manifest.only("work/text")
    removals, start = Removals(unit, number), 0
    for batch in arrow_batches(f"{unit.root}/{text}"):
        kept, cut_batch, _ = removals.apply(batch, start)
        rows = np.flatnonzero(kept)
        if len(rows):
            yield start + rows, cut_batch.take(pa.array(rows))
        start += batch.num_rows


def edited_rows(
    rows: np.ndarray,
    spans: tuple[np.ndarray, np.ndarray, np.ndarray],
    drop: np.ndarray,
    value: np.ndarray,
    threshold: Any,
    detail: list[str | None],
) -> pa.RecordBatch:
    """EDITED of n documents: `rows` int64[n] ascending; spans (document, start, end), int64[k] each, by (document,
    start), document a position in `rows`; `drop` bool[n]; `value` float64[n]; `threshold` a number or null."""
    offsets = np.searchsorted(spans[0], np.arange(len(rows) + 1)).astype(np.int32)
    lists = [pa.ListArray.from_arrays(pa.array(offsets), pa.array(part)) for part in spans[1:]]
    limit = pa.array([threshold] * len(rows), pa.float64())
    columns = [pa.array(rows), *lists, pa.array(drop), pa.array(value), limit, pa.array(detail, pa.string())]
    return pa.RecordBatch.from_arrays(columns, schema=EDITED)
