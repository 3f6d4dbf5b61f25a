"""Planted personal data is found nowhere in what a run leaves or says: not in its files, work/ included, nor stderr."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from road_archives import http, prose, record

USER, HOST = "zephyrine.quillfeather", "brackenmoor-post.net"
EMAIL, CARD = f"{USER}@{HOST}", "4539 1488 0343 6467"
# Any spelling of them, and pieces that would still tell who it is
NEEDLES = [USER, HOST, "zephyrine", CARD, CARD.replace(" ", ""), CARD.replace(" ", "-"), "4539 1488", "0343 6467"]
PLANTED = f"Write to {EMAIL} or pay with card {CARD} today."

DROP_ME = "Der Mühlstein mahlt langsam, aber er mahlt fein, und niemand weiß, wann das Wasser wieder steigt. " * 8
PAD = 19_990  # rejected samples are cut at 20,000 characters: an address may lie across the cut


def documents() -> list[dict]:
    """Records with the address and the card wherever a record can hold text."""
    rows: list[dict] = [{"id": f"plain-{i}", "text": f"{prose(i, 90)}."} for i in range(60)]
    twin = prose(777, 300)
    rows += [
        {"id": "in-text", "text": f"{prose(100, 90)}. {PLANTED}"},
        {"id": "in-metadata", "text": prose(101, 90), "author": {"mail": EMAIL, "cards": [CARD, 1, {"x": EMAIL}]}},
        {"id": "in-a-key", "text": prose(102, 90), EMAIL: "a key", "deep": {CARD: 1, f"to {EMAIL}": {EMAIL: EMAIL}}},
        {"id": "a-number", "text": prose(103, 90), "card": int(CARD.replace(" ", ""))},
        {"id": EMAIL, "text": prose(104, 90)},
        {"id": f"mailto:{EMAIL}?card={CARD}", "text": prose(105, 90)},
        {"id": "in-url", "text": prose(106, 90), "url": f"https://a.example/?to={EMAIL}&card={CARD}"},
        {"id": "in-date", "text": prose(107, 90), "date": f"by {EMAIL}"},
        {"id": "in-language", "text": prose(108, 90), "language": EMAIL},
        # dropped before the scrubber sees them
        {"id": f"german {EMAIL}", "text": f"{DROP_ME} {PLANTED}", "author": EMAIL, "url": EMAIL},
        {"id": "german-cut", "text": (DROP_ME * 40)[:PAD] + " " + PLANTED * 5},
        *(
            {"id": f"german-cut-{i}", "text": (DROP_ME * 40)[: PAD - i] + f" {EMAIL} {CARD} {i}"}
            for i in range(0, 30, 4)
        ),
        {"id": "short", "text": f"{EMAIL} {CARD}"},
        {"id": "no words", "text": f"{EMAIL} {CARD} " * 200},
        # duplicates, exact and near
        *({"id": f"twin-{i}", "text": f"{twin}. {PLANTED}"} for i in range(2)),
        *({"id": f"near {EMAIL} {i}", "text": f"{twin} {i}. {PLANTED}", "author": EMAIL} for i in range(3)),
    ]
    return rows


def damaged() -> list[bytes]:
    """Lines that are no documents, and hold it all the same."""
    return [
        f'{{"id": "{EMAIL}", "text": "{PLANTED}'.encode(),
        f'{{"id": "{EMAIL}", "text": 1, "body": "{PLANTED}"}}'.encode(),
        f'["{EMAIL}", "{CARD}"]'.encode(),
        f'"{EMAIL}"'.encode(),
        EMAIL.encode(),
        f'{{"text": "{EMAIL} {CARD} caf'.encode() + b'\xe9"}',
        f'{{"{EMAIL}": "{CARD}"}}'.encode(),
        f'{{"id": "{EMAIL}", "text": "{PLANTED} '.encode() + b"x" * 70_000 + b'"}',
    ]


def write_input(folder: Path) -> None:
    """Lines, packed lines that end in the middle of an address, an archive, a table, text."""
    folder.mkdir()
    lines = [json.dumps(d, ensure_ascii=False).encode() for d in documents()]
    for i in range(3):
        (folder / f"{i}.jsonl").write_bytes(b"\n".join(lines[i::3] + (damaged() if i == 0 else [])))
    packed = gzip.compress(b"".join(b"%s\n" % json.dumps({"text": f"{i} {PLANTED}"}).encode() for i in range(300)))
    (folder / "cut.jsonl.gz").write_bytes(packed[: len(packed) * 2 // 3])
    page = f"<html><head><title>{EMAIL}</title></head><body><p>{prose(200, 90)}. {PLANTED}</p></body></html>".encode()
    address = f"http://a.example/?{EMAIL}"
    records = [
        record("response", 1, http(page), WARC_Target_URI=address),
        record("response", 2, http(b"\x89PNG", media=f"image/{EMAIL}".encode())),
        record("response", 12, http(b"\x89PNG", media=f"image/{CARD}".encode())),
        record("response", 3, http(page, status=f"404 {EMAIL}".encode()), WARC_Record_ID=f"<mailto:{EMAIL}>"),
        record("response", 4, http(page + b" " * 70_000), WARC_Record_ID=f"<mailto:{EMAIL}>"),
        record("revisit", 5, http(b""), WARC_Record_ID=f"<mailto:{EMAIL}>"),
        record(EMAIL, 6, http(page), WARC_Record_ID=f"<mailto:{EMAIL}>"),
        record("response", 7, http(page, f"Content-Encoding: {EMAIL}".encode())),
        record("conversion", 8, prose(201, 90).encode(), "text/plain", WARC_Identified_Content_Language=EMAIL),
        record("response", 9, http(page))[:-200],
    ]
    (folder / "pages.warc").write_bytes(b"".join(records))
    columns = {"text": [f"{prose(300, 90)} {PLANTED}", None], EMAIL: [CARD, CARD], "at": [{"mail": EMAIL}, None]}
    pq.write_table(pa.table(columns), folder / "table.parquet")
    strings = pa.array([f"{PLANTED} caf".encode() + b"\xe9"], pa.binary())
    bad = pa.Array.from_buffers(pa.string(), 1, strings.buffers())
    pq.write_table(pa.table({"text": bad, "id": [EMAIL]}), folder / "utf8.parquet")
    (folder / "note.txt").write_text(f"{prose(301, 90)}. {PLANTED}")
    (folder / "bad.txt").write_bytes(PLANTED.encode() + b"\xff")


def recipe(folder: Path, **more: object) -> Path:
    value = {
        "input": {"paths": [str(folder / "in")], "max_record_bytes": 60_000},
        "output": str(folder / "run"),
        "language": {"keep": ["en"], "min_score": 0.2},
        "quality": {"gopher_repetition": {}, "gopher_quality": {"min_words": 30, "min_stop_words": 0}},
        "tokenizer": {"vocabulary": 500},
        "keep_work": True,
        **more,
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(value, sort_keys=False))
    return path


def texts(path: Path) -> Iterator[str]:
    """What is in a file, unpacked: compression would hide it from a search."""
    data = path.read_bytes()
    yield path.name
    yield data.decode("latin-1")
    yield data.decode("utf-16-le", "replace")
    if path.suffix == ".parquet":
        file = pq.ParquetFile(path)
        yield str(file.metadata.to_dict())
        for row in file.read().to_pylist():
            yield repr(row)
    elif path.suffix == ".arrow":
        with pa.OSFile(str(path)) as source:
            try:
                table = pa.ipc.open_file(source).read_all()
            except pa.ArrowInvalid:  # files of the exchange are streams
                table = pa.ipc.open_stream(path.read_bytes()).read_all()
        for row in table.to_pylist():
            yield repr(row)
        if "tokens" in table.column_names and (path.parents[1] / "tokens" / "tokenizer.json").exists():
            from tokenizers import Tokenizer

            tokenizer = Tokenizer.from_file(str(path.parents[1] / "tokens" / "tokenizer.json"))
            yield from tokenizer.decode_batch(table["tokens"].to_pylist())


def leaks(run: Path) -> list[str]:
    """Files in which something planted is found."""
    found = []
    for path in sorted(p for p in run.rglob("*") if p.is_file()):
        for text in texts(path):
            hits = [n for n in NEEDLES if n.lower() in text.lower()]
            if hits:
                at = text.lower().index(hits[0].lower())
                found.append(f"{path.relative_to(run)}: {hits} in {text[max(0, at - 80) : at + 80]!r}")
                break
    return found


@pytest.fixture(scope="module")
def planted(tmp_path_factory) -> Path:
    """A folder whose in/ holds the input."""
    folder = tmp_path_factory.mktemp("planted")
    write_input(folder / "in")
    return folder


def gristmill(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "gristmill", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env={**os.environ, **environment})


def test_the_search_finds_what_is_there(planted):
    """The input itself, packed as it is, is full of it; without scrubbing so would the run be."""
    found = leaks(planted)
    for name in ("0.jsonl", "pages.warc", "table.parquet", "note.txt"):
        assert any(name in line for line in found), found


@pytest.mark.parametrize("rejected", ["all", "sample"])
def test_nowhere_in_a_run(planted, run, capfd, rejected):
    """Every kind of file, work/ included; and each planted record is accounted for."""
    run(yaml.safe_load(recipe(planted, rejected=rejected, output=str(planted / rejected)).read_text()))
    out, err = capfd.readouterr()
    assert leaks(planted / rejected) == []
    assert not any(needle.lower() in (out + err).lower() for needle in NEEDLES)
    facts = json.loads((planted / rejected / "run.json").read_text())
    dropped, edited = facts["counts"]["dropped"], facts["counts"]["edited"]
    for rule in ("utf8", "json", "schema", "truncated", "too_large", "media", "http_status", "revisit"):
        assert dropped[f"read/{rule}"] > 0
    assert dropped["language/language"] >= 10
    assert dropped["dedup/exact_duplicate"] >= 1
    assert dropped["dedup/near_duplicate"] >= 1
    assert edited["scrub/email_address"] > 10
    assert edited["scrub/credit_card"] > 5


def test_nowhere_with_two_workers(planted):
    path = recipe(planted, output=str(planted / "two"))
    done = gristmill(planted, "run", str(path), "--workers", "2")
    assert done.returncode == 0, done.stderr
    assert leaks(planted / "two") == []
    assert not any(needle.lower() in (done.stdout + done.stderr).lower() for needle in NEEDLES)
    shown = gristmill(planted, "explain", str(planted / "two"), "0.jsonl:20")
    assert shown.returncode == 0
    assert not any(needle.lower() in (shown.stdout + shown.stderr).lower() for needle in NEEDLES)


FAILING = """
import gristmill.filters.language as language

def fails(self, batch):
    texts = batch.column("text").to_pylist()
    bad = [t for t in texts if "brackenmoor" in t]
    if bad:
        raise ValueError("cannot make sense of " + bad[0] + repr(batch.to_pylist()))
    return real(self, batch)

real, language.Language.__call__ = language.Language.__call__, fails
"""


@pytest.mark.parametrize("workers", ["1", "2"])
def test_nowhere_when_a_stage_fails(planted, tmp_path, workers):
    """An error that quotes the text it failed on: the user gets its kind and place in one line."""
    (tmp_path / "sitecustomize.py").write_text(FAILING)
    path = recipe(planted, output=str(tmp_path / "run"))
    done = gristmill(planted, "run", str(path), "--workers", workers, PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    said = [line for line in done.stderr.splitlines() if "units," not in line]
    assert len(said) == 1, done.stderr
    assert "ValueError at sitecustomize.py:8" in said[0]
    assert not any(needle.lower() in (done.stdout + done.stderr).lower() for needle in NEEDLES)
    assert leaks(tmp_path / "run") == []
