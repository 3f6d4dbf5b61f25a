"""One run over web archives and packed lines, counted and compared by readers that are not ours."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zlib
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from tokenizers import Tokenizer
from warcio.archiveiterator import ArchiveIterator
from warcio.exceptions import ArchiveLoadFailed

TERMINAL = {"response", "resource", "conversion", "revisit"}  # of WARC records those that get a row
PATTERNS = ("web/warc/*.warc.gz", "web/warc-open/*.warc.gz", "text-en/*.jsonl.zst")


@pytest.fixture(scope="session")
def inputs(shared_data: Path) -> list[Path]:
    found = sorted(path for pattern in PATTERNS for path in shared_data.glob(pattern))
    assert len(found) > 10
    return found


@pytest.fixture(scope="session")
def whole(shared_data: Path, inputs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run directory of `gristmill run web` over all of it, by two workers."""
    output = tmp_path_factory.mktemp("whole") / "run"
    paths = ",".join(str(shared_data / pattern) for pattern in PATTERNS)
    settings = [f"input.paths=[{paths}]", f"input.root={shared_data}", f"output={output}", "rejected=all"]
    command = [sys.executable, "-m", "gristmill", "run", "web", "--workers", "2"]
    done = subprocess.run([*command, *(x for s in settings for x in ("--set", s))], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return output


@pytest.fixture(scope="session")
def facts(whole: Path) -> dict:
    return json.loads((whole / "run.json").read_text())


def table(run: Path, facts: dict, folder: str) -> pa.Table:
    names = [name for name in facts["files"] if name.startswith(f"{folder}/") and name.endswith(".parquet")]
    return pa.concat_tables([pq.read_table(run / name) for name in names])


@pytest.fixture(scope="session")
def terminal(whole: Path, facts: dict) -> dict[str, dict[int, dict]]:
    """source -> record -> its terminal row. A second row would show here."""
    found: dict[str, dict[int, dict]] = {}
    for row in table(whole, facts, "ledger").to_pylist():
        if row["action"] != "edit":
            rows = found.setdefault(row["source"], {})
            assert row["record"] not in rows, f"two terminal rows: {row}"
            rows[row["record"]] = row
    return found


def archived(path: Path) -> list[tuple[str, str | None, int, bool]]:
    """(type, id, offset, whole) of each record of a packed archive, as warcio reads it."""
    found = []
    with open(path, "rb") as file:
        records = ArchiveIterator(file, no_record_parse=True)  # leaves the HTTP message whole
        try:
            for record in records:
                headers = record.rec_headers
                size = sum(map(len, iter(lambda stream=record.raw_stream: stream.read(1 << 20), b"")))
                whole = size == int(headers.get_header("Content-Length"))
                offset = records.get_record_offset()
                found.append((record.rec_type, headers.get_header("WARC-Record-ID"), offset, whole))
        except ArchiveLoadFailed:
            pass
    return found


def lines_of(path: Path) -> list[bytes]:
    with open(path, "rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as stream:
        return list(io.BufferedReader(stream))


def test_every_record_has_one_terminal_row(shared_data, inputs, terminal, facts):
    """Counted with warcio, and with zstandard and json."""
    skipped: Counter[str] = Counter()
    total, terminal = 0, dict(terminal)
    for path in inputs:
        source = path.relative_to(shared_data).as_posix()
        rows = terminal.pop(source)
        if path.suffix == ".zst":
            lines = lines_of(path)
            assert sorted(rows) == list(range(len(lines)))
            for number, line in enumerate(lines):
                assert rows[number]["id"] == json.loads(line).get("id", rows[number]["key"].hex())
        else:
            records = archived(path)
            expected = {number: id for number, (kind, id, _, _) in enumerate(records) if kind in TERMINAL}
            skipped.update(kind for kind, *_ in records if kind not in TERMINAL)
            assert {number: row["id"] for number, row in rows.items()} == expected, source
            for number, (kind, _, _, whole) in enumerate(records):
                if kind in TERMINAL:
                    assert (rows[number]["rule"] == "revisit") == (kind == "revisit")
                    assert (rows[number]["rule"] == "truncated") == (not whole)
        total += len(rows)
    assert terminal == {}, "rows of no input"
    assert facts["counts"]["records"] == total > 3000
    assert facts["counts"]["skipped"] == dict(skipped)
    dropped = sum(facts["counts"]["dropped"].values())
    assert facts["counts"]["documents"] + dropped == total


def test_offsets_point_at_the_record(shared_data, whole, facts):
    rows = table(whole, facts, "documents").select(["id", "source", "offset", "url"]).to_pylist()
    of_archives = 0
    expected: dict[str, dict[str, int]] = {}
    for row in rows:
        path = shared_data / row["source"]
        if path.suffix == ".zst":
            assert row["offset"] is None
            continue
        of_archives += 1
        if row["source"] not in expected:
            expected[row["source"]] = {id: offset for _, id, offset, _ in archived(path)}
        assert row["offset"] == expected[row["source"]][row["id"]]
        with open(path, "rb") as file:
            file.seek(row["offset"])
            head = zlib.decompressobj(31).decompress(file.read(1 << 16))
        assert head.startswith(b"WARC/")
        assert row["id"].encode() in head
    assert of_archives > 200


def test_what_comes_out(whole, facts):
    documents = table(whole, facts, "documents")
    assert facts["complete"]
    assert documents.num_rows == facts["counts"]["documents"] > 500
    assert len(set(documents["key"].to_pylist())) == documents.num_rows
    assert (whole / "report.html").exists()
    assert not (whole / "work").exists(), "removed when the run is whole"
    for name, about in facts["files"].items():
        assert (whole / name).stat().st_size == about["bytes"]
    in_folders = {p.relative_to(whole).as_posix() for p in whole.rglob("*") if p.is_file()}
    assert in_folders - facts["files"].keys() == {"run.json", "report.html", ".lock"}


def test_tokens_are_those_of_the_documents(whole, facts):
    manifest = json.loads((whole / "tokens" / "manifest.json").read_text())
    tokenizer = Tokenizer.from_file(str(whole / "tokens" / "tokenizer.json"))
    end = tokenizer.token_to_id("<|endoftext|>")
    documents = {row["key"]: row for row in table(whole, facts, "documents").to_pylist()}
    seen, counts = set(), {}
    for split, shards in manifest["splits"].items():
        for shard in shards:
            with pa.memory_map(str(whole / "tokens" / shard["file"])) as file:
                rows = pa.ipc.open_file(file).read_all()
            counts[split] = counts.get(split, 0) + sum(len(t) for t in rows["tokens"])
            for row in rows.to_pylist():
                document = documents[row["key"]]
                assert all(row[name] == document[name] for name in ("id", "source", "record", "offset"))
                assert row["key"] not in seen
                seen.add(row["key"])
                if len(row["tokens"]) < 3000:
                    *tokens, last = row["tokens"]
                    assert last == end
                    assert tokenizer.decode(tokens, skip_special_tokens=False) == document["text"]
    assert seen == documents.keys()
    assert counts == facts["counts"]["tokens"]


def test_texts_without_edits_are_the_input_s(shared_data, whole, facts):
    """Of lines, text passes as it was; what personal data was replaced in is told by an edit row."""
    edited = {
        (row["source"], row["record"]) for row in table(whole, facts, "ledger").to_pylist() if row["action"] == "edit"
    }
    rows = [row for row in table(whole, facts, "documents").to_pylist() if row["source"].endswith(".jsonl.zst")]
    inputs = {source: lines_of(shared_data / source) for source in {row["source"] for row in rows}}
    same = 0
    for row in rows:
        record = json.loads(inputs[row["source"]][row["record"]])
        if (row["source"], row["record"]) in edited:
            assert row["text"] != record["text"] or row["metadata"] != "{}"
        else:
            same += 1
            assert row["text"] == record["text"]
            rest = {k: v for k, v in record.items() if k not in ("text", "id", "url", "date", "language")}
            assert json.loads(row["metadata"]) == {k: v for k, v in rest.items() if v is not None}
    assert same > 10


def test_signals_have_a_row_for_each_document_read(whole, facts, terminal_count):
    signals = table(whole, facts, "signals")
    assert signals.num_rows == terminal_count
    assert len(set(zip(signals["source"].to_pylist(), signals["record"].to_pylist(), strict=True))) == terminal_count


@pytest.fixture(scope="session")
def terminal_count(whole: Path, facts: dict) -> int:
    """Records that were documents when they were read."""
    rows = table(whole, facts, "ledger")
    return sum(
        stage != "read" and action != "edit"
        for stage, action in zip(rows["stage"].to_pylist(), rows["action"].to_pylist(), strict=True)
    )


def test_rejected_texts_are_those_that_were_dropped(whole, facts):
    rejected = table(whole, facts, "rejected").to_pylist()
    dropped = Counter(
        (row["source"], row["record"], row["stage"], row["rule"])
        for row in table(whole, facts, "ledger").to_pylist()
        if row["action"] == "drop" and row["stage"] != "read"
    )
    assert Counter((r["source"], r["record"], r["stage"], r["rule"]) for r in rejected) == dropped
