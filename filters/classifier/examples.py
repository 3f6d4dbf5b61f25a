"""Good and bad text to training examples: one line each, equally many of both, a part held out; all by hash of text.

Which examples are chosen, which are held out and in which order they are learnt follows from a draw for each text, so
the same texts in other files, or in another order, give the same model. A text that came twice counts once; one that
is both good and bad teaches nothing and is left out. A long document (a book) becomes several examples, all of them on
one side. The examples lie in one file on disk, which is written once and read by place: 48 bytes of memory an
example, some 200 while they are sorted.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np
import pyarrow as pa

from ...document import KEY_BYTES, below, draws
from .model_file import PREFIX

GOOD, BAD = "good", "bad"
SIDES = (GOOD, BAD)

_BLANKS = str.maketrans(dict.fromkeys("\n\r\t\v\f\0", " "))  # with the space all that separates fastText's words
_END = "</s>"


def one_line(text: str) -> str:
    """`text` as fastText reads it, in one line: to the first word `</s>`, without words that look like labels."""
    line = text.translate(_BLANKS)
    if _END in line or PREFIX in line:
        words = line.split(" ")
        if _END in words:
            words = words[: words.index(_END)]
        line = " ".join(word for word in words if not word.startswith(PREFIX))
    return line.strip(" ")


def pieces(line: str, longest: int) -> Iterator[str]:
    """`line` cut at spaces into pieces of at most `longest` characters; a longer word is cut where it must be."""
    at = 0
    while True:
        while line.startswith(" ", at):
            at += 1
        if len(line) - at <= longest:
            break
        end = line.rfind(" ", at, at + longest + 1)
        end = end if end > at else at + longest
        yield line[at:end]
        at = end
    if at < len(line):
        yield line[at:]


@dataclass
class _Side:
    """The examples of one side as they come: a number each."""

    starts: array[int] = field(default_factory=lambda: array("q"))  # byte of the file
    ends: array[int] = field(default_factory=lambda: array("q"))
    texts: bytearray = field(default_factory=bytearray)  # hash of the piece
    documents: bytearray = field(default_factory=bytearray)  # hash of the document
    read: int = 0  # documents


@dataclass(frozen=True)
class Part:
    """k chosen examples, of both sides, in the order of their draws."""

    good: np.ndarray  # bool[k]
    starts: np.ndarray  # int64[k] bytes
    ends: np.ndarray  # int64[k]

    def __len__(self) -> int:
        return len(self.good)


@dataclass(frozen=True)
class Chosen:
    """What is learnt from, what is held out, and what there was."""

    training: Part
    held_out: Part
    counts: dict[str, dict[str, int]]  # side -> what -> how many


class Examples:
    """Collects texts of both sides into `file`; then `choose`."""

    def __init__(self, file: BinaryIO, longest: int):
        """`longest`: characters of an example."""
        self.file, self.longest, self.size = file, longest, 0
        self.sides = {side: _Side() for side in SIDES}

    def add(self, side: str, batches: Iterable[pa.RecordBatch]) -> None:
        """Documents of one side: batches with the columns `text` and, if they have them, `id`."""
        into = self.sides[side]
        for batch in batches:
            texts = batch.column("text")
            ids = batch.column("id") if "id" in batch.schema.names else pa.nulls(len(texts))
            for text, id in zip(texts, ids, strict=True):
                line = one_line(text.as_py() or "")
                document, name = _hash(line), one_line(id.as_py() or "").encode()
                into.read += 1
                for piece in pieces(line, self.longest):
                    into.texts += document if len(piece) == len(line) else _hash(piece)
                    into.documents += document
                    written = self.file.write(name + b"\t" + piece.encode() + b"\n")
                    into.starts.append(self.size)
                    self.size += written
                    into.ends.append(self.size - 1)
        self.file.flush()

    def choose(self, held_out: float, most: int | None, seed: int) -> Chosen:
        """Equally many examples of each side, at most `most` of each in training; a share of documents is held out."""
        sides = [self._distinct(side, held_out, seed) for side in SIDES]
        keys = [part["key"] for part in sides]
        both = np.intersect1d(*keys)
        counts = {}
        for place, side in enumerate(SIDES):
            known = self.sides[side]
            alone = ~np.isin(keys[place], both)
            sides[place] = sides[place][alone]
            counts[side] = {
                "documents": known.read,
                "examples": len(known.starts),
                "repeated": len(known.starts) - len(alone),
                "on_both_sides": int((~alone).sum()),
            }
        parts = []
        for name, held, limit in (("training", False, most), ("held_out", True, None)):
            of_part = [side[side["held"] == held] for side in sides]
            n = min(min(map(len, of_part)), limit or 1 << 62)
            taken = np.concatenate([side[:n] for side in of_part])
            good = np.repeat([True, False], n)
            order = np.lexsort((taken["key"], taken["draw"]))
            parts.append(Part(good[order], taken["start"][order], taken["end"][order]))
            for side in SIDES:
                counts[side][name] = n
        return Chosen(*parts, counts)

    def _distinct(self, side: str, held_out: float, seed: int) -> np.ndarray:
        """The different texts of a side by their draw: records of key, draw, held, start, end."""
        known = self.sides[side]
        kinds = [("key", f"S{KEY_BYTES}"), ("draw", "u8"), ("held", "?"), ("start", "i8"), ("end", "i8")]
        rows = np.zeros(len(known.starts), kinds)
        rows["key"] = np.frombuffer(known.texts, f"S{KEY_BYTES}")
        rows["draw"] = draws(_words(known.texts), seed, "example")
        rows["held"] = draws(_words(known.documents), seed, "held out") < np.uint64(below(held_out))
        rows["start"], rows["end"] = known.starts, known.ends
        order = np.lexsort((rows["held"], rows["key"], rows["draw"]))  # a text in documents of both parts is learnt
        rows = rows[order]
        return rows[np.append(True, rows["key"][1:] != rows["key"][:-1])[: len(rows)]]


def _hash(text: str) -> bytes:
    """16 bytes without a zero at the end, which NumPy's byte strings would lose."""
    return hashlib.blake2b(text.encode(), digest_size=KEY_BYTES - 1).digest() + b"."


def _words(keys: bytearray) -> np.ndarray:
    """uint64[n, 2] of hashes."""
    return np.frombuffer(keys, ">u8").reshape(-1, 2).astype(np.uint64)


def read_examples(file: BinaryIO, part: Part, rows: np.ndarray) -> tuple[list[str], list[bytes]]:
    """(ids, lines) of some examples of a part."""
    ids, lines = [], []
    for row in rows.tolist():
        file.seek(part.starts[row])
        id, _, line = file.read(part.ends[row] - part.starts[row]).partition(b"\t")
        ids.append(id.decode())
        lines.append(line)
    return ids, lines
