"""Damaged and hostile lines and packed streams: each bad record is one row, the rest of the file is read."""

from __future__ import annotations

import gzip
import json
import random
import zlib

import pytest
import zstandard
from gristmill.document import damaged_key
from gristmill.pipelines.readers.jsonl import MAX_DEPTH
from gristmill.pipelines.readers.streams import chunks, lines
from hypothesis import given
from hypothesis import strategies as st
from road_read import read, write

PACKED = ["x.jsonl", "x.jsonl.gz", "x.jsonl.zst"]


def good(i: int) -> bytes:
    return json.dumps({"id": f"d{i}", "text": f"text {i} " + "word " * (i % 7)}).encode()


# -- lines -----------------------------------------------------------------------------------------------------------

BAD = {
    "not UTF-8": (b'{"text": "caf\xe9"}', "utf8"),
    "a surrogate as UTF-8": (b'{"text": "\xed\xa0\x80"}', "utf8"),
    "UTF-16": ('{"text": "a"}'.encode("utf-16"), "utf8"),
    "binary": (bytes(range(128, 256)), "utf8"),
    "cut off": (b'{"text": "a', "json"),
    "two values": (b'{"text": "a"} {"text": "b"}', "json"),
    "no JSON": (b"text", "json"),
    "single quotes": (b"{'text': 'a'}", "json"),
    "trailing comma": (b'{"text": "a",}', "json"),
    "a control character": (b'{"text": "a\x01b"}', "json"),
    "NaN": (b'{"text": "a", "score": NaN}', "json"),
    "Infinity": (b'{"text": "a", "score": -Infinity}', "json"),
    "beyond a double": (b'{"text": "a", "score": 1e999}', "json"),
    "10,000 digits": (b'{"text": "a", "n": ' + b"9" * 10_000 + b"}", "json"),
    "a lone surrogate": (b'{"text": "\\ud800"}', "json"),
    "a lone surrogate in a key": (b'{"text": "a", "\\udfff": 1}', "json"),
    "an array": (b'["text"]', "json"),
    "a string": (b'"text"', "json"),
    "null": (b"null", "json"),
    "100,000 brackets": (b'{"text": "a", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "json"),
    "100,000 open braces": (b'{"a":' * 100_000, "json"),
    "too deep": (b'{"text": "a", "x": ' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}", "json"),
    "no text": (b'{"id": "a"}', "schema"),
    "a number for text": (b'{"id": "a", "text": 1}', "schema"),
    "null for text": (b'{"id": "a", "text": null}', "schema"),
    "a list for text": (b'{"id": "a", "text": ["a"]}', "schema"),
    "the wrong case": (b'{"id": "a", "Text": "a"}', "schema"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("file", PACKED)
def test_one_bad_line(tmp_path, file, name):
    line, rule = BAD[name]
    found = read(write(tmp_path / file, b"\n".join([good(0), line, good(2), b""])))
    assert [d["id"] for d in found.documents] == ["d0", "d2"]
    if name == "UTF-16":  # whose line ends are others
        assert found.rules[0] == (1, rule)
        return
    assert found.rules == [(1, rule)]
    assert found.damaged[0].key == damaged_key(line)
    detail = json.loads(found.damaged[0].detail or "{}")
    assert detail.get("found", "nothing") in ("nothing", "list", "str", "int", "NoneType"), "details quote no record"


def test_where_utf8_breaks_is_told(tmp_path):
    line = b'{"id": "caf\xc3\xa9", "text": "caf\xe9"}'
    (row,) = read(write(tmp_path / "x.jsonl", line)).damaged
    assert row.value == line.index(b"\xe9")


def test_what_is_odd_but_whole(tmp_path):
    data = [
        b'{"text": "first", "text": "last"}',  # the last of two equal keys counts, as in Python
        b'{"text": "\\ud83d\\ude00 \\u0000"}',
        b'{"text": ""}',
        b'{"text": "a", "id": 7}',
        b'{"text": "a", "id": null}',
        b'{"text": "a", "id": ""}',
        b'{"text": "a", "id": {"b": [1]}}',
        b' \t{"text": "spaces"} ',
        b'{"text": "a", "n": 123456789012345678901234567890, "f": 1e-400}',
        b'{"text": "a", "x": ' + b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1) + b"}",
        b'{"text": "' + b"[" * 500 + b'", "x": 1}',
        b'{"text": "a", "url": 1, "date": ["x"], "language": "en"}',
    ]
    found = read(write(tmp_path / "x.jsonl", b"\n".join(data)))
    assert found.damaged == []
    assert found.texts[:3] == ["last", "😀 \0", ""]
    ids = [d["id"] for d in found.documents]
    assert ids[3] == "7"
    assert ids[4] == ids[5] == found.documents[4]["key"].hex(), "a record without an id is called by its key"
    assert ids[6] == '{"b":[1]}'
    last = found.documents[-1]
    assert (last["url"], last["date"], last["language"]) == (None, None, "en")
    assert json.loads(last["metadata"]) == {"url": 1, "date": ["x"]}, "what is no text stays in the metadata"


def test_bad_depth_is_the_same_on_any_stack(tmp_path):
    """The verdict must not depend on how deep the caller's own stack is."""
    depths = [20, MAX_DEPTH - 1, MAX_DEPTH, 300, 480, 700, 900, 990, 2000]
    data = [b'{"text": "a", "x": ' + b"[" * n + b"]" * n + b"}" for n in depths]
    path = write(tmp_path / "x.jsonl", b"\n".join(data))

    def deeper(frames: int):
        return read(path) if frames == 0 else deeper(frames - 1)

    shallow, deep = deeper(0), deeper(400)
    assert [d["record"] for d in shallow.documents] == [0, 1]
    assert shallow == deep


@pytest.mark.parametrize("file", PACKED)
@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"\n\n\n"])
def test_blank_lines_line_ends_and_a_byte_order_mark(tmp_path, file, end):
    data = b"\xef\xbb\xbf" + good(0) + b"\r\n\r\n" + good(2) + b"\n \t \n\n" + good(5) + end
    found = read(write(tmp_path / file, data))
    assert found.damaged == []
    assert [(d["id"], d["record"]) for d in found.documents] == [("d0", 0), ("d2", 2), ("d5", 5)]
    if file == "x.jsonl":
        for document in found.documents:
            assert data[document["offset"] :].startswith(good(document["record"]))
    else:
        assert all(d["offset"] is None for d in found.documents)


@pytest.mark.parametrize("file", [*PACKED, "x.txt", "x.txt.gz", "x.md.zst"])
@pytest.mark.parametrize("data", [b"", b"\n", b"\n\n"])
def test_nothing_in_it(tmp_path, file, data):
    found = read(write(tmp_path / file, data))
    if ".jsonl" in file:
        assert found.records == []
    else:
        assert found.texts == [data.decode()]  # which is dropped as empty further on


@pytest.mark.parametrize("file", ["x.jsonl.gz", "x.jsonl.zst", "x.warc", "x.warc.gz", "x.parquet"])
def test_files_of_no_bytes(tmp_path, file):
    path = tmp_path / file
    path.write_bytes(b"")
    if file == "x.parquet":
        from gristmill.console import RequestError

        with pytest.raises(RequestError, match="not a readable Parquet file"):
            read(path)
    else:
        assert read(path).records == []


def test_names_in_capitals(tmp_path):
    path = tmp_path / "X.JSONL.GZ"
    path.write_bytes(gzip.compress(good(1)))
    assert read(path).texts == ["text 1 word "]
    path = write(tmp_path / "Y.JSONL", good(1))
    assert read(path).documents[0]["offset"] == 0


def test_the_limit_counts_bytes(tmp_path):
    line = b'{"text": "' + "é".encode() * 20 + b'"}'
    path = write(tmp_path / "x.jsonl", line + b"\n" + good(1) + b"\n" + line)
    assert read(path, max_record_bytes=len(line)).damaged == []
    rows = read(path, max_record_bytes=len(line) - 1).damaged
    assert [(d.record, d.rule, d.value, d.threshold) for d in rows] == [
        (n, "too_large", len(line), len(line) - 1) for n in (0, 2)
    ]
    assert rows[0].key == rows[1].key == damaged_key(line)


# -- lines against Python's ------------------------------------------------------------------------------------------


@given(
    st.lists(st.binary(max_size=40).map(lambda b: b.replace(b"\n", b"")), max_size=12),
    st.sampled_from([b"\n", b"\r\n"]),
    st.booleans(),
    st.integers(1, 30),
)
def test_lines_are_those_of_split(tmp_path_factory, pieces, end, last, limit):
    data = end.join(pieces) + (end if last else b"")
    path = tmp_path_factory.mktemp("lines") / "x.jsonl"
    path.write_bytes(data)
    mark = 3 if data.startswith(b"\xef\xbb\xbf") else 0
    expected, offset = [], mark
    split = data[mark:].split(b"\n")
    for number, line in enumerate(split):
        if number < len(split) - 1 or line:
            whole = line.removesuffix(b"\r") if len(line) <= limit else None
            expected.append((number, offset, whole, len(line), b"" if len(line) <= limit else line[:4096]))
        offset += len(line) + 1
    assert [(x.number, x.offset, x.data, x.size, x.head) for x in lines(path, limit)] == expected


# -- streams that break ----------------------------------------------------------------------------------------------


def random_lines(n: int) -> bytes:
    """Lines that hardly compress, so that a cut anywhere hits one."""
    draw = random.Random(1)
    return b"".join(
        json.dumps({"id": f"d{i}", "text": draw.randbytes(draw.randrange(700)).hex()}).encode() + b"\n"
        for i in range(n)
    )


@pytest.mark.parametrize("file", ["x.jsonl.gz", "x.jsonl.zst"])
def test_a_stream_cut_anywhere(tmp_path, file):
    """One truncated row, after all lines that could still be read."""
    data = random_lines(300)
    whole = write(tmp_path / file, data).read_bytes()
    records = [json.loads(line) for line in data.splitlines()]
    before = -1
    ends = (*range(1, 40), *range(len(whole) - 12, len(whole)))
    for cut in sorted({*ends, *range(40, len(whole), len(whole) // 60)}):
        (tmp_path / file).write_bytes(whole[:cut])
        found = read(tmp_path / file)
        assert found.rules == [(len(found.documents), "truncated")], cut
        assert found.texts == [r["text"] for r in records[: len(found.documents)]]
        assert len(found.documents) >= before
        before = len(found.documents)
    assert before == 300 or (file.endswith(".zst") and before > 100), "of gzip only the check sum was missing"
    (tmp_path / file).write_bytes(whole)
    assert read(tmp_path / file).rules == []


def test_all_that_zlib_can_read_is_read(tmp_path):
    data = random_lines(200)
    whole = gzip.compress(data)
    for cut in range(100, len(whole), len(whole) // 20):
        path = tmp_path / "x.jsonl.gz"
        path.write_bytes(whole[:cut])
        left = zlib.decompressobj(31).decompress(whole[:cut])
        found = read(path)
        assert len(found.documents) == left.count(b"\n")
        assert found.damaged[0].value == len(left) - left.rfind(b"\n") - 1


@pytest.mark.parametrize("file", ["x.jsonl.gz", "x.jsonl.zst"])
def test_cuts_between_members(tmp_path, file):
    """A file of several members that ends where one ends is a whole file."""
    parts = [random_lines(20), random_lines(30), random_lines(10)]
    pieces = [write(tmp_path / file, part).read_bytes() for part in parts]
    for n in range(4):
        (tmp_path / file).write_bytes(b"".join(pieces[:n]))
        found = read(tmp_path / file)
        assert len(found.documents) == sum((20, 30, 10)[:n])
        assert found.damaged == []


def test_a_plain_file_cut_anywhere(tmp_path):
    """Nothing but its last line tells that a plain file was cut: it is no JSON, or not UTF-8."""
    data = b"".join(json.dumps({"text": f"{i} é"}, ensure_ascii=False).encode() + b"\n" for i in range(8))
    path = tmp_path / "x.jsonl"
    for cut in range(len(data) + 1):
        path.write_bytes(data[:cut])
        found = read(path)
        left = data[:cut].split(b"\n")
        whole = len(left) - 1
        if not left[-1] or left[-1].endswith(b"}"):
            assert found.damaged == []
            assert len(found.documents) == whole + bool(left[-1])
        else:
            assert len(found.documents) == whole
            assert found.rules in ([(whole, "json")], [(whole, "utf8")])


@pytest.mark.parametrize("file", ["x.jsonl.gz", "x.jsonl.zst"])
def test_flipped_bytes(tmp_path, file):
    """No reader fails, no record number stands twice, and what is wrong is told by at least one row."""
    data = random_lines(60)
    whole = write(tmp_path / file, data).read_bytes()
    draw = random.Random(2)
    good_lines = set(data.splitlines())
    for _ in range(150):
        at = draw.randrange(len(whole))
        damaged = bytearray(whole)
        damaged[at] ^= 1 << draw.randrange(8)
        (tmp_path / file).write_bytes(damaged)
        found = read(tmp_path / file)
        assert len(set(found.records)) == len(found.records)
        seen = {json.dumps({"id": d["id"], "text": d["text"]}).encode() for d in found.documents}
        if file.endswith(".gz"):
            # the header's name, time and system may change without harm; any other damage meets the check sum
            assert found.damaged or at < 10
            assert found.damaged or seen == good_lines


def test_padding_after_the_last_member(tmp_path):
    path = tmp_path / "x.jsonl.gz"
    path.write_bytes(gzip.compress(good(1)) + bytes(1000))
    assert (read(path).damaged, len(read(path).documents)) == ([], 1)


@pytest.mark.parametrize("file", ["x.jsonl.gz", "x.jsonl.zst", "x.txt.gz", "x.txt.zst"])
def test_not_packed_at_all(tmp_path, file):
    path = tmp_path / file
    path.write_bytes(good(1) + b"\n")
    assert read(path).rules == [(0, "truncated")]


def test_chunks_are_small(tmp_path):
    """Whatever a stream unpacks to, no piece is larger than a few megabytes."""
    zeros = bytes(64 << 20)
    for path, data in (
        (tmp_path / "x.gz", gzip.compress(zeros)),
        (tmp_path / "x.zst", zstandard.ZstdCompressor(level=19).compress(zeros)),
    ):
        path.write_bytes(data)
        sizes = [len(chunk) for chunk in chunks(path)]
        assert sum(sizes) == len(zeros)
        assert max(sizes) < 32 << 20


# -- plain text ------------------------------------------------------------------------------------------------------


def test_plain_text(tmp_path):
    path = write(tmp_path / "x.txt.gz", b"\xef\xbb\xbfone\r\ntwo\nthree")
    (document,) = read(path).documents
    assert (document["text"], document["record"], document["offset"]) == ("one\ntwo\nthree", 0, 0)
    assert read(write(tmp_path / "y.md", b"caf\xe9")).rules == [(0, "utf8")]
    assert read(path, max_record_bytes=5).rules == [(0, "too_large")]
    path.write_bytes(path.read_bytes()[:20])
    assert read(path).rules == [(0, "truncated")]
