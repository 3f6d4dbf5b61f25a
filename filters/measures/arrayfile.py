"""Arrays in one file that any number of processes map into memory and share: what an index is kept in.

A header of fixed size says which arrays stand where; each starts at a multiple of 64 bytes and is read by `mmap`, so
that opening costs nothing and the pages belong to the machine, not to a worker. The file is written aside and renamed,
so that a reader sees all of it or none; two writers of the same file do no harm, the last one's copy stays. The header
names a digest of everything that the content follows from: a file with another digest, a cut or a foreign one is not
read but built again. The trade-off: integers in this machine's byte order, a file for here and now, no format to keep.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import sys
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

MAGIC = f"gristmill arrays 1 {sys.byteorder}\n".encode()
HEADER = 4096
ALIGN = 64


@dataclass(frozen=True)
class Arrays:
    """Read-only arrays by name, and what was noted with them."""

    meta: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray] = field(repr=False)

    def __getitem__(self, name: str) -> np.ndarray:
        return self.arrays[name]

    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(a.nbytes for a in self.arrays.values())


class ArrayWriter:
    """Write arrays piece by piece, each up to the length announced; then `close` makes the file appear under its name.

    Without a path the arrays are kept in memory. `shape`: name -> (dtype, most elements); what is announced and not
    written takes no space on the disk.
    """

    def __init__(self, path: Path | None, shape: Mapping[str, tuple[Any, int]]):
        self.path, self.pieces, self.places = path, {name: [] for name in shape}, {}
        self.counts = dict.fromkeys(shape, 0)
        self.dtypes = {name: np.dtype(dtype) for name, (dtype, _) in shape.items()}
        at = HEADER
        for name, (_, most) in shape.items():
            self.places[name] = at
            at += -(-most * self.dtypes[name].itemsize // ALIGN) * ALIGN
        self.size = at
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.aside = path.with_name(f".{path.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}")
            self.file = open(self.aside, "wb")  # noqa: SIM115, `close` and `discard` close it

    def append(self, name: str, values: np.ndarray) -> None:
        """The next elements of an array."""
        values = np.ascontiguousarray(values, self.dtypes[name])
        if self.path is None:
            self.pieces[name].append(values)
        else:
            self.file.seek(self.places[name] + self.counts[name] * values.dtype.itemsize)
            self.file.write(values.data)
        self.counts[name] += len(values)

    def close(self, meta: Mapping[str, Any]) -> Arrays:
        """The arrays as readers will have them."""
        if self.path is None:
            return Arrays(dict(meta), {n: _frozen(_joined(p, self.dtypes[n])) for n, p in self.pieces.items()})
        held = {n: [d.str, self.places[n], self.counts[n]] for n, d in self.dtypes.items()}
        head = MAGIC + json.dumps({"meta": dict(meta), "arrays": held, "size": self.size}).encode()
        if len(head) > HEADER:
            raise ValueError(f"{self.path}: {len(head)} bytes of header; at most {HEADER}")
        self.file.truncate(self.size)
        self.file.seek(0)
        self.file.write(head.ljust(HEADER))
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()
        os.replace(self.aside, self.path)
        arrays = read(self.path, meta["digest"])
        assert arrays is not None, self.path
        return arrays

    def discard(self) -> None:
        """Remove what was written; after `close` nothing is left to remove."""
        if self.path is not None:
            self.file.close()
            with contextlib.suppress(FileNotFoundError):
                self.aside.unlink()


def _joined(pieces: list[np.ndarray], dtype: np.dtype) -> np.ndarray:
    return np.concatenate(pieces) if pieces else np.empty(0, dtype)


def _frozen(values: np.ndarray) -> np.ndarray:
    values.flags.writeable = False
    return values


def write(path: Path | None, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Arrays:
    """Arrays that exist already. `meta` is JSON and holds a `digest`."""
    writer = ArrayWriter(path, {name: (values.dtype, len(values)) for name, values in arrays.items()})
    try:
        for name, values in arrays.items():
            writer.append(name, values)
        return writer.close(meta)
    finally:
        writer.discard()


def read(path: Path, digest: str) -> Arrays | None:
    """The arrays of a file, mapped read-only; None where it is missing, damaged, or of another digest."""
    try:
        with open(path, "rb") as file:
            head = file.read(HEADER)
            if not head.startswith(MAGIC):
                return None
            told = json.loads(head[len(MAGIC) :])
            if told["meta"]["digest"] != digest or os.fstat(file.fileno()).st_size != told["size"]:
                return None
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return Arrays(told["meta"], {n: np.frombuffer(data, d, k, at) for n, (d, at, k) in told["arrays"].items()})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def texts_to_arrays(texts: Iterable[str]) -> tuple[np.ndarray, np.ndarray]:
    """(UTF-8 bytes uint8[b], where each text ends int64[n]) of texts."""
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
    return np.frombuffer(b"".join(encoded), np.uint8), np.cumsum([len(e) for e in encoded], dtype=np.int64)


def text_at(data: np.ndarray, ends: np.ndarray, i: int) -> str:
    """The i-th text of `texts_to_arrays`."""
    start = int(ends[i - 1]) if i else 0
    return data[start : int(ends[i])].tobytes().decode("utf-8", "surrogatepass")
