"""Web archives: damage costs the records it hits and no others; bodies are decoded where their headers are true."""

from __future__ import annotations

import gzip
import itertools
import random
import zlib
from pathlib import Path

import brotli
import pytest
import zstandard
from road_archives import archive, http, members, page, prose, record
from road_read import read
from warcio.archiveiterator import ArchiveIterator

KINDS = ["x.warc", "x.warc.gz"]
PAGES = 8


def pieces_of(file: str) -> list[bytes]:
    records = archive(PAGES)
    return members(records) if file.endswith(".gz") else records


def bounds_of(pieces: list[bytes]) -> list[int]:
    return list(itertools.accumulate(map(len, pieces), initial=0))


def id_of(number: int) -> str:
    """The id of record `number` of `archive`, where it is a page."""
    return f"<urn:uuid:{(number + 1) // 3:08d}-0000-4000-8000-000000000000>"


PAGE_NUMBERS = [2 + 3 * i for i in range(PAGES)]


@pytest.mark.parametrize("file", KINDS)
def test_whole(tmp_path, file):
    path = tmp_path / file
    path.write_bytes(b"".join(pieces_of(file)))
    found = read(path)
    assert found.damaged == []
    assert found.skipped == {"warcinfo": 1, "request": PAGES, "metadata": PAGES}
    bounds = bounds_of(pieces_of(file))
    for number, document in zip(PAGE_NUMBERS, found.documents, strict=True):
        assert document["record"] == number
        assert document["offset"] == bounds[number]
        assert document["id"] == id_of(number)
        assert document["text"] == page((number + 1) // 3).decode()
        assert (document["date"], document["media"]) == ("2024-01-02T03:04:05Z", "text/html")


@pytest.mark.parametrize("file", KINDS)
def test_cut_anywhere(tmp_path, file):
    """One truncated row, or none where a record ends; all records before the cut are read."""
    pieces = pieces_of(file)
    data, bounds = b"".join(pieces), bounds_of(pieces)
    path = tmp_path / file
    points = {*bounds, *(b + d for b in bounds for d in (-5, -3, -1, 1, 2, 9, 30)), *range(0, len(data), 97)}
    for cut in sorted(p for p in points if 0 <= p <= len(data)):
        path.write_bytes(data[:cut])
        found = read(path)
        whole = sum(b <= cut for b in bounds) - 1
        # the line ends after a record and its check sum belong to it, but a file that lacks only them has lost nothing
        spare = cut not in bounds and bounds[whole + 1] - cut <= (4 if file == "x.warc" else 11)
        assert len(found.documents) == sum(n < whole + spare for n in PAGE_NUMBERS), cut
        if cut in bounds or (spare and file == "x.warc"):
            assert found.damaged == [], cut
        else:
            # of a request or a check sum the row stands after the record
            after = spare or whole not in PAGE_NUMBERS
            assert found.rules in ([(whole, "truncated")], [(whole + after, "truncated")]), cut
        skipped = sum(n < whole + spare for n in range(len(pieces)) if n not in PAGE_NUMBERS)
        assert skipped <= sum(found.skipped.values()) <= skipped + 1


def test_flipped_bits_in_packed_records(tmp_path):
    """Every other record is read, with its number and offset; the damaged one is one row.

    Of records that are no documents only the head is looked at.
    """
    pieces = pieces_of("x.warc.gz")
    data, bounds = b"".join(pieces), bounds_of(pieces)
    path = tmp_path / "x.warc.gz"
    path.write_bytes(data)
    whole = {d["id"]: d for d in read(path).documents}
    draw = random.Random(4)
    silent = 0
    for at in draw.sample(range(len(data)), 250):
        damaged = bytearray(data)
        damaged[at] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        found = read(path)
        hit = sum(b <= at for b in bounds) - 1
        assert len(found.damaged) <= 1
        if not found.damaged:
            assert at - bounds[hit] < 10 or hit not in PAGE_NUMBERS, "all but a member's header meets its check sum"
            silent += 1
        mine = {d["id"]: d for d in found.documents}
        assert mine.keys() >= {id_of(n) for n in PAGE_NUMBERS if n != hit}
        assert all(d["text"] == whole[id]["text"] for id, d in mine.items())
        assert all(d["offset"] == whole[id]["offset"] for id, d in mine.items())
        # one damaged row stands for the record, wherever in it the damage lies
        assert len(found.records) + sum(found.skipped.values()) == len(pieces)
        assert len(set(found.records)) == len(found.records)
        assert all(d["record"] == whole[id]["record"] for id, d in mine.items())
    assert silent < 20


def test_flipped_bits_in_plain_records(tmp_path):
    """There is no check sum: text may change, but no record beside the damaged one is lost, and no number repeats."""
    pieces = pieces_of("x.warc")
    data, bounds = b"".join(pieces), bounds_of(pieces)
    path = tmp_path / "x.warc"
    draw = random.Random(5)
    for at in draw.sample(range(len(data)), 250):
        damaged = bytearray(data)
        damaged[at] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        found = read(path)
        hit = sum(b <= at for b in bounds) - 1
        assert {d["id"] for d in found.documents} >= {id_of(n) for n in PAGE_NUMBERS if n != hit}
        assert all(d["offset"] in bounds for d in found.documents if d["id"] in map(id_of, PAGE_NUMBERS))
        assert len(set(found.records)) == len(found.records)
        assert len(found.damaged) <= 2


@pytest.mark.parametrize("file", KINDS)
def test_a_stretch_of_nothing(tmp_path, file):
    """Zeros over several records, as a lost block of a disk leaves them: what stands after them is found again."""
    pieces = pieces_of(file)
    bounds = bounds_of(pieces)
    data = bytearray(b"".join(pieces))
    start, end = bounds[7] + 20, bounds[13] + 20
    data[start:end] = bytes(end - start)
    path = tmp_path / file
    path.write_bytes(data)
    found = read(path)
    assert {d["id"] for d in found.documents} >= {id_of(n) for n in PAGE_NUMBERS if not 7 <= n <= 13}
    assert {d["offset"] for d in found.documents} <= set(bounds)
    assert 1 <= len(found.damaged) <= 2


def test_no_archive_at_all(tmp_path):
    for file in KINDS:
        path = tmp_path / file
        path.write_bytes(prose(1).encode())
        assert [rule for _, rule in read(path).rules] == ["truncated"]
    path.write_bytes(gzip.compress(prose(1).encode()))
    assert [rule for _, rule in read(path).rules] == ["truncated"]


@pytest.mark.parametrize("name", ["cc-sample-2", "dolma-sample-0000", "pywb-dupes", "pywb-example-wget-1-14"])
def test_damage_in_real_archives(shared_data, tmp_path, name):
    """Every record whose bytes were not touched is read as before."""
    data = (shared_data / "web" / "warc" / f"{name}.warc.gz").read_bytes()
    path = tmp_path / "x.warc.gz"
    path.write_bytes(data)
    starts = offsets(path)
    before = {d["offset"]: d["text"] for d in read(path).documents}
    draw = random.Random(6)
    for at in draw.sample(range(len(data)), 6):
        damaged = bytearray(data)
        damaged[at : at + 40] = draw.randbytes(len(damaged[at : at + 40]))
        path.write_bytes(damaged)
        found = read(path)
        after = {d["offset"]: d["text"] for d in found.documents}
        first, last = (max(s for s in starts if s <= p) for p in (at, min(at + 39, len(data) - 1)))
        assert {o: t for o, t in before.items() if not first <= o <= last} == {
            o: t for o, t in after.items() if not first <= o <= last
        }
        assert found.damaged
        assert len(set(found.records)) == len(found.records)


def offsets(path: Path) -> list[int]:
    """Where the records of a packed archive begin, by another reader."""
    found = []
    with open(path, "rb") as file:
        records = ArchiveIterator(file)
        for _ in records:
            found.append(records.get_record_offset())
            records.read_to_end()
    return found


# -- what a response holds -------------------------------------------------------------------------------------------

BODY = page(1) * 3


def chunked(body: bytes, size: int = 100, end: bytes = b"0\r\n\r\n") -> bytes:
    chunks = [body[i : i + size] for i in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in chunks) + end


def deflated(body: bytes, bits: int) -> bytes:
    pack = zlib.compressobj(wbits=bits)
    return pack.compress(body) + pack.flush()


RESPONSES = {
    "as it is": http(BODY),
    "gzip": http(gzip.compress(BODY), b"Content-Encoding: gzip"),
    "x-gzip": http(gzip.compress(BODY), b"content-encoding: X-GZIP"),
    "deflate": http(deflated(BODY, -15), b"Content-Encoding: deflate"),
    "zlib": http(deflated(BODY, 15), b"Content-Encoding: deflate"),
    "br": http(brotli.compress(BODY), b"Content-Encoding: br"),
    "zstd": http(zstandard.ZstdCompressor().compress(BODY), b"Content-Encoding: zstd"),
    "chunked": http(chunked(BODY), b"Transfer-Encoding: chunked"),
    "chunked with extensions": http(chunked(BODY).replace(b"64\r\n", b"64;a=b\r\n"), b"Transfer-Encoding: chunked"),
    "chunked without end": http(chunked(BODY, end=b""), b"Transfer-Encoding: chunked"),
    "chunked and gzip": http(chunked(gzip.compress(BODY)), b"Transfer-Encoding: chunked", b"Content-Encoding: gzip"),
    "not chunked after all": http(BODY, b"Transfer-Encoding: chunked"),
    "not gzip after all": http(BODY, b"Content-Encoding: gzip"),
    "not br after all": http(BODY, b"Content-Encoding: br"),
    "not deflate after all": http(BODY, b"Content-Encoding: deflate"),
    "an unknown coding": http(BODY, b"Content-Encoding: rot13"),
    "line ends of Unix": http(BODY).replace(b"\r\n", b"\n"),
    "no media type": http(BODY, media=b""),
    "a wrong media type": http(BODY, media=b"application/octet-stream"),
    "no message": BODY,
}


@pytest.mark.parametrize("name", RESPONSES)
def test_bodies(tmp_path, name):
    path = tmp_path / "x.warc"
    path.write_bytes(record("response", 1, RESPONSES[name]) + record("response", 2, http(page(2))))
    found = read(path)
    assert found.damaged == []
    assert found.texts == [BODY.decode(), page(2).decode()]


def test_damaged_bodies_do_not_end_the_file(tmp_path):
    """Whatever a body's header promises and its bytes hold, it is a document or a row."""
    draw = random.Random(7)
    packers = {
        b"gzip": gzip.compress,
        b"deflate": zlib.compress,
        b"br": brotli.compress,
        b"zstd": zstandard.ZstdCompressor().compress,
    }
    records = []
    for coding, pack in packers.items():
        packed = pack(BODY)
        for cut in draw.sample(range(len(packed)), 8):
            records.append(http(packed[:cut], b"Content-Encoding: " + coding))
            flipped = bytearray(packed)
            flipped[cut] ^= 0xFF
            records.append(http(bytes(flipped), b"Content-Encoding: " + coding))
    path = tmp_path / "x.warc"
    path.write_bytes(b"".join(record("response", i, block) for i, block in enumerate(records)))
    found = read(path)
    assert found.records == list(range(len(records)))


def test_rules_of_responses(tmp_path):
    records = [
        (record("response", 1, http(BODY, status=b"404 Not Found")), "http_status"),
        (record("response", 2, http(BODY, status=b"301 Moved")), "http_status"),
        (record("response", 3, http(b"")), "empty"),
        (record("response", 4, http(b"\x89PNG", media=b"image/png")), "media"),
        (record("response", 5, http(b"%PDF-1.4", media=b"")), "media"),
        (record("response", 6, b"HTTP/1.1 200 OK"), "empty"),
        (record("revisit", 7, http(b"")), "revisit"),
        (record("response", 8, http(BODY * 40)), "too_large"),
        (record("response", 9, http(gzip.compress(BODY * 40), b"Content-Encoding: gzip")), "too_large"),
        (record("response", 10, http(brotli.compress(BODY * 40), b"Content-Encoding: br")), "too_large"),
    ]
    path = tmp_path / "x.warc"
    path.write_bytes(b"".join(r for r, _ in records))
    found = read(path, max_record_bytes=20_000)
    assert found.rules == [(i, rule) for i, (_, rule) in enumerate(records)]
    assert [d.value for d in found.damaged][:2] == [404, 301]
    assert [d.id for d in found.damaged] == [
        f"<urn:uuid:{i:08d}-0000-4000-8000-000000000000>" for i in range(1, len(records) + 1)
    ]


def test_other_kinds_of_documents(tmp_path):
    path = tmp_path / "x.warc.wet"
    blocks = [
        record("conversion", 1, prose(1).encode(), "text/plain", WARC_Identified_Content_Language="eng,deu"),
        record("resource", 2, page(2), "text/html"),
        record("resource", 3, b"a,b\n", "text/csv"),
        record("conversion", 4, "Grüße".encode("latin-1"), "text/plain; charset=iso-8859-1"),
        record("conversion", 5, "Привет, как дела? Всё хорошо".encode("windows-1251"), "text/plain"),
    ]
    path = path.with_suffix("")
    path.write_bytes(b"".join(blocks))
    found = read(path)
    assert found.texts[:3] == [prose(1), page(2).decode(), "Grüße"]
    assert "Привет" in found.texts[3]
    assert [d["media"] for d in found.documents] == ["text/plain", "text/html", "text/plain", "text/plain"]
    assert '"warc_language":"eng,deu"' in found.documents[0]["metadata"]
    assert found.rules == [(2, "media")]


def test_addresses_in_brackets(tmp_path):
    path = tmp_path / "x.warc"
    path.write_bytes(record("response", 1, http(BODY), WARC_Target_URI="<http://a.example/b>"))
    assert read(path).documents[0]["url"] == "http://a.example/b"
