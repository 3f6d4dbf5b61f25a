"""WARC and WET, plain or with gzip a record: responses, resources and conversions become documents.

FastWARC finds the records; we check that each block is whole and parse the HTTP message ourselves, since one wrong
header ("chunked" on a decoded body) would otherwise end the file. After damage the next record start is searched for:
a gzip member that unpacks to "WARC/", or that word at the start of a line. Requests, metadata and the like are counted,
not ledgered. A record's number is its place among all records of the file; its offset is the byte where it starts.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from typing import Any

from ...document import json_text
from .batches import Part, PartBuilder
from .http import TooLarge, content_type, parse

TEXT_MEDIA = {"text/html": "text/html", "application/xhtml+xml": "text/html", "text/plain": "text/plain"}
DOCUMENTS = ("response", "resource", "conversion")
_SNIFF = re.compile(rb"\s*(?:\xef\xbb\xbf)?(?:<!doctype html|<html|<head|<body)", re.I)
_TOKEN = re.compile(r"[A-Za-z0-9_.-]{1,40}")
_MAGIC = {True: re.compile(rb"\x1f\x8b\x08"), False: re.compile(rb"(?<=\n)WARC/[01]\.")}


def read(unit: dict[str, Any]) -> Iterator[Part]:
    """Parts of the archive of a unit of input."""
    build = PartBuilder(unit["source"])
    limit = unit["max_record_bytes"]
    for number, offset, record, data in _records(unit["path"], limit):
        if record is None:
            build.reject(number, data, f"{offset}".encode())
        else:
            _record(build, number, offset, record, data, limit)
        if build.full:
            yield build.take()
    yield build.take()


def _records(path: str, limit: int) -> Iterator[tuple[int, int, Any, Any]]:
    """(number, offset, FastWARC record, its block or None), or (number, offset, None, ledger rule) for a stretch of
    damage.

    The block is None for records that are no documents, and for those longer than `limit`.
    """
    from fastwarc.warc import ArchiveIterator

    packed = path.lower().endswith(".gz")
    number, start, last = 0, 0, 0
    hurt, short = False, False  # inside damage that has no row yet; the last block was cut off, and its row says so
    while True:
        with open(path, "rb") as file:
            file.seek(start)
            try:
                for record in ArchiveIterator(file, parse_http=False):
                    if not _has_head(record):  # FastWARC makes a record of what lies between records
                        last, hurt = record.stream_pos, True
                        continue
                    if hurt:
                        yield number, last, None, "damaged"
                        number, hurt = number + 1, False
                    last = record.stream_pos  # of the file, wherever it was opened
                    wanted = _kind(record) in DOCUMENTS and record.content_length <= limit
                    data = record.reader.read() if wanted else None
                    short = data is not None and len(data) < record.content_length
                    yield number, last, record, data
                    number += 1
            except OSError as error:
                if error.errno is not None:  # the disk's trouble, not the archive's
                    raise
                hurt = True
        if not hurt:
            if not short and _cut_off(path, last, packed):
                yield number, last, None, "truncated"
            return
        following = _next_start(path, max(start, last) + 1, packed)
        if following is None:
            yield number, last, None, "truncated"
            return
        start = following


def _has_head(record: Any) -> bool:
    """Whether it says what it is and how long; a kind that nobody knows is allowed (WARC 1.1, section 5.5)."""
    return bool(_TOKEN.fullmatch(record.headers.get("WARC-Type", ""))) and "Content-Length" in record.headers


def _kind(record: Any) -> str:
    return str(record.record_type).rpartition(".")[2]


def _cut_off(path: str, last: int, packed: bool) -> bool:
    """Whether the file goes on after its last whole record with the beginning of another (FastWARC ends silently)."""
    with open(path, "rb") as file:
        file.seek(last)
        if not packed:
            tail = file.read(1 << 16)
            length = re.search(rb"(?im)^content-length:\s*(\d+)", tail)
            head = re.search(rb"\r?\n\r?\n", tail)
            if not length or not head:
                return bool(tail.strip())
            end = last + head.end() + int(length[1])
            file.seek(0, 2)
            if file.tell() < end:
                return True
            file.seek(end)
            return bool(file.read(1 << 16).strip())
        data, unpack = b"", zlib.decompressobj(31)
        fresh = True
        while data or (data := file.read(1 << 20)):
            try:
                unpack.decompress(data, 1 << 20)
            except zlib.error:
                return True
            fresh = False
            data = unpack.unconsumed_tail
            if unpack.eof:
                data, unpack, fresh = unpack.unused_data, zlib.decompressobj(31), True
        return not fresh


def _next_start(path: str, start: int, packed: bool) -> int | None:
    """Where the next record begins at or after `start`."""
    with open(path, "rb") as file:
        file.seek(start)
        base, data = start, b""
        while chunk := file.read(1 << 20):
            data += chunk
            for match in _MAGIC[packed].finditer(data):
                at = base + match.start()
                if not packed or _opens_record(path, at):
                    return at
            keep = 8  # a mark may lie across two chunks
            base, data = base + len(data) - keep, data[-keep:]
    return None


def _opens_record(path: str, at: int) -> bool:
    with open(path, "rb") as file:
        file.seek(at)
        try:
            return zlib.decompressobj(31).decompress(file.read(4096), 5) == b"WARC/"
        except zlib.error:
            return False


def _record(build: PartBuilder, number: int, offset: int, record: Any, data: bytes | None, limit: int) -> None:
    kind, id, size = _kind(record), record.record_id or None, record.content_length
    if kind == "revisit":
        build.reject(number, "revisit", (id or "").encode(), id=id)
        return
    if kind not in DOCUMENTS:
        build.skipped[kind] += 1
        return
    if data is None:
        build.reject(number, "too_large", (id or str(number)).encode(), value=size, threshold=limit, id=id)
        return
    if len(data) < size:
        build.reject(number, "truncated", data, value=len(data), threshold=size, id=id)
        return
    try:
        status, media, charset, body = _content(kind == "response", record.headers, data, limit)
    except TooLarge:
        build.reject(number, "too_large", data, threshold=limit, id=id)
        return
    if status is not None and not 200 <= status < 300:
        build.reject(number, "http_status", data, value=status, id=id)
        return
    if not body:
        build.reject(number, "empty", data, id=id)
        return
    if media is None or media not in TEXT_MEDIA:
        if not _SNIFF.match(body):
            build.reject(number, "media", data, detail=json_text({"found": media or "unknown"}), id=id)
            return
        media = "text/html"
    headers = record.headers
    fields = {"url": headers.get("WARC-Target-URI", "").strip("<>") or None, "date": headers.get("WARC-Date")}
    if language := headers.get("WARC-Identified-Content-Language"):
        fields["warc_language"] = language
    build.add(number, _text(body, charset, media), fields, id=id, offset=offset, media=TEXT_MEDIA[media])


def _content(http: bool, headers: Any, data: bytes, limit: int) -> tuple[int | None, str | None, str | None, bytes]:
    declared, charset = content_type(headers.get("Content-Type", ""))
    if http and (declared is None or declared == "application/http" or data.startswith(b"HTTP/")):
        response = parse(data, limit)
        return response.status, response.media, response.charset, response.body
    return None, declared, charset, data


def _text(body: bytes, charset: str | None, media: str) -> str:
    """Decoded text: the declared charset where it fits, else what the bytes look like. Never fails."""
    from resiliparse.parse.encoding import bytes_to_str, detect_encoding

    for name in (charset, "utf-8"):
        try:
            if name:
                return body.decode(name)
        except (UnicodeDecodeError, LookupError, ValueError):
            continue
    return bytes_to_str(body, detect_encoding(body, from_html_meta=media == "text/html"))
