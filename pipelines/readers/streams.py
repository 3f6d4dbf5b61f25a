"""Bytes out of plain, gzip and zstd files, and lines out of bytes, in bounded memory whatever the file holds.

Decompression goes in small steps, so that a bomb cannot unpack gigabytes in one call; a stream that ends before its end
marker is reported as truncated after all that could be read was given. A line longer than the limit is skipped without
being held.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CHUNK = 1 << 20


class Truncated(Exception):
    """The compressed stream ends, or is damaged, before its end marker."""


def chunks(path: str | Path) -> Iterator[bytes]:
    """The unpacked bytes of a file in pieces of about 1 MB. Raises Truncated after the last good piece."""
    name = str(path).lower()
    with open(path, "rb") as file:
        if name.endswith(".gz"):
            yield from _gzip(file)
        elif name.endswith((".zst", ".zstd")):
            yield from _zstd(file)
        else:
            while data := file.read(CHUNK):
                yield data


def _gzip(file) -> Iterator[bytes]:
    unpack, data = zlib.decompressobj(31), b""
    started = False
    while True:
        data = data or file.read(CHUNK)
        if not data:
            if started:
                raise Truncated
            return
        try:
            out = unpack.decompress(data, CHUNK)
        except zlib.error as error:
            if not started and not data.strip(b"\0"):  # padding after the last member, as tar and tape leave it
                data = b""
                continue
            raise Truncated from error
        started = True
        if out:
            yield out
        data = unpack.unconsumed_tail
        if unpack.eof:
            data, unpack, started = unpack.unused_data, zlib.decompressobj(31), False


def _zstd(file) -> Iterator[bytes]:
    import zstandard

    # 512 bytes at a time: zstd has no bound on what one call may give, but needs 4 bytes for each 128 KB of a bomb
    factory = zstandard.ZstdDecompressor(max_window_size=1 << 27)
    unpack, data, started, held, size = factory.decompressobj(), b"", False, [], 0
    while True:
        data = data or file.read(512)
        if not data:
            break
        try:
            out = unpack.decompress(data)
        except zstandard.ZstdError as error:
            if held:
                yield b"".join(held)
            raise Truncated from error
        started = True
        data = b""
        if out:
            held.append(out)
            size += len(out)
            if size >= CHUNK:
                yield b"".join(held)
                held, size = [], 0
        if unpack.eof:
            data, unpack, started = unpack.unused_data, factory.decompressobj(), False
    if held:
        yield b"".join(held)
    if started:
        raise Truncated


@dataclass(frozen=True)
class Line:
    """One line of a file. `data` is None when it is longer than the limit; `cut` marks the tail of a broken stream."""

    number: int
    offset: int
    data: bytes | None
    size: int
    cut: bool = False
    head: bytes = b""  # of a line too long: its first bytes, which stand for it in the key of its ledger row


def lines(path: str | Path, limit: int) -> Iterator[Line]:
    """The lines of a file, without their ends, at most `limit` bytes each; offsets are those of the unpacked stream."""
    number, offset, held, size, head = 0, 0, [], 0, b""
    broken = False
    stream = chunks(path)
    while True:
        try:
            chunk = next(stream)
        except StopIteration:
            break
        except Truncated:
            broken = True
            break
        if number == 0 and offset == 0 and size == 0 and chunk.startswith(b"\xef\xbb\xbf"):
            chunk, offset = chunk[3:], 3
        first, *rest = chunk.split(b"\n")
        for position, piece in enumerate((first, *rest)):
            if position:  # a line end came before this piece
                yield _line(number, offset, held, size, head, limit)
                number, offset, held, size, head = number + 1, offset + size + 1, [], 0, b""
            size += len(piece)
            if size <= limit:
                held.append(piece)
            elif not head:
                head, held = beginning([*held, piece]), []
    if broken:
        yield Line(number, offset, head or beginning(held), size, cut=True)
    elif size:
        yield _line(number, offset, held, size, head, limit)


def beginning(pieces: list[bytes], size: int = 4096) -> bytes:
    """The first bytes of pieces in a row, without joining them all."""
    found = b""
    for piece in pieces:
        found += piece[: size - len(found)]
        if len(found) == size:
            break
    return found


def _line(number: int, offset: int, held: list[bytes], size: int, head: bytes, limit: int) -> Line:
    if size > limit:
        return Line(number, offset, None, size, head=head)
    return Line(number, offset, b"".join(held).removesuffix(b"\r"), size)
