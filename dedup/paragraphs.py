"""Repeated paragraphs and lines: found by their hashes, cut out as spans of bytes.

The idea, CCNet's and Dolma's: boilerplate (menus, licences, cookie notices) repeats by the paragraph, not by the
document. Each paragraph becomes a 128-bit hash of its normalised text; all but the first of equal ones are removed,
where first is by (rank of the document, key, place in it). Three steps, arrays in and arrays out, none of which sends
text anywhere:

    paragraphs(texts)                        a batch cut and hashed by one compiled scan
    occurrences: merge, keep_list, not_kept  which ones stay, where equal hashes meet
    edits(texts, found, gone)                the spans to cut, and the documents to drop

A document that `max_removed` drops takes paragraphs with it that others lost in its favour: the second step is then
run again without it (see `deduplicate`). With the default of 1.0 only documents go of which nothing was left.

The trade-offs: a paragraph that differs in one letter is another one; a text can lose a sentence that others quote,
which `min_characters` and `max_removed` bound.

Wenzek and others, "CCNet" (2020); Soldaini and others, "Dolma" (2024).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numba import int64, uint64

from ..console import WorkError
from ..document import json_text, key_words, text_buffers
from ..text import decode, kernel
from .bloom import Sieve
from .candidates import handles
from .occurrences import keep_list, merge, not_kept, occurrences
from .paragraph_settings import ParagraphSettings
from .siphash import key_of, siphash
from .spelling import GROWTH, MOST_MARKS, SPACE, normalise_span, table_of

NEWLINE = 10
SHOWN = 100  # numbers of removed lines that a ledger row names
MAX_PARAGRAPHS = 20_000_000  # that `deduplicate` holds


class Paragraphs(NamedTuple):
    """The m paragraphs of a batch that may be removed, by (row, ordinal), and the size of its n documents."""

    rows: np.ndarray  # int64[m]: the document
    ordinals: np.ndarray  # int64[m]: which line or paragraph of it, from 0; lines that are left alone count too
    starts: np.ndarray  # int64[m]: bytes from the beginning of the document
    ends: np.ndarray  # int64[m]: before its line feed
    sizes: np.ndarray  # int64[m]: characters or words, as settings.share_of says
    hashes: np.ndarray  # uint64[m, 2]
    totals: np.ndarray  # int64[n]: the sizes of all its paragraphs, those left alone too, but for blank lines


# -- 1. a batch, cut and hashed ---------------------------------------------------------------------------------------


@kernel
def _blank(data, start, end, entries):
    """Is data[start:end] nothing but white space?"""
    at = start
    while at < end:
        point, at = decode(data, at)
        if entries[point] != SPACE:
            return False
    return True


@kernel
def _line_end(data, at, end):
    here, stop = uint64(at), uint64(end)  # an unsigned index needs no look at its sign
    while here < stop and data[here] != NEWLINE:
        here += uint64(1)
    return int64(here)


@kernel
def _piece(data, at, end, by_line, entries):
    """(start, end, where to go on) of the next line or paragraph of data[at:end]; start == end: there is none."""
    stop = _line_end(data, at, end)
    if by_line:
        return at, stop, stop + 1
    while at < end and _blank(data, at, stop, entries):
        at = stop + 1
        stop = _line_end(data, at, end)
    if at >= end:
        return end, end, end
    start = at
    while stop < end:
        following = _line_end(data, stop + 1, end)
        if _blank(data, stop + 1, following, entries):
            break
        stop = following
    return start, stop, stop + 1


@kernel
def _characters(data, start, end):
    count = 0
    for i in range(start, end):
        count += (data[i] & 0xC0) != 0x80
    return count


@kernel
def _words(data, start, end, entries):
    count, before, at = 0, True, start
    while at < end:
        point, at = decode(data, at)
        space = entries[point] == SPACE
        count += before & (not space)
        before = space
    return count


@kernel
def _find(data, offsets, by_line, entries, normalise, table, keys, least, by_words, found, scratch):
    """Fill `found` and return its length. `least`: characters and words; `entries`: which characters are white space"""
    marks = np.empty(MOST_MARKS, np.uint32)
    min_characters, min_words = least
    m = 0
    for row in range(len(offsets) - 1):
        begin, end = offsets[row], offsets[row + 1]
        at, ordinal, total = begin, int64(0), 0
        while at < end:
            start, stop, at = _piece(data, at, end, by_line, entries)
            characters = _characters(data, start, stop)
            words = _words(data, start, stop, entries) if by_words or min_words > 0 else 0
            size = words if by_words else characters
            blank = by_line and _blank(data, start, stop, entries)
            total += 0 if blank else size
            if not blank and stop > start and characters >= min_characters and words >= min_words:
                if normalise:
                    length = normalise_span(data, start, stop, table, marks, scratch, 0)
                    first, second = siphash(scratch, 0, length, keys[0], keys[1])
                else:
                    length = stop - start
                    first, second = siphash(data, start, stop, keys[0], keys[1])
                if length:
                    found.rows[m], found.ordinals[m] = row, ordinal
                    found.starts[m], found.ends[m], found.sizes[m] = start - begin, stop - begin, size
                    found.hashes[m, 0], found.hashes[m, 1] = first, second
                    m += 1
            ordinal += 1
        found.totals[row] = total
    return m


def paragraphs(texts: pa.Array | pa.ChunkedArray, settings: ParagraphSettings) -> Paragraphs:
    """The paragraphs of a batch, string[n] or large_string[n], that may be removed: long enough, and not blank.

    Nor is one of which normalisation leaves nothing (`-----`). A null is an empty text. Texts must be valid UTF-8.
    Scratch: three times the longest document, as far as it is touched. Runs without the GIL, on one core.
    """
    data, offsets = text_buffers(texts)
    n = len(offsets) - 1
    used = data[offsets[0] : offsets[-1]]
    room = int(np.count_nonzero(used == NEWLINE)) + n
    longest = int(np.diff(offsets).max(initial=0))
    table = table_of("ccnet" if settings.normalise == "ccnet" else "text")
    numbers = [np.empty(room, np.int64) for _ in range(5)]
    found = Paragraphs(*numbers, np.empty((room, 2), np.uint64), np.empty(n, np.int64))
    m = _find(
        data,
        offsets,
        settings.unit == "line",
        table_of("text").entries,
        settings.normalise != "raw",
        table,
        key_of(settings.seed, "paragraphs"),
        (settings.min_characters, settings.min_words),
        settings.share_of == "words",
        found,
        np.empty(GROWTH * longest + 1, np.uint8),
    )
    return Paragraphs(*(array[:m].copy() for array in found[:6]), found.totals)


# -- 3. what is cut ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Edits:
    """What a batch of n documents loses: k spans that neither overlap nor touch, by (row, start)."""

    rows: np.ndarray  # int64[k]
    starts: np.ndarray  # int64[k]: bytes from the beginning of the document
    ends: np.ndarray  # int64[k]
    share: np.ndarray  # float64[n]: removed, of the document's characters or words
    drop: np.ndarray  # bool[n]: it loses so much that it goes whole; its spans are listed all the same
    removed: np.ndarray  # int64[n]: lines or paragraphs
    details: list[str | None]  # n, JSON for the ledger: how many and which, from 1, at most SHOWN; None where none


@kernel
def _spans(data, offsets, by_line, entries, rows, ordinals, starts, ends, span_rows, span_starts, span_ends):
    """Neighbours that go are one span, with the line feed (and empty lines) behind; at the end with those before."""
    k, i = 0, 0
    while i < len(rows):
        row, start, end = rows[i], starts[i], ends[i]
        i += 1
        while i < len(rows) and rows[i] == row and ordinals[i] == ordinals[i - 1] + 1:
            end = ends[i]
            i += 1
        begin, stop = offsets[row], offsets[row + 1]
        start, end = start + begin, end + begin
        after = end + 1  # where the next paragraph begins
        while not by_line and after < stop:
            line = _line_end(data, after, stop)
            if not _blank(data, after, line, entries):
                break
            after = line + 1
        if after < stop or (by_line and after == stop):
            end = after
        else:
            before = start  # behind the paragraph before, if there is one
            while before > begin:
                line = before - 1
                while line > begin and data[line - 1] != NEWLINE:
                    line -= 1
                if by_line or not _blank(data, line, before - 1, entries):
                    start = before - 1
                    break
                before = line
        if k and span_rows[k - 1] == row and span_ends[k - 1] >= start - begin:
            span_ends[k - 1] = end - begin
        else:
            span_rows[k], span_starts[k], span_ends[k] = row, start - begin, end - begin
            k += 1
    return k


def edits(texts: pa.Array | pa.ChunkedArray, found: Paragraphs, gone: np.ndarray, settings: ParagraphSettings) -> Edits:
    """The spans that take the paragraphs `gone` (bool[m]) out of `texts`, as `paragraphs` found them.

    A paragraph goes with its line feed and the empty lines behind it; where it is the last one, with those before it.
    So without the lines of a document that go, it is the others joined by line feeds.
    """
    data, offsets = text_buffers(texts)
    n = len(offsets) - 1
    rows, ordinals = found.rows[gone], found.ordinals[gone]
    spans = np.empty((3, len(rows)), np.int64)
    by_line = settings.unit == "line"
    entries = table_of("text").entries
    k = _spans(data, offsets, by_line, entries, rows, ordinals, found.starts[gone], found.ends[gone], *spans)
    lost = np.zeros(n, np.int64)
    np.add.at(lost, rows, found.sizes[gone])
    share = lost / np.maximum(found.totals, 1)
    drop = (share > settings.max_removed) | ((lost == found.totals) & (lost > 0))
    removed = np.bincount(rows, minlength=n)
    details = _details(rows, ordinals, lost, settings, n)
    return Edits(*(span[:k].copy() for span in spans), share, drop, removed, details)


def _details(
    rows: np.ndarray, ordinals: np.ndarray, lost: np.ndarray, settings: ParagraphSettings, n: int
) -> list[str | None]:
    details: list[str | None] = [None] * n
    starts = np.flatnonzero(np.diff(rows, prepend=-1))
    plural = f"{settings.unit}s"
    for start, end in pairwise([*starts.tolist(), len(rows)]):
        row = int(rows[start])
        details[row] = json_text(
            {
                plural: (ordinals[start : min(end, start + SHOWN)] + 1).tolist(),
                f"removed_{plural}": end - start,
                f"removed_{settings.share_of}": int(lost[row]),
            }
        )
    return details


# -- all of it in memory ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Deduplicated:
    """What `deduplicate` found."""

    edits: list[Edits]  # one a batch
    paragraphs: int  # that could have been removed
    compared: int  # that were compared exactly; with a Bloom filter fewer
    compared_for_nothing: int  # different ones among these that occur once: with a Bloom filter its false positives
    false_positive_rate: float  # measured: the share of these among all different ones that occur once


def deduplicate(
    batches: Sequence[pa.RecordBatch],
    settings: ParagraphSettings,
    rank: Callable[[pa.Array], np.ndarray] | None = None,
) -> Deduplicated:
    """All steps over batches with the columns `key` and `text`, in memory: for tests and small corpora.

    `rank` (texts -> int64[n], smaller stays) says which document has the first claim; without one the keys alone do.
    Where `max_removed` drops documents, the others are compared once more without them: what stood first in one that
    is dropped stays in another. That restores paragraphs and removes none, so no document is dropped for it.

    The result is the same for any cut and order of the batches, with and without a Bloom filter, but for
    `compared_for_nothing`. Bound: 300 bytes a paragraph besides the text; above MAX_PARAGRAPHS (6 GB) it raises
    WorkError.
    """
    found: list[Paragraphs] = []
    count = 0
    for batch in batches:
        found.append(paragraphs(batch.column("text"), settings))
        count += len(found[-1].rows)
        if count > MAX_PARAGRAPHS:
            raise WorkError(f"dedup: more than {MAX_PARAGRAPHS:,} paragraphs; that many are not compared in memory")
    asked = [np.ones(len(part.rows), bool) for part in found]
    if settings.bloom is not None:
        sieve = Sieve(settings.bloom)
        for part in found:
            sieve.mark(part.hashes)
        asked = [sieve.repeated(part.hashes) for part in found]

    claims = []
    for batch in batches:
        texts = batch.column("text")
        ranks = np.zeros(len(texts), np.int64) if rank is None else rank(texts)
        claims.append((ranks, key_words(batch.column("key"))))
    gone, alone = _gone(found, claims, asked)
    made = [edits(batch.column("text"), *rest, settings) for batch, *rest in zip(batches, found, gone, strict=True)]
    if settings.max_removed < 1.0 and any(edit.drop.any() for edit in made):
        dropped = [edit.drop[part.rows] for edit, part in zip(made, found, strict=True)]
        standing = [wanted & ~lost for wanted, lost in zip(asked, dropped, strict=True)]
        again, _ = _gone(found, claims, standing)
        gone = [np.where(*choice) for choice in zip(dropped, gone, again, strict=True)]
        made = [edits(batch.column("text"), *rest, settings) for batch, *rest in zip(batches, found, gone, strict=True)]

    compared = sum(int(wanted.sum()) for wanted in asked)
    others = count - compared  # each of these occurs once
    return Deduplicated(made, count, compared, alone, alone / max(alone + others, 1))


def _gone(
    found: Sequence[Paragraphs], claims: Sequence[tuple[np.ndarray, np.ndarray]], asked: Sequence[np.ndarray]
) -> tuple[list[np.ndarray], int]:
    """(which paragraphs of each batch go, how many occur once), if those `asked` (bool[m] each) compete.

    `claims`: (rank, key) of the documents of each batch.
    """
    blocks = []
    for number, (part, (rank, key), wanted) in enumerate(zip(found, claims, asked, strict=True)):
        rows = part.rows[wanted]
        blocks.append(
            occurrences(part.hashes[wanted], rank[rows], key[rows], part.ordinals[wanted], handles(number, rows))
        )
    merged = merge(blocks)
    keep = keep_list(merged)
    gone = []
    for number, (part, wanted) in enumerate(zip(found, asked, strict=True)):
        going = np.zeros(len(part.rows), bool)
        going[wanted] = not_kept(handles(number, part.rows[wanted]), part.ordinals[wanted], keep)
        gone.append(going)
    return gone, int(np.count_nonzero(merged["repeated"] == 0))
