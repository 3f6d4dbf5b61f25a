"""Repeated lines and paragraphs: of those with one hash the first by (rank, key, place) stays, the others are cut out.

Text stays in its unit; hashes, and which of them stay, go by exchange files:

- paragraph_hashes, a unit an input unit, and paragraph_sieve, one unit: with a Bloom filter, the hashes of all
  paragraphs, and those that occur more than once; only these go on, and the same paragraphs are cut;
- paragraph_occurrences, a unit an input unit: one occurrence of each hash to the slot of the hash;
- paragraph_keep, a unit a range of hashes: the occurrence that stays, to its unit;
- paragraph_drops, a unit an input unit, where `max_removed` may drop documents: those that it drops. Others lost
  paragraphs to them, so the two steps before are done once more without them (`..._again`);
- paragraphs, a unit an input unit: the spans to cut, and who is dropped.

Texts are cut and hashed by each of these steps anew: that costs less than the hashes would take to write and read.
Paragraphs of earlier runs are not known. See `dedup.paragraphs` for what is equal and what is cut.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from ...document import key_words, words_to_keys
from ...exchange import ExchangeWriter, read_exchange
from .. import stepfiles
from ..files import ArrowSink, arrow_batches
from ..recipe import from_json
from ..units import Commit, Unit, progress
from .exact import repeated, sieve_of
from .shuffle import known
from .standing import EDITED, edited_rows, standing

HASHES = pa.schema([("hash", pa.binary(16))])
OCCURRENCES = pa.schema([("occurrence", pa.binary(56))])  # rows of occurrences.OCCURRENCE
KEEPS = pa.schema([("keep", pa.binary(16))])  # of occurrences.KEEP

MERGE_COPIES = 4  # the most that merging occurrences and listing those that stay holds, over their bytes; measured 3.7
PARAGRAPH_BYTES = 64  # of text to one occurrence, for the number of slots only


def slots(text_bytes: int, memory: int) -> int:
    """Slots that occurrences are sent to: a power of two, so fine that most partitions are whole slots."""
    return _ranges(text_bytes // PARAGRAPH_BYTES, memory)


def partitions(occurrences: int, memory: int) -> int:
    """Ranges of hashes, a power of two, each of which is merged within `memory` bytes."""
    return _ranges(occurrences, memory)


def _ranges(occurrences: int, memory: int) -> int:
    needed = -(-MERGE_COPIES * OCCURRENCES.field(0).type.byte_width * occurrences // memory)
    return 1 << max(0, needed - 1).bit_length()


def _packed(rows: np.ndarray, schema: pa.Schema) -> pa.RecordBatch:
    """Rows of a structured array as the one column of `schema`, without a copy."""
    buffers = [None, pa.py_buffer(np.ascontiguousarray(rows))]
    return pa.RecordBatch.from_arrays([pa.Array.from_buffers(schema.field(0).type, len(rows), buffers)], schema=schema)


def _unpacked(batch: pa.RecordBatch, kind: np.dtype) -> np.ndarray:
    """The inverse of `_packed`, read-only."""
    column = batch.column(0)
    return np.frombuffer(column.buffers()[1], kind, column.offset + len(column))[column.offset :]


def _found(unit: Unit) -> Iterator[tuple[np.ndarray, pa.RecordBatch, Any, np.ndarray]]:
    """(rows int64[n], documents, their Paragraphs, which of these compete bool[m]) of a unit, batch by batch.

    Documents that the first round dropped are left out in the second.
    """
    from ...dedup.paragraph_settings import ParagraphSettings
    from ...dedup.paragraphs import paragraphs

    settings = from_json(ParagraphSettings, unit.settings["paragraphs"])
    gone = _dropped(unit).column("row").to_numpy()
    for rows, batch in standing(unit, unit.number):
        kept = ~np.isin(rows, gone)
        rows, batch = rows[kept], batch.filter(pa.array(kept))
        found = paragraphs(batch.column("text"), settings)
        yield rows, batch, found, repeated(unit, found.hashes)
        progress(len(rows))


def _dropped(unit: Unit) -> pa.Table:
    """EDITED of the documents of a unit that the first round dropped, in the second."""
    file = unit.inputs.get("dropped")
    if file is None:
        return EDITED.empty_table()
    name = stepfiles.load(unit.root, file)[unit.number].manifest.only("work/paragraph_drops")
    return pa.Table.from_batches(arrow_batches(f"{unit.root}/{name}"), EDITED)


# -- with a Bloom filter ---------------------------------------------------------------------------------------------


def run_hashes(unit: Unit) -> None:
    """Leave the hashes of all paragraphs of one unit."""
    with Commit(unit) as commit:
        sink = ArrowSink(commit.file("work/paragraph_hashes", ".arrow"), HASHES)
        for _, _, found, _ in _found(unit):
            sink.write(pa.RecordBatch.from_arrays([words_to_keys(found.hashes)], schema=HASHES))
        sink.close()
        commit.finish({"paragraphs": sink.total})


def run_sieve(unit: Unit) -> None:
    """Mark the hashes that occur more than once: one worker, 16 bytes a paragraph read."""
    entries = stepfiles.load(unit.root, unit.inputs["hashes"])
    files = (f"{unit.root}/{entry.manifest.only('work/paragraph_hashes')}" for entry in entries)
    sieve_of(unit, (key_words(batch.column("hash")) for file in files for batch in arrow_batches(file)))


# -- who stays -------------------------------------------------------------------------------------------------------


def run_occurrences(unit: Unit) -> None:
    """Send one occurrence of each hash of a unit to the hash's slot."""
    from ...dedup.candidates import partition_of

    counts: Counter[str] = Counter()
    with Commit(unit) as commit:
        writer = ExchangeWriter(
            commit.file("work/occurrences", ".arrow"), OCCURRENCES, budget=unit.settings["memory"] // 4
        )
        for merged in _merged(unit, counts):
            writer.add(_packed(merged, OCCURRENCES), partition_of(merged["hash"][:, 0], unit.settings["slots"]))
            counts["sent"] += len(merged)
        commit.index("work/occurrences", writer.close())
        commit.finish(dict(counts))


def _merged(unit: Unit, counts: Counter[str]) -> Iterator[np.ndarray]:
    """OCCURRENCE[k], by hash, of as many paragraphs at a time as memory allows."""
    from ...dedup.occurrences import OCCURRENCE, merge

    limit = unit.settings["memory"] // (2 * MERGE_COPIES * OCCURRENCE.itemsize)
    held: list[np.ndarray] = []
    for block in _occurrences(unit, counts):
        held.append(block)
        if sum(map(len, held)) >= limit:
            yield merge(held)
            held = []
    yield merge(held)


def _occurrences(unit: Unit, counts: Counter[str]) -> Iterator[np.ndarray]:
    """OCCURRENCE[m] of each batch of a unit: the paragraphs that compete."""
    from ...dedup.candidates import handles
    from ...dedup.occurrences import occurrences

    none = np.empty(0, np.int64)
    ranks = np.concatenate([none, *(hashes.column("rank").to_numpy() for _, hashes in known(unit, unit.number))])
    for rows, batch, found, asked in _found(unit):
        at = found.rows[asked]
        handle, key = handles(unit.number, rows[at]), key_words(batch.column("key"))[at]
        yield occurrences(found.hashes[asked], ranks[rows[at]], key, found.ordinals[asked], handle)
        counts["paragraphs"] += len(found.rows)
        counts["compared"] += len(at)


def run_keep(unit: Unit) -> None:
    """Of the occurrences of one range of hashes, those that stay, to their units."""
    from ...dedup.candidates import partition_of, units_and_rows
    from ...dedup.occurrences import OCCURRENCE, keep_list, merge

    settings = unit.settings
    part, parts = settings["partition"], settings["partitions"]
    entries = stepfiles.load(unit.root, unit.inputs["occurrences"])
    files = list(stepfiles.exchange_files(unit.root, entries, "work/occurrences"))

    def blocks() -> Iterator[np.ndarray]:
        first, last = part * settings["slots"] // parts, ((part + 1) * settings["slots"] - 1) // parts
        for slot in range(first, last + 1):
            for batch in read_exchange(files, slot, OCCURRENCES):
                rows = _unpacked(batch, OCCURRENCE)
                inside = partition_of(rows["hash"][:, 0], parts) == part
                yield rows if inside.all() else rows[inside]
                progress()

    merged = merge(blocks())
    keep = keep_list(merged)
    with Commit(unit) as commit:
        writer = ExchangeWriter(commit.file("work/paragraph_keep", ".arrow"), KEEPS)
        writer.add(_packed(keep, KEEPS), units_and_rows(keep["handle"])[0])
        commit.index("work/paragraph_keep", writer.close())
        commit.finish({"different": len(merged), "alone": int(np.count_nonzero(merged["repeated"] == 0))})


# -- what is cut -----------------------------------------------------------------------------------------------------


def run_edits(unit: Unit) -> None:
    """Leave the edits and drops of one unit, EDITED; with `drops_only` the drops alone."""
    from ...dedup.paragraph_settings import ParagraphSettings

    settings = from_json(ParagraphSettings, unit.settings["paragraphs"])
    counts: Counter[str] = Counter()
    with Commit(unit) as commit:
        sink = ArrowSink(commit.file(f"work/{unit.step}", ".arrow"), EDITED)
        for batch in _dropped(unit).to_batches():
            sink.write(batch)
            counts["dropped"] += batch.num_rows
        for rows, made in _edits(unit, settings):
            touched = np.flatnonzero(made.drop if unit.settings["drops_only"] else made.removed)
            listed = np.isin(made.rows, touched)
            spans = np.searchsorted(touched, made.rows[listed]), made.starts[listed], made.ends[listed]
            drop, details = made.drop[touched], [made.details[row] for row in touched.tolist()]
            sink.write(edited_rows(rows[touched], spans, drop, made.share[touched], settings.max_removed, details))
            counts["dropped"] += int(drop.sum())
            counts["edited"] += len(drop) - int(drop.sum())
            counts["removed"] += int(made.removed[touched].sum())
        sink.close()
        commit.finish(dict(counts))


def _edits(unit: Unit, settings: Any) -> Iterator[tuple[np.ndarray, Any]]:
    """(rows int64[n], their Edits) of a unit, batch by batch: without those that the first round dropped."""
    from ...dedup.candidates import handles
    from ...dedup.occurrences import KEEP, join_keep_lists, not_kept
    from ...dedup.paragraphs import edits

    files = stepfiles.exchange_files(unit.root, stepfiles.load(unit.root, unit.inputs["keep"]), "work/paragraph_keep")
    keep = join_keep_lists(_unpacked(batch, KEEP) for batch in read_exchange(files, unit.number, KEEPS))
    for rows, batch, found, asked in _found(unit):
        gone = np.zeros(len(found.rows), bool)
        gone[asked] = not_kept(handles(unit.number, rows[found.rows[asked]]), found.ordinals[asked], keep)
        yield rows, edits(batch.column("text"), found, gone, settings)
