"""Repeated passages: all but the first occurrence are cut out (see dedup.substring, which has the method).

By units and exchange files, without a shuffle, since the text is read again and again:

- passage_anchors, a unit an input unit: the hashes of its anchors, to their partitions;
- passage_repeated, a unit a partition: which of them occur twice, told to the units;
- passage_windows, a unit an input unit: its windows at such an anchor, to the partitions of the anchors;
- passage_resolve, a unit a partition: which windows stand first elsewhere, told to the units;
- passage_claims, a unit an input unit: which of its text is said to be that of another document, with a digest of it to
  the unit of that one;
- passage_digests, a unit an input unit: whether it is;
- substring, a unit an input unit: what of it is cut.

A unit works through its text in pieces, whole documents of about `piece_bytes`, and what is told to it lies in cells of
PIECES pieces. So its memory is that of a piece, half of `dedup.memory_bytes`, or WINDOW_BYTES a word (or byte) of the
one document that is larger; besides 8 bytes a document and an exchange writer's quarter. A partition holds at most
`dedup.memory_bytes`, by the counts of the steps before. What is cut depends on none of these, nor on the units.

Documents of earlier runs take no part: their text is not there.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...document import key_words, text_buffers
from ...exchange import ExchangeWriter, Index, read_exchange, read_table
from ...filters.cuts import cut
from ...filters.rule import Cuts
from .. import stepfiles
from ..files import ArrowSink
from ..recipe import Recipe, from_json
from ..stepfiles import Done, total
from ..units import Commit, Unit, progress
from .shuffle import known
from .standing import EDITED, edited_rows, standing

PIECES = 16  # in a cell
CELL_BITS = 32  # a cell is (unit, number of the cell in it) in one integer
ASKED_ROWS_BITS = 12  # requests lie in cells of so many rows, since whoever asks does not know the pieces
MOST_COPIED = 20  # passages reported

WINDOW_BYTES = 130  # that a unit holds for a window: of dedup.anchors and dedup.repeats
ANCHOR_BYTES = 40  # that a partition holds for an anchor, its block and the answer included
SENT_BYTES = 110  # the same for a window

# What belongs to a partition and a cell: hashes of anchors, windows, or answers, as dedup.repeats packs them
BLOCKS = pa.schema(
    [("cell", pa.int64()), ("piece", pa.int64()), ("partition", pa.int64()), ("block", pa.large_binary())]
)
# Text of a document that is said to stand in another; `request`: its number in the cell
CLAIMS = pa.schema([("row", pa.int64()), ("start", pa.int64()), ("end", pa.int64()), ("request", pa.int64())])
# Whether `count` units from number `unit` on of a row have this digest; `copies`: claims that ask it
REQUESTS = pa.schema(
    [
        ("cell", pa.int64()),
        ("request", pa.int64()),
        ("copies", pa.int64()),
        ("row", pa.int64()),
        ("unit", pa.int64()),
        ("count", pa.int64()),
        ("digest_0", pa.uint64()),
        ("digest_1", pa.uint64()),
    ]
)
REPLIES = pa.schema([("request", pa.int64()), ("equal", pa.bool_()), ("key", pa.binary(16))])

READS = {  # step -> the steps of this file whose files it reads, in their order
    "passage_anchors": (),
    "passage_repeated": ("passage_anchors",),
    "passage_windows": ("passage_repeated",),
    "passage_resolve": ("passage_windows",),
    "passage_claims": ("passage_repeated", "passage_resolve"),
    "passage_digests": ("passage_claims",),
    "substring": ("passage_claims", "passage_digests"),
}
BY_PARTITION = ("passage_repeated", "passage_resolve")  # the others are a unit an input unit


# -- planned ---------------------------------------------------------------------------------------------------------


def plan_settings(step: str, recipe: Recipe, done: dict[str, Done]) -> dict[str, Any]:
    """The settings of the units of a step: `partitions` of the anchors, and once these are known of the windows."""
    chosen, memory = recipe.dedup.substring, recipe.dedup.memory_bytes
    width = chosen.length - gram(chosen.length) + 2  # a new anchor comes every half of it
    if step in ("passage_anchors", "passage_repeated"):
        most = total(done["documents"].entries, "text_bytes") // (2 if chosen.words else 1)  # units of text
        needed = most * 2 // width * ANCHOR_BYTES
    else:
        needed = total(done["passage_repeated"].entries, "repeated") * width // 2 * SENT_BYTES
    told = {"substring": chosen.model_dump(mode="json"), "memory": memory}
    return {**told, "partitions": max(1, -(-needed // memory))}


def gram(length: int) -> int:
    """Units of an anchor."""
    from ...dedup.anchors import gram_of

    return gram_of(length)


def plan_numbers(step: str, settings: dict[str, Any], done: dict[str, Done]) -> list[int]:
    """The numbers of the units of a step: of input units that have to do with it, or of partitions."""
    if step == "passage_anchors":
        return [entry.number for entry in done["documents"].entries if entry.manifest.counts.get("kept")]
    if step == "passage_repeated":
        return list(range(settings["partitions"]))
    if step == "passage_windows":
        return _told(done["passage_repeated"])
    if step == "passage_resolve":
        return list(range(settings["partitions"])) if done["passage_windows"].entries else []
    if step == "passage_claims":
        return _with(done["passage_windows"], "windows")
    if step == "passage_digests":
        return _told(done["passage_claims"], "work/passage_requests")
    return _with(done["passage_claims"], "claims")


def _told(done: Done, folder: str | None = None) -> list[int]:
    """The units that a step left something for."""
    files = (
        facts["index"]
        for entry in done.entries
        for name, facts in entry.manifest.files.items()
        if folder is None or name.rpartition("/")[0] == folder
    )
    return sorted({int(cell) >> CELL_BITS for index in files for cell in index})


def _with(done: Done, count: str) -> list[int]:
    return [entry.number for entry in done.entries if entry.manifest.counts[count]]


# -- what all steps share --------------------------------------------------------------------------------------------


def _settings(unit: Unit) -> Any:
    from ...dedup.substring_settings import SubstringSettings

    return from_json(SubstringSettings, unit.settings["substring"])


def _cell(number: int, part: int) -> int:
    return (number << CELL_BITS) | part


def _writer(unit: Unit, commit: Commit, folder: str, schema: pa.Schema) -> ExchangeWriter:
    return ExchangeWriter(commit.file(folder, ".arrow"), schema, budget=unit.settings["memory"] // 4)


def _files(unit: Unit, step: str, folder: str | None = None) -> list[tuple[str, Index]]:
    entries = stepfiles.load(unit.root, unit.inputs[step])
    return list(stepfiles.exchange_files(unit.root, entries, folder or f"work/{step}"))


def _cells(unit: Unit) -> Iterator[tuple[int, Iterator[tuple[int, np.ndarray, pa.RecordBatch]]]]:
    """(cell, its pieces) of a unit; a piece: (its number, rows int64[n], documents)."""
    for part, pieces in groupby(_pieces(unit), lambda piece: piece[0] // PIECES):
        yield _cell(unit.number, part), pieces


def _pieces(unit: Unit) -> Iterator[tuple[int, np.ndarray, pa.RecordBatch]]:
    words = _settings(unit).words
    most = max(1, unit.settings["memory"] // 2 // WINDOW_BYTES * (2 if words else 1))
    number = 0
    for rows, batch in standing(unit, unit.number):
        ends = text_buffers(batch.column("text"))[1]
        start = 0
        while start < len(rows):
            end = max(start + 1, int(np.searchsorted(ends, ends[start] + most, "right")) - 1)
            yield number, rows[start:end], batch.slice(start, end - start)
            number, start = number + 1, end


def _blocks(rows: list[tuple[int, int, int, bytes]]) -> pa.RecordBatch:
    columns = zip(*rows, strict=True) if rows else ([] for _ in BLOCKS)
    arrays = [pa.array(list(column), kind) for column, kind in zip(columns, BLOCKS.types, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=BLOCKS)


def _send(writer: ExchangeWriter, cell: int, piece: int, blocks: Iterable[tuple[int, bytes]]) -> None:
    """To partitions."""
    rows = [(cell, piece, partition, block) for partition, block in blocks]
    writer.add(_blocks(rows), np.array([row[2] for row in rows], np.int64))


def _answer(writer: ExchangeWriter, asked: pa.Table, answers: list[np.ndarray]) -> None:
    """To the cells that asked, those answers that say anything."""
    place = zip(*(asked.column(name).to_pylist() for name in BLOCKS.names[:3]), strict=True)
    for (cell, *more), answer in zip(place, answers, strict=True):
        if len(answer):
            writer.add(_blocks([(cell, *more, answer.tobytes())]), np.array([cell]))


def _read_blocks(files: list[tuple[str, Index]], destination: int) -> pa.Table:
    """BLOCKS without a copy of what was read, in the order of the files."""
    return pa.Table.from_batches(read_exchange(files, destination, BLOCKS), BLOCKS)


def _buffers(table: pa.Table) -> list[pa.Buffer]:
    return [block.as_buffer() for block in table.column("block")]


def _by_piece(table: pa.Table) -> dict[int, list[tuple[int, pa.Buffer]]]:
    """piece -> [(partition, block), ...], partitions ascending as the files are."""
    found: dict[int, list[tuple[int, pa.Buffer]]] = {}
    place = zip(*(table.column(name).to_pylist() for name in ("piece", "partition")), strict=True)
    for (piece, partition), block in zip(place, _buffers(table), strict=True):
        found.setdefault(piece, []).append((partition, block))
    return found


# -- which anchors are repeated --------------------------------------------------------------------------------------


def run_anchors(unit: Unit) -> None:
    """Send the anchors of one unit to their partitions."""
    from ...dedup.anchors import anchors
    from ...dedup.repeats import anchor_blocks, thinned

    settings, count = _settings(unit), 0
    with Commit(unit) as commit:
        writer = _writer(unit, commit, "work/passage_anchors", BLOCKS)
        for cell, pieces in _cells(unit):
            for piece, _, batch in pieces:
                found = anchors(batch.column("text"), settings.words, settings.length)[0]
                count += len(found)
                _send(writer, cell, piece, anchor_blocks(thinned(found), unit.settings["partitions"]))
                progress(batch.num_rows)
        commit.index("work/passage_anchors", writer.close())
        commit.finish({"anchors": count})


def run_repeated(unit: Unit) -> None:
    """Tell the units which anchors of one partition occur twice."""
    from ...dedup.repeats import repeated

    asked = _read_blocks(_files(unit, "passage_anchors"), unit.number)
    answers = repeated(_buffers(asked))
    with Commit(unit) as commit:
        writer = _writer(unit, commit, "work/passage_repeated", BLOCKS)
        _answer(writer, asked, answers)
        commit.index("work/passage_repeated", writer.close())
        commit.finish({"repeated": sum(map(len, answers))})


# -- which windows stand first elsewhere -----------------------------------------------------------------------------


def _gathered(unit: Unit) -> Iterator[tuple[int, int, np.ndarray, pa.RecordBatch, Any]]:
    """(cell, piece, rows, documents, their windows as dedup.repeats.Gathered), for pieces that have such windows."""
    from ...dedup.anchors import windows
    from ...dedup.candidates import handles
    from ...dedup.repeats import gather

    settings, files = _settings(unit), _files(unit, "passage_repeated")
    ranks = np.concatenate([batch.column("rank").to_numpy() for _, batch in known(unit, unit.number)])
    for cell, pieces in _cells(unit):
        told = _by_piece(_read_blocks(files, cell))
        for piece, rows, batch in pieces:
            progress(batch.num_rows)
            if piece not in told:
                continue
            repeated = np.concatenate([np.frombuffer(block, "<u8") for _, block in told[piece]])  # ascending
            text, every = batch.column("text"), np.arange(len(rows))
            found = windows(text, every, settings.words, settings.length, repeated, unit.settings["partitions"])
            if len(found):
                about = handles(unit.number, rows), ranks[rows], key_words(batch.column("key"))
                yield cell, piece, rows, batch, gather([found], *about)


def run_windows(unit: Unit) -> None:
    """Send the windows of one unit at repeated anchors to their partitions, of equal ones in a piece the first."""
    from ...dedup.repeats import window_blocks

    count = 0
    with Commit(unit) as commit:
        writer = _writer(unit, commit, "work/passage_windows", BLOCKS)
        for cell, piece, _, _, gathered in _gathered(unit):
            count += len(gathered.windows)
            _send(writer, cell, piece, window_blocks(gathered))
        commit.index("work/passage_windows", writer.close())
        commit.finish({"windows": count})


def run_resolve(unit: Unit) -> None:
    """Tell the units which windows of one partition stand first elsewhere."""
    from ...dedup.repeats import resolve

    asked = _read_blocks(_files(unit, "passage_windows"), unit.number)
    answers = resolve(_buffers(asked))
    with Commit(unit) as commit:
        writer = _writer(unit, commit, "work/passage_resolve", BLOCKS)
        _answer(writer, asked, answers)
        commit.index("work/passage_resolve", writer.close())
        commit.finish({})


# -- what is claimed, and whether it is so ---------------------------------------------------------------------------


def run_claims(unit: Unit) -> None:
    """Keep what of one unit is said to stand elsewhere, and ask those who have it there."""
    from ...dedup.candidates import units_and_rows
    from ...dedup.repeats import LOST, claims
    from ...dedup.substring import digests

    settings, files = _settings(unit), _files(unit, "passage_resolve")
    told, answers = -1, {}
    count = asked = 0
    with Commit(unit) as commit:
        kept = _writer(unit, commit, "work/passage_claims", CLAIMS)
        requests = _writer(unit, commit, "work/passage_requests", REQUESTS)
        for cell, piece, rows, batch, gathered in _gathered(unit):
            if cell != told:
                told, answers, asked = cell, _by_piece(_read_blocks(files, cell)), 0
            lost = {partition: np.frombuffer(block, LOST) for partition, block in answers.get(piece, ())}
            found = claims(gathered, lost, settings.length, settings.within_documents)
            if not len(found):
                continue
            _, row = units_and_rows(found["handle"])
            span = found["unit"], found["count"]
            digest = digests(batch.column("text"), np.searchsorted(rows, row), *span, settings.words)
            questions, to, request = _requests(cell, asked, found, digest)
            requests.add(questions, to)
            columns = [row, *(found[name].astype(np.int64) for name in ("start", "end")), asked + request]
            arrays = [pa.array(column) for column in columns]
            kept.add(pa.RecordBatch.from_arrays(arrays, schema=CLAIMS), np.full(len(row), cell))
            count, asked = count + len(found), asked + questions.num_rows
        commit.index("work/passage_claims", kept.close())
        commit.index("work/passage_requests", requests.close())
        commit.finish({"claims": count})


def _requests(
    cell: int, asked: int, found: np.ndarray, digest: np.ndarray
) -> tuple[pa.RecordBatch, np.ndarray, np.ndarray]:
    """(REQUESTS, destinations, which of them each claim makes): equal questions of a piece are asked once.

    `found` dedup.repeats.CLAIM[c]; `digest` uint64[c, 2] of the text claimed; `asked`: requests of the cell so far,
    from which their numbers go on.
    """
    from ...dedup.candidates import units_and_rows

    place = np.stack([found["of_handle"].astype(np.uint64), found["of_unit"], found["count"]], axis=1)
    asks = np.concatenate([place, digest], axis=1)
    once, request, copies = np.unique(asks, axis=0, return_inverse=True, return_counts=True)
    number, row = units_and_rows(once[:, 0].astype(np.int64))
    columns = [np.full(len(once), cell), asked + np.arange(len(once)), copies, row, *once[:, 1:3].astype(np.int64).T]
    columns += [*once[:, 3:].T]
    arrays = [pa.array(np.ascontiguousarray(column)) for column in columns]
    return pa.RecordBatch.from_arrays(arrays, schema=REQUESTS), _asked_cell(number, row), request.reshape(-1)


def _asked_cell(number: np.ndarray | int, row: np.ndarray) -> np.ndarray:
    return (np.int64(number) << CELL_BITS) | (row >> ASKED_ROWS_BITS)


def run_digests(unit: Unit) -> None:
    """Reply to what is asked of the documents of one unit: whether the text there is equal, and the document's key."""
    from ...dedup.substring import digests

    words, files = _settings(unit).words, _files(unit, "passage_claims", "work/passage_requests")
    copied: list[tuple[int, str, int]] = []
    with Commit(unit) as commit:
        writer = _writer(unit, commit, "work/passage_digests", REPLIES)
        for rows, batch, asked in _asked(unit, files):
            row, start, count, copies = (asked.column(n).to_numpy() for n in ("row", "unit", "count", "copies"))
            at = np.searchsorted(rows, row)
            places, which = np.unique(np.stack([at, start, count], axis=1), axis=0, return_inverse=True)
            digest = digests(batch.column("text"), *places.T, words)[which.reshape(-1)]
            theirs = np.stack([asked.column(name).to_numpy() for name in ("digest_0", "digest_1")], axis=1)
            equal = (digest == theirs).all(axis=1)
            key = batch.column("key").take(pa.array(at))
            columns = [asked.column("request").combine_chunks(), pa.array(equal), key]
            writer.add(pa.RecordBatch.from_arrays(columns, schema=REPLIES), asked.column("cell").to_numpy())
            copied = _most_copied([*copied, *_copies(batch, at[equal], start[equal], copies[equal])])
        commit.index("work/passage_digests", writer.close())
        commit.finish({"most_copied": copied})


def _asked(unit: Unit, files: list[tuple[str, Index]]) -> Iterator[tuple[np.ndarray, pa.RecordBatch, pa.Table]]:
    """(rows, documents, REQUESTS of them) batch by batch, for those that are asked about."""
    held, asked = -1, pa.table([])
    for rows, batch in standing(unit, unit.number):
        cells = _asked_cell(unit.number, rows)
        for cell in np.unique(cells).tolist():
            if cell != held:
                held, asked = cell, read_table(files, cell, REQUESTS).sort_by("row")
            first, last = rows[cells == cell][[0, -1]]
            low, high = np.searchsorted(asked.column("row").to_numpy(), [first, last + 1])
            if low < high:
                yield rows, batch, asked.slice(low, high - low)
        progress(batch.num_rows)


def _copies(batch: pa.RecordBatch, at: np.ndarray, start: np.ndarray, copies: np.ndarray) -> list[tuple[int, str, int]]:
    """(copies, key, unit) of the passages of most copies in a batch, by where they stand first."""
    places, which = np.unique(np.stack([at, start], axis=1), axis=0, return_inverse=True)
    sums = np.bincount(which.reshape(-1), copies).astype(np.int64)
    keys = [key.hex() for key in batch.column("key").take(pa.array(places[:, 0])).to_pylist()]
    return _most_copied(list(zip(sums.tolist(), keys, places[:, 1].tolist(), strict=True)))


def _most_copied(found: list[tuple[int, str, int]]) -> list[tuple[int, str, int]]:
    return sorted(found, key=lambda one: (-one[0], *one[1:]))[:MOST_COPIED]


# -- what is cut -----------------------------------------------------------------------------------------------------


def run_substring(unit: Unit) -> None:
    """Cut what was claimed of one unit and is so."""
    from ...dedup.substring import cuts

    settings, counts = _settings(unit), Counter(dict.fromkeys(("refused", "edited", "dropped", "bytes"), 0))
    claimed, replies = _files(unit, "passage_claims"), _files(unit, "passage_digests")
    with Commit(unit) as commit:
        sink = ArrowSink(commit.file("work/substring", ".arrow"), EDITED)
        for cell, pieces in _cells(unit):
            told = read_table(replies, cell, REPLIES).sort_by("request")
            row, start, end, request = (c.to_numpy() for c in read_table(claimed, cell, CLAIMS).columns)
            so = told.column("equal").to_numpy(zero_copy_only=False)[request]
            counts["refused"] += int((~so).sum())
            row, start, end, keys = row[so], start[so], end[so], told.column("key").take(pa.array(request[so]))
            for _, rows, batch in pieces:
                low, high = np.searchsorted(row, [rows[0], rows[-1] + 1])
                spans = np.searchsorted(rows, row[low:high]), start[low:high], end[low:high]
                found = cuts(batch.column("text"), *spans, settings)
                if len(found.rows):
                    edits = _edits(rows, batch, found, spans, keys.slice(low, high - low), counts)
                    sink.write(edits)
                progress(batch.num_rows)
        sink.close()
        commit.finish(dict(counts))


def _edits(
    rows: np.ndarray, batch: pa.RecordBatch, found: Any, claimed: tuple, keys: pa.ChunkedArray, counts: Counter[str]
) -> pa.RecordBatch:
    """EDITED of the documents of a piece that are cut; `claimed`: (document, start, end) in order, with the `keys` of
    the documents where these stand first."""
    documents, first, passages = np.unique(found.rows, return_index=True, return_counts=True)
    sizes = found.ends - found.starts
    removed = np.add.reduceat(sizes, first)
    at = np.repeat(np.arange(len(documents)), passages)
    texts = batch.column("text").take(pa.array(documents))
    left = pc.utf8_trim_whitespace(cut(texts, [Cuts("", at, found.starts, found.ends)]))
    drop = np.asarray(pc.binary_length(left)) == 0
    longest = np.lexsort((found.starts, -sizes, found.rows))[first]
    ends = (claimed[0] << 32) | claimed[2]  # claims of a document begin and end in one order
    begun = np.searchsorted(ends, (documents << 32) | found.starts[longest], "right")
    detail = [
        json.dumps({"passages": n, "bytes": size, "kept": key.hex()})
        for n, size, key in zip(
            passages.tolist(), removed.tolist(), keys.take(pa.array(begun)).to_pylist(), strict=True
        )
    ]
    counts["dropped"] += int(drop.sum())
    counts["edited"] += int((~drop).sum())
    counts["bytes"] += int(removed.sum())
    share = removed / np.diff(text_buffers(texts)[1])
    return edited_rows(rows[documents], (at, found.starts, found.ends), drop, share, None, detail)


def report(done: dict[str, Done]) -> dict[str, Any]:
    """The counts of all steps for run.json; `most_copied`: [copies, key of the document where it stands first, word or
    byte where it begins there]."""
    copied = [tuple(one) for entry in done["passage_digests"].entries for one in entry.manifest.counts["most_copied"]]
    return {
        "anchors": total(done["passage_anchors"].entries, "anchors"),
        "partitions": len(done["passage_resolve"].entries),
        "windows": total(done["passage_windows"].entries, "windows"),
        "claims": total(done["passage_claims"].entries, "claims"),
        **{name: total(done["substring"].entries, name) for name in ("refused", "edited", "dropped", "bytes")},
        "most_copied": _most_copied(copied),
    }
