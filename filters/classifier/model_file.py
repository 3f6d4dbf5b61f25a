"""A fastText model file (`.bin`, `.ftz`), read as data: settings, dictionary and matrices, the last as memory maps.

The library's own loader trusts what it reads and takes the whole file into memory; models come from strangers, and
folding (`folded.py`) needs each row once. The layout is that of fastText 0.9 (`fasttext.cc`, `dictionary.cc`,
`args.cc`, MIT): little-endian; magic and version; twelve integers and a double; counts; the entries, each a word ended
by NUL, an int64 count and a byte that tells words from labels; pairs of pruned buckets; two matrices, each behind a
byte that tells whether it is quantised. Quantised matrices are left to the library.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

PREFIX = "__label__"

MAGIC, VERSIONS = 793712314, (11, 12)
HIERARCHICAL, NEGATIVE, SOFTMAX, ONE_VS_ALL = 1, 2, 3, 4  # losses
SUPERVISED = 3
LONGEST = 100  # run of words or characters that is believed


class BadModel(ValueError):
    """The file is no fastText model that classifies; the message says why and quotes nothing of the file."""


@dataclass(frozen=True)
class ModelFile:
    """What a file says. `inputs` and `outputs` are None where the library has to read them."""

    path: Path
    word_ngrams: int  # longest run of words; 1 is words alone
    loss: int
    buckets: int  # that runs of words and of characters are hashed into
    characters: tuple[int, int]  # shortest and longest run of characters in a word; (_, 0) is none
    words: int
    labels: tuple[str, ...]  # without their prefix, in the order of the output rows
    entries: np.ndarray  # uint8[bytes] of the dictionary's words: word, NUL, 9 bytes
    inputs: np.ndarray | None  # float32[words + buckets, dimension]
    outputs: np.ndarray | None  # float32[labels, dimension]


def read(path: str | Path) -> ModelFile:
    """The model of a file. Raises BadModel, or OSError where the file cannot be opened."""
    with open(path, "rb") as file:
        try:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:
            raise BadModel("the file is empty") from None
    try:
        return _parse(Path(path), data)
    except struct.error:
        raise BadModel("the file ends too early") from None


def _parse(path: Path, data: mmap.mmap) -> ModelFile:
    magic, version = struct.unpack_from("<ii", data)
    if magic != MAGIC or version not in VERSIONS:
        raise BadModel("not a fastText model, or of an unknown version")
    _, _, _, _, _, ngrams, loss, kind, buckets, shortest, longest, _ = struct.unpack_from("<12i", data, 8)
    if kind != SUPERVISED:
        raise BadModel("a model of word vectors, not one that classifies")
    size, words, labels, _, pruned = struct.unpack_from("<iiiqq", data, 64)
    if not 0 <= ngrams <= LONGEST or longest > LONGEST:
        raise BadModel("its counts make no sense")
    if words < 0 or labels < 1 or size != words + labels or buckets < 0 or loss not in range(1, 5):
        raise BadModel("its counts make no sense")
    start = at = 64 + 28
    ends, names = start, []
    for entry in range(size):
        end = data.find(b"\0", at)
        if end < 0 or end + 10 > len(data):
            raise BadModel("the file ends too early")
        if (data[end + 9] != 0) != (entry >= words):
            raise BadModel("its dictionary does not list words before labels")
        if entry >= words:
            names.append(data[at:end].decode("utf-8", "replace").removeprefix(PREFIX))
        at = end + 10
        ends = at if entry < words else ends
    if version == VERSIONS[0]:  # whose supervised models have no runs of characters, whatever they say
        longest = 0
    buckets = 0 if pruned == 0 or (ngrams <= 1 and longest <= 0) else buckets
    entries = np.frombuffer(data, np.uint8, ends - start, start)
    inputs = outputs = None
    if pruned <= 0 and loss != HIERARCHICAL:
        inputs, at = _matrix(data, at)
        if inputs is not None:
            outputs, at = _matrix(data, at)
    if outputs is not None:
        if len(inputs) < words + buckets or len(outputs) != labels or inputs.shape[1] != outputs.shape[1]:
            raise BadModel("its matrices do not fit its counts")
    else:
        inputs = None
    return ModelFile(path, ngrams, loss, buckets, (shortest, longest), words, tuple(names), entries, inputs, outputs)


def _matrix(data: mmap.mmap, at: int) -> tuple[np.ndarray | None, int]:
    """(float32[rows, columns] or None for a quantised one, where it ends)."""
    quantised, rows, columns = struct.unpack_from("<?qq", data, at)
    if quantised:
        return None, at
    at += 17
    if rows < 0 or columns < 1 or rows * columns * 4 > len(data) - at:
        raise BadModel("the file ends too early")
    return np.frombuffer(data, "<f4", rows * columns, at).reshape(rows, columns), at + rows * columns * 4
