"""Archives and Parquet files that the tests of the readers make: whole, damaged, hostile."""

from __future__ import annotations

import gzip
import random

TEXT = "the mill grinds slow and fine under an old roof beside water that never stops while corn and people wait"
WORDS = TEXT.split()


def prose(seed: int, words: int = 80) -> str:
    """Some words in an order that the seed decides."""
    draw = random.Random(seed)
    return " ".join(draw.choice(WORDS) for _ in range(words))


def page(i: int) -> bytes:
    """A small page."""
    return f"<html><head><title>{i}</title></head><body><p>Page {i}: {prose(i)}.</p></body></html>".encode()


def http(body: bytes, *headers: bytes, media: bytes = b"text/html", status: bytes = b"200 OK") -> bytes:
    """A response message."""
    lines = [b"HTTP/1.1 " + status, b"Content-Type: " + media, *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def record(kind: str, i: int, block: bytes, media: str = "application/http; msgtype=response", **headers: str) -> bytes:
    """A WARC record."""
    head = {
        "WARC-Type": kind,
        "WARC-Record-ID": f"<urn:uuid:{i:08d}-0000-4000-8000-000000000000>",
        "WARC-Date": "2024-01-02T03:04:05Z",
        "WARC-Target-URI": f"http://a.example/{i}",
        "Content-Type": media,
        "Content-Length": str(len(block)),
    } | {name.replace("_", "-"): value for name, value in headers.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items() if value)
    return b"WARC/1.0\r\n" + lines.encode() + b"\r\n" + block + b"\r\n\r\n"


def archive(pages: int) -> list[bytes]:
    """The records of a small crawl: warcinfo, then a request, a response and metadata for each page."""
    records = [record("warcinfo", 0, b"software: test\r\n", "application/warc-fields")]
    for i in range(1, pages + 1):
        records.append(record("request", 1000 + i, b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"))
        records.append(record("response", i, http(page(i))))
        records.append(record("metadata", 2000 + i, b"fetchTimeMs: 1\r\n", "application/warc-fields"))
    return records


def members(records: list[bytes]) -> list[bytes]:
    """Each record packed on its own, as web archives are."""
    return [gzip.compress(r, 6, mtime=0) for r in records]
