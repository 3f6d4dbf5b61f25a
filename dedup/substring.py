"""Passages that stand in several places of a corpus: all but the first occurrence are cut out of the documents.

The idea: wherever at least `min_words` words (or `min_bytes` bytes) in a row stand a second time, they are taken out,
exactly: all of them are found, and nothing is cut that is not part of one. Lee et al. 2022 ("Deduplicating training
data makes language models better", arXiv:2107.06499) do so with a suffix array. Their program takes out every
occurrence, the first as well, and cuts between bytes, which tears UTF-8 characters apart; here the first occurrence
stays (by rank and key of the document, then by place), and a cut ends between words or between characters.

The steps, for pipelines whose text never crosses a shuffle (`remove_repeats` runs them in memory). Texts come in
batches, of any size and with any documents in them, and are read again for each:

1. a batch: `anchors`; `thinned`, `anchor_blocks`: 8 bytes an anchor are sent
2. a partition: `repeated`: which anchors of each batch occur twice in the corpus
3. a batch: `windows` at these anchors; `gather`, `window_blocks`: 12 bytes a window are sent
4. a partition: `resolve`: which windows stand first in another batch
5. a batch: `windows` and `gather` again, `claims`: these units of text are those of that document
6. where either text is: `digests` of claimed units; a claim counts where both are equal
7. a batch: `cuts` of the claims that count, as byte spans

What is claimed of a document depends on its text and those before it alone, not on what else is in its batch.

With words as units, white space between them may differ: a passage set in other lines is the same passage. What cutting
brings together may repeat something once more; that is not looked for again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from ..document import key_words, text_buffers
from ..text import inline, kernel
from .anchors import anchors, find_words, gram_of, windows
from .candidates import handles, units_and_rows
from .repeats import CLAIM, claims, gather, holding, repeated, resolve, thinned, window_blocks
from .substring_settings import SubstringSettings
from .survivors import survivor_rank

MAX_PASSES = 1024
WINDOW_BYTES = 130  # that `remove_repeats` holds for a window


class Cut(NamedTuple):
    """Spans to cut out of a batch: k spans apart from each other, in order of (row, start)."""

    rows: np.ndarray  # int64[k]
    starts: np.ndarray  # int64[k], in bytes from the beginning of the row's text
    ends: np.ndarray  # int64[k]


# -- what is claimed is checked --------------------------------------------------------------------------------------


@kernel
def _joined(data, begin, stop, out, at):
    """The words of data[begin:stop] with one space between into `out`, where each begins into `at`; their number."""
    room = (stop - begin + 1) // 2
    starts, ends = np.empty(room, np.uint32), np.empty(room, np.uint32)
    n, top = find_words(data, begin, stop, np.empty(room, np.uint64), starts, ends), 0
    for w in range(n):
        at[w] = top
        for i in range(begin + starts[w], begin + ends[w]):
            out[top] = data[i]
            top += 1
        out[top] = 32
        top += 1
    at[n] = top
    return n


def digests(
    texts: pa.Array | pa.ChunkedArray, rows: np.ndarray, units: np.ndarray, counts: np.ndarray, words: bool
) -> np.ndarray:
    """uint64[c, 2]: BLAKE2b-128 of `counts` units from number `units` on of the texts `rows`, integers[c] each.

    Of bytes as they are, of words with one space between them: equal digests are equal text. Raises ValueError where a
    text has not so many units: it is not the one that the claim was made of.
    """
    data, offsets = text_buffers(texts)
    out = np.zeros((len(rows), 2), np.uint64)
    order = np.argsort(rows, kind="stable")
    document = -1
    text, at, n, view = np.empty(0, np.uint8), np.empty(0, np.int64), 0, memoryview(b"")
    parts = np.stack([rows, units, counts], axis=1).astype(np.int64)[order] if len(rows) else np.empty((0, 3), np.int64)
    found = []
    for row, unit, count in parts.tolist():
        if row != document:
            document, begin, end = row, int(offsets[row]), int(offsets[row + 1])
            text, n = data[begin:end], end - begin
            if words:
                text, at = np.empty(end - begin + 1, np.uint8), np.empty((end - begin + 1) // 2 + 1, np.int64)
                n = _joined(data, begin, end, text, at)
            view = memoryview(text)
        if unit + count > n:
            raise ValueError(
                f"row {row} has {n} units, and {count} from number {unit} on were claimed to stand elsewhere"
            )
        span = view[at[unit] : at[unit + count] - 1] if words else view[unit : unit + count]
        found.append(hashlib.blake2b(span, digest_size=16).digest())
    out[order] = np.frombuffer(b"".join(found), ">u8").reshape(-1, 2)
    return out


# -- where to cut ----------------------------------------------------------------------------------------------------


@inline
def _newlines(data, begin, end):
    n = 0
    for i in range(begin, end):
        n += data[i] == 10
    return n


@kernel
def _unions(rows, starts, ends):
    """Spans that overlap or touch become one, in place; how many are left. They come in order of (row, start)."""
    n = 0
    for i in range(len(rows)):
        if n > 0 and rows[n - 1] == rows[i] and starts[i] <= ends[n - 1]:
            ends[n - 1] = max(ends[n - 1], ends[i])
        else:
            rows[n], starts[n], ends[n] = rows[i], starts[i], ends[i]
            n += 1
    return n


@kernel
def _to_characters(data, offsets, rows, starts, ends):
    """Spans without the parts of characters at their ends, in place; how many are left."""
    n = 0
    for i in range(len(rows)):
        base, stop = offsets[rows[i]], offsets[rows[i] + 1]
        start, end = base + starts[i], base + ends[i]
        while start < end and data[start] & 0xC0 == 0x80:
            start += 1
        while end > start and end < stop and data[end] & 0xC0 == 0x80:
            end -= 1
        if start < end:
            rows[n], starts[n], ends[n] = rows[i], start - base, end - base
            n += 1
    return n


@kernel
def _to_words(data, offsets, rows, starts, ends):
    """Spans of the whole words in them, and of the white space on one side, in place; how many are left.

    Of the white space before and behind, that with more line ends stays, so that paragraphs stay apart.
    """
    longest = 0
    for i in range(len(rows)):
        longest = max(longest, offsets[rows[i] + 1] - offsets[rows[i]])
    room = (longest + 1) // 2
    hashes = np.empty(room, np.uint64)
    heads, tails = np.empty(room, np.uint32), np.empty(room, np.uint32)
    n, i, words, document = 0, 0, 0, -1
    while i < len(rows):
        row = rows[i]
        base, size = offsets[row], offsets[row + 1] - offsets[row]
        if row != document:
            document, words = row, find_words(data, base, offsets[row + 1], hashes, heads, tails)
        first = np.searchsorted(heads[:words], starts[i])
        last = np.searchsorted(tails[:words], ends[i], "right")  # the first word that is not in the span
        i += 1
        while i < len(rows) and rows[i] == row and np.searchsorted(heads[:words], starts[i]) <= last:
            last = max(last, np.searchsorted(tails[:words], ends[i], "right"))  # only white space between the two
            i += 1
        if first >= last:
            continue
        start, end = int(heads[first]), int(tails[last - 1])
        before = int(tails[first - 1]) if first > 0 else 0
        behind = int(heads[last]) if last < words else size
        if first == 0 and last == words:
            start, end = 0, size
        elif last == words:
            start = before
        elif first == 0 or _newlines(data, base + before, base + start) >= _newlines(data, base + end, base + behind):
            end = behind
        else:
            start = before
        rows[n], starts[n], ends[n] = row, start, end
        n += 1
    return n


def cuts(
    texts: pa.Array | pa.ChunkedArray,
    rows: np.ndarray,
    starts: np.ndarray,
    ends: np.ndarray,
    settings: SubstringSettings,
) -> Cut:
    """Where to cut, given the spans of the claims that count: integers[c] each, in any order, overlapping as they may.

    Cuts of whole words take the white space on one side with them; a text without other words is cut whole.
    """
    data, offsets = text_buffers(texts)
    order = np.lexsort((starts, rows))
    spans = [np.asarray(part, np.int64)[order] for part in (rows, starts, ends)]
    spans = [part[: _unions(*spans)] for part in spans]
    if not settings.words:
        left = _to_characters(data, offsets, *spans)
        spans = [part[:left] for part in spans]
    if settings.words or settings.whole_words:
        left = _to_words(data, offsets, *spans)
        spans = [part[:left] for part in spans]
    return Cut(*spans)


# -- all steps in memory ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Repeats:
    """What `remove_repeats` found."""

    cuts: list[Cut]  # for each batch
    claims: np.ndarray  # repeats.CLAIM[c] that count: what was cut, and the earlier document where it stays
    refused: int  # claims whose texts differ: two windows with one hash. Nothing is cut for them
    passes: int
    anchors: int  # in all texts
    windows: int  # with a repeated anchor


def remove_repeats(
    batches: Sequence[pa.RecordBatch],
    settings: SubstringSettings,
    ranks: Sequence[np.ndarray] | None = None,
    passes: int | None = None,
    memory: int = 1 << 30,
) -> Repeats:
    """The cuts of all `batches`, with the columns `text` and `key` of a document, each batch a unit of work.

    `ranks`: int64[n] a batch, smaller comes first; by default the longest text. The result is the same for any order
    of rows and batches and any division into batches; only between records equal in every field order decides.

    Besides the texts it holds 8 bytes an anchor (a tenth of the text), 44 a claim, and some 130 bytes for each window
    with a repeated anchor: 20 times the repeated text where units are words, 130 times where they are bytes. So it goes
    through them in `passes` (at most 1,024), by default as many as keep these at about `memory` bytes. A pass reads the
    texts once more and changes nothing else.
    """
    if passes is not None and not 1 <= passes <= MAX_PASSES:
        raise ValueError(f"{passes} passes; 1 to {MAX_PASSES} are possible")
    words, length = settings.words, settings.length
    texts = [batch.column("text") for batch in batches]
    keys = [key_words(batch.column("key")) for batch in batches]
    handle = [handles(unit, np.arange(batch.num_rows)) for unit, batch in enumerate(batches)]
    ranks = ranks if ranks is not None else [survivor_rank(text) for text in texts]

    sampled = [anchors(text, words, length) for text in texts]
    known = repeated([thinned(hashes).tobytes() for hashes, _ in sampled])
    held = [holding(*sample, found) for sample, found in zip(sampled, known, strict=True)]
    rows, counted = [row for row, _ in held], sum(len(hashes) for hashes, _ in sampled)
    del sampled
    if passes is None:
        expected = sum(count for _, count in held) * (length - gram_of(length) + 2) // 2  # windows an anchor
        passes = min(1 + expected * WINDOW_BYTES // memory, MAX_PASSES)

    claimed, seen = [np.empty(0, CLAIM)], 0
    for part in range(passes):
        units = []
        for text, row, found, *about in zip(texts, rows, known, handle, ranks, keys, strict=True):
            units.append(gather([windows(text, row, words, length, found, passes, (part, part + 1))], *about))
        seen += sum(len(unit.windows) for unit in units)
        sent = [next((block for _, block in window_blocks(unit)), None) for unit in units]
        answers = iter(resolve([block for block in sent if block is not None]))
        for unit, block in zip(units, sent, strict=True):
            if block is not None:
                claimed.append(claims(unit, {part: next(answers)}, length, settings.within_documents))
    found = np.concatenate(claimed)
    counts = _counts(texts, found, words)
    unit, row = units_and_rows(found["handle"][counts])
    result = []
    for number, text in enumerate(texts):
        mine = np.flatnonzero(unit == number)
        spans = found[counts][mine]
        result.append(cuts(text, row[mine], spans["start"], spans["end"], settings))
    return Repeats(result, found[counts], int((~counts).sum()), passes, counted, seen)


def _counts(texts: Sequence[pa.Array], claimed: np.ndarray, words: bool) -> np.ndarray:
    """bool[c]: whether the two texts of a claim are equal."""
    sides = []
    for handle, unit in (("handle", "unit"), ("of_handle", "of_unit")):
        batch, row = units_and_rows(claimed[handle])
        side = np.empty((len(claimed), 2), np.uint64)
        order = np.argsort(batch, kind="stable")
        bounds = np.searchsorted(batch[order], np.arange(len(texts) + 1))
        for number in np.flatnonzero(np.diff(bounds)).tolist():
            mine = order[bounds[number] : bounds[number + 1]]
            side[mine] = digests(texts[number], row[mine], claimed[unit][mine], claimed["count"][mine], words)
        sides.append(side)
    return (sides[0] == sides[1]).all(axis=1)


def most_copied(claimed: np.ndarray, count: int = 20) -> list[tuple[int, int, int]]:
    """(handle, unit, copies): the passages of most copies, by where they stand first: the boilerplate of a corpus.

    `claimed` CLAIM[c]. Copies that begin at different units of a passage count apart.
    """
    order = np.lexsort((claimed["of_unit"], claimed["of_handle"]))
    handle, unit = claimed["of_handle"][order], claimed["of_unit"][order]
    begin = np.flatnonzero(np.r_[True, (handle[1:] != handle[:-1]) | (unit[1:] != unit[:-1])]) if len(order) else order
    copies = np.diff(np.r_[begin, len(order)])
    top = np.argsort(-copies, kind="stable")[:count]
    return [(int(handle[begin[i]]), int(unit[begin[i]]), int(copies[i])) for i in top]
