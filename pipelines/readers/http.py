"""An HTTP response as archived: its status, its media type, its body decoded, tolerant of headers that do not tell
the truth.

Archives hold bodies whose headers say "chunked" or "gzip" though the crawler stored them decoded; the body is taken
as it is when it does not decode. A body that unpacks past the limit is refused (RFC 9112 for the message format).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

STEP = 4 << 20
_CHUNK = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?\r?\n")


class TooLarge(Exception):
    """A body that unpacks to more than the limit."""


@dataclass(frozen=True)
class Response:
    """A parsed response; `media` is lower case without parameters, `charset` None where none is named."""

    status: int | None
    media: str | None
    charset: str | None
    body: bytes


def parse(data: bytes, limit: int) -> Response:
    """The response in a WARC record's block. Data that is no HTTP message is a body without a status."""
    head, body = _split(data)
    if head is None:
        return Response(None, None, None, data)
    first, *rest = head.split(b"\n")
    parts = first.split(None, 2)
    status = int(parts[1]) if len(parts) > 1 and parts[1].isdigit() else None
    headers: dict[bytes, bytes] = {}
    for line in rest:
        name, colon, value = line.partition(b":")
        if colon:
            headers.setdefault(name.strip().lower(), value.strip())
    media, charset = content_type(headers.get(b"content-type", b"").decode("latin-1"))
    if b"chunked" in headers.get(b"transfer-encoding", b"").lower():
        body = _unchunk(body)
    return Response(status, media, charset, _unpack(body, headers.get(b"content-encoding", b"").lower(), limit))


def content_type(value: str) -> tuple[str | None, str | None]:
    """(media type, charset) of a Content-Type header."""
    media, _, parameters = value.partition(";")
    found = re.search(r"charset\s*=\s*[\"']?([^\s\"';,]+)", parameters, re.I)
    return media.strip().lower() or None, found[1] if found else None


def _split(data: bytes) -> tuple[bytes | None, bytes]:
    if not data.startswith(b"HTTP/"):
        return None, data
    ends = [(at, len(mark)) for mark in (b"\r\n\r\n", b"\n\n") if (at := data.find(mark, 0, 1 << 18)) >= 0]
    if not ends:
        return data.rstrip(), b""
    at, length = min(ends)
    return data[:at], data[at + length :]


def _unchunk(body: bytes) -> bytes:
    """The joined chunks, or the body itself when it is not chunked after all; a cut-off tail gives what there is."""
    pieces, at = [], 0
    while match := _CHUNK.match(body, at):
        size = int(match[1], 16)
        if size == 0:
            return b"".join(pieces)
        start = match.end()
        pieces.append(body[start : start + size])
        at = start + size
        at += 2 if body[at : at + 2] == b"\r\n" else 1 if body[at : at + 1] == b"\n" else 0
    return b"".join(pieces) if pieces and at >= len(body) else body


def _unpack(body: bytes, encoding: bytes, limit: int) -> bytes:
    """The body decoded, in steps: no library bounds what it gives in one call unless it is asked for a piece."""
    try:
        if encoding in (b"gzip", b"x-gzip") and body[:2] == b"\x1f\x8b":
            return _joined(_inflate(body, 31), limit)
        if encoding == b"deflate":
            return _joined(_inflate(body, 15 if body[:1] == b"\x78" else -15), limit)
        if encoding == b"zstd" and body[:4] == b"\x28\xb5\x2f\xfd":
            return _joined(_unzstd(body), limit)
        if encoding == b"br":
            return _joined(_unbrotli(body), limit)
    except NotEncoded:
        pass
    return body


class NotEncoded(Exception):
    """A body that is not what its header says."""


def _joined(pieces: Iterator[bytes], limit: int) -> bytes:
    held, size = [], 0
    for piece in pieces:
        size += len(piece)
        if size > limit:
            raise TooLarge
        held.append(piece)
    return b"".join(held)


def _inflate(body: bytes, wbits: int) -> Iterator[bytes]:
    unpack = zlib.decompressobj(wbits)
    try:
        while (piece := unpack.decompress(body, STEP)) or unpack.unconsumed_tail:
            yield piece
            body = unpack.unconsumed_tail
    except zlib.error:
        raise NotEncoded from None


def _unzstd(body: bytes) -> Iterator[bytes]:
    import zstandard

    try:
        with zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(body) as reader:
            while piece := reader.read(STEP):
                yield piece
    except zstandard.ZstdError:
        raise NotEncoded from None


def _unbrotli(body: bytes) -> Iterator[bytes]:
    import brotli

    unpack = brotli.Decompressor()
    try:
        yield unpack.process(body, output_buffer_limit=STEP)
        while not unpack.can_accept_more_data():
            yield unpack.process(b"", output_buffer_limit=STEP)
    except brotli.error:
        raise NotEncoded from None
