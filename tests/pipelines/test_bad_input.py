"""Wrong requests, hostile files and a full disk: what the user is told, how it ends, and what memory it takes."""

from __future__ import annotations

import gzip
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import brotli
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
import zstandard
from gristmill import console
from road_archives import http, prose, record
from road_results import files

FULL = "gristmill: the disk is full; free some space and run the same command again, it goes on"


def recipe(folder: Path, paths: list[str | Path], **more: object) -> Path:
    """A recipe file that asks for as little as it can."""
    value = {
        "input": {"paths": [str(p) for p in paths], **more.pop("input", {})},
        "output": str(folder / "run"),
        "language": None,
        "quality": None,
        "tokenizer": None,
        **more,
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(value, sort_keys=False))
    return path


@pytest.fixture
def cli(capsys, monkeypatch) -> Callable[..., tuple[int, str, str]]:
    """`gristmill ...` in this process: (exit code, stdout, stderr)."""
    from gristmill.__main__ import app

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["gristmill", *map(str, arguments)])
        code = console.run(lambda: app(standalone_mode=True))
        return (code, *capsys.readouterr())

    return call


def lines_file(path: Path, n: int, bad: int = 0) -> Path:
    """n documents and some lines that are none."""
    lines = [json.dumps({"id": f"{path.stem}-{i}", "text": prose(1000 * ord(path.stem[0]) + i)}) for i in range(n)]
    lines += [f"broken {i}" for i in range(bad)]
    path.write_text("\n".join(lines) + "\n")
    return path


# -- wrong requests: exit code 2, one line, no work --------------------------------------------------------------------


def wrong(cli, *arguments: str | Path) -> str:
    """The one line of a wrong request."""
    code, out, err = cli("run", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("gristmill: ")
    assert err.count("\n") == 1
    return err.removeprefix("gristmill: ").rstrip()


def test_missing_input(cli, tmp_path):
    assert wrong(cli, recipe(tmp_path, [tmp_path / "none.jsonl"])) == (
        f"{tmp_path}/none.jsonl: no such file, folder or pattern"
    )
    assert wrong(cli, recipe(tmp_path, [tmp_path / "*.jsonl"])).endswith("*.jsonl: no such file, folder or pattern")
    lines_file(tmp_path / "a.jsonl", 1)
    assert "b*.jsonl" in wrong(cli, recipe(tmp_path, [tmp_path / "a.jsonl", tmp_path / "b*.jsonl"]))
    assert not (tmp_path / "run").exists()


def test_a_misspelt_key(cli, tmp_path):
    path = recipe(tmp_path, [lines_file(tmp_path / "a.jsonl", 1)], langage={"keep": ["en"]})
    assert wrong(cli, path).startswith(f"{path}: langage: unknown key; did you mean `language`?")
    assert not (tmp_path / "run").exists()


def test_a_folder_of_nothing_known(cli, tmp_path):
    (tmp_path / "in").mkdir()
    assert "no file of a known kind in this folder (.jsonl .jsonl.gz" in wrong(cli, recipe(tmp_path, [tmp_path / "in"]))
    (tmp_path / "in" / "x.doc").write_text("x")
    assert "no file of a known kind" in wrong(cli, recipe(tmp_path, [tmp_path / "in"]))
    assert "x.doc: not a file of a known kind" in wrong(cli, recipe(tmp_path, [tmp_path / "in" / "x.doc"]))
    assert "no such file" in wrong(cli, recipe(tmp_path, [tmp_path / "in" / "x.txt" / "y.txt"]))


def test_an_output_that_is_not_ours(cli, tmp_path):
    path = recipe(tmp_path, [lines_file(tmp_path / "a.jsonl", 1)])
    (tmp_path / "run").write_text("a file")
    assert wrong(cli, path) == f"{tmp_path}/run: the run directory is a file"
    (tmp_path / "run").unlink()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("years of work")
    assert wrong(cli, path) == f"{tmp_path}/run: not empty and not a run directory; name another output"
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["thesis.txt"]
    assert (tmp_path / "run" / "thesis.txt").read_text() == "years of work"


def test_tables_that_do_not_fit(cli, tmp_path):
    (tmp_path / "x.parquet").write_bytes(b"PAR1 is not enough")
    assert "x.parquet: not a readable Parquet file" in wrong(cli, recipe(tmp_path, [tmp_path / "x.parquet"]))
    pq.write_table(pa.table({"body": ["a"]}), tmp_path / "x.parquet")
    assert "no column `text` (it has body)" in wrong(cli, recipe(tmp_path, [tmp_path / "x.parquet"]))
    pq.write_table(pa.table({"text": [1.5]}), tmp_path / "x.parquet")
    assert "the column `text` holds double, expected text" in wrong(cli, recipe(tmp_path, [tmp_path / "x.parquet"]))
    assert not (tmp_path / "run").exists()


def test_an_output_inside_the_input(cli, tmp_path):
    """The run's own files are no input, so that the same command again has nothing to do."""
    (tmp_path / "in").mkdir()
    lines_file(tmp_path / "in" / "a.jsonl", 3)
    path = recipe(tmp_path, [tmp_path / "in"], output=str(tmp_path / "in" / "run"), keep_work=True)
    assert cli("run", path)[0] == 0
    code, out, err = cli("run", path)
    assert (code, "3 documents" in out) == (0, True)
    assert "whole and unchanged, nothing to do" in err
    path = recipe(tmp_path, [tmp_path / "in" / "run"], output=str(tmp_path / "in" / "run"))
    assert "all files of the input lie in the output" in wrong(cli, path)


def test_a_name_that_is_not_utf8(cli, tmp_path):
    (tmp_path / "in").mkdir()
    try:
        (tmp_path / "in" / os.fsdecode(b"caf\xe9.jsonl")).write_text('{"text": "a"}')
    except OSError:
        pytest.skip("this file system refuses such names")
    assert "caf\\xe9.jsonl': this file's name is not valid UTF-8" in wrong(cli, recipe(tmp_path, [tmp_path / "in"]))


def test_other_wrong_requests(cli, tmp_path):
    path = recipe(tmp_path, [lines_file(tmp_path / "a.jsonl", 1)])
    for share in ("0", "101%", "-1%", "many"):
        assert f"--sample {share}: expected a share above 0 and at most 1" in wrong(cli, path, "--sample", share)
    assert "--runner hadoop: expected local, portable" in wrong(cli, path, "--runner", "hadoop")
    assert "--runner dataflow" in wrong(cli, path, "--runner", "dataflow")
    assert "--set seed: expected path.to.key=value" in wrong(cli, path, "--set", "seed")
    root = str(tmp_path / "elsewhere")
    assert f"lies outside input.root ({root})" in wrong(cli, path, "--set", f"input.root={root}")
    model = ["--set", "tokenizer={path: none.json}"]
    assert "none.json" in wrong(cli, path, *model)
    model = ["--set", "language={model: none.ftz}"]
    assert "none.ftz" in wrong(cli, path, *model)
    assert not (tmp_path / "run").exists()


# -- bad records: the run goes on, up to a number ----------------------------------------------------------------------


def test_bad_records_are_counted(cli, tmp_path):
    packed = gzip.compress(lines_file(tmp_path / "b.jsonl", 60).read_bytes(), mtime=0)
    (tmp_path / "b.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    (tmp_path / "c.jsonl").write_bytes(b'{"text": "caf\xe9"}\n[1]\n{"id": "x"}\n' + b'{"text": "%s"}' % (b"a" * 5000))
    paths = [lines_file(tmp_path / "a.jsonl", 5), tmp_path / "b.jsonl.gz", tmp_path / "c.jsonl"]
    code, out, err = cli("run", recipe(tmp_path, paths, input={"max_record_bytes": 4096}))
    assert (code, "Traceback" in err) == (0, False)
    dropped = json.loads((tmp_path / "run" / "run.json").read_text())["counts"]["dropped"]
    read = {rule: n for rule, n in dropped.items() if rule.startswith("read/")}
    assert read == {"read/truncated": 1, "read/utf8": 1, "read/json": 1, "read/schema": 1, "read/too_large": 1}
    for rule in read:
        assert rule in out


def test_max_bad_records_in_one_file(cli, tmp_path):
    paths = [lines_file(tmp_path / "a.jsonl", 20, bad=5), lines_file(tmp_path / "b.jsonl", 20)]
    code, out, err = cli("run", recipe(tmp_path, paths, input={"max_bad_records": 4}))
    assert (code, out) == (1, "")
    assert err == ("gristmill: a.jsonl: 5 damaged records, more than input.max_bad_records = 4 allows (5 json)\n")
    assert not (tmp_path / "run" / "documents").exists()
    code, out, _ = cli("run", recipe(tmp_path, paths, input={"max_bad_records": 5}))
    assert (code, "40 documents" in out) == (0, True)


def test_max_bad_records_over_all_files(cli, tmp_path):
    paths = [lines_file(tmp_path / f"{i}.jsonl", 10, bad=2) for i in range(3)]
    code, _, err = cli("run", recipe(tmp_path, paths, input={"max_bad_records": 5}))
    assert code == 1
    assert err == "gristmill: 6 damaged records, more than input.max_bad_records = 5 allows (6 json)\n"
    assert cli("run", recipe(tmp_path, paths, input={"max_bad_records": 6}))[0] == 0


def test_pages_without_text_are_not_damaged(cli, tmp_path):
    """What a crawl is full of, pictures and redirects, does not count as bad."""
    records = [record("response", i, http(b"\x89PNG", media=b"image/png")) for i in range(5)]
    (tmp_path / "x.warc").write_bytes(b"".join(records) + record("resource", 9, prose(1).encode(), "text/plain"))
    code, out, _ = cli("run", recipe(tmp_path, [tmp_path / "x.warc"], input={"max_bad_records": 0}))
    assert (code, "5 read/media" in out) == (0, True)


def test_nothing_to_read(cli, tmp_path):
    """Empty files are no mistake: a whole run without documents."""
    for name in ("a.jsonl", "b.jsonl.gz", "c.warc.gz", "d.txt", "e.jsonl.zst"):
        (tmp_path / name).write_bytes(b"")
    paths = [tmp_path / name for name in ("a.jsonl", "b.jsonl.gz", "c.warc.gz", "d.txt", "e.jsonl.zst")]
    for tokenizer in (None, {"vocabulary": 300}):
        code, out, err = cli("run", recipe(tmp_path, paths, tokenizer=tokenizer))
        assert (code, "Traceback" in err) == (0, False)
        assert "0 documents" in out
        assert (tmp_path / "run" / "report.html").exists()


def test_no_document_survives(cli, tmp_path):
    paths = [lines_file(tmp_path / "a.jsonl", 3)]
    code, _, err = cli("run", recipe(tmp_path, paths, corpus={"min_characters": 10_000}, tokenizer={"vocabulary": 300}))
    assert code == 0
    assert "no document survived, so there are no tokens" in err


def test_one_document(cli, tmp_path):
    """No pair, no bucket, hardly a token: every step copes with next to nothing."""
    paths = [lines_file(tmp_path / "a.jsonl", 1)]
    code, out, _ = cli("run", recipe(tmp_path, paths, tokenizer={"vocabulary": 300}))
    assert (code, "1 documents" in out) == (0, True)


# -- memory ------------------------------------------------------------------------------------------------------------

MEASURE = """
import sys
from gristmill.pipelines.readers import inputs

def memory(name):
    line = next(x for x in open("/proc/self/status") if x.startswith(name))
    return int(line.split()[1]) / 1024

def read(path):
    options = {"text_field": "text", "id_field": "id", "max_record_bytes": 32 << 20}
    rows, rules = 0, []
    for unit in inputs.units([path], None, options):
        for part in inputs.read(unit):
            rows += part.batch.num_rows
            rules += [d.rule for d in part.damaged]
    return rows, sorted(set(rules))

small, *paths = sys.argv[1:]
for path in small.split(","):
    read(path)
start = memory("VmRSS")
for path in paths:
    open("/proc/self/clear_refs", "w").write("5")
    print(*read(path), f"{memory('VmHWM') - start:.0f}", sep="\\t")
"""


def zeros_zst(size: int) -> bytes:
    pack = zstandard.ZstdCompressor().compressobj()
    return b"".join([*(pack.compress(bytes(1 << 20)) for _ in range(size >> 20)), pack.flush()])


def large_line() -> bytes:
    """200 MB in one line, between two that are whole."""
    line = json.dumps({"text": prose(1)}).encode() + b"\n"
    return line + b'{"text": "' + b"x" * (200 << 20) + b'"}\n' + line


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux to measure")
def test_memory_of_hostile_files(tmp_path):
    """Lines, bombs and values far above the limit of 32 MB: a row each, in less than 100 MB."""
    zeros = bytes(160 << 20)
    brotli_zeros = brotli.compress(zeros, quality=1)
    values = pa.array(["x" * (40 << 20), "y" * (10 << 20)])
    big = pa.DictionaryArray.from_arrays(pa.array([0, 1] * 40, pa.int32()), values)  # 2 GB if it were unpacked
    pq.write_table(pa.table({"text": big}), tmp_path / "k.parquet", store_schema=False)
    hostile = {
        "a.jsonl.gz": (gzip.compress(large_line(), 1), 2, ["too_large"]),
        "b.jsonl.zst": (zeros_zst(512 << 20), 0, ["too_large"]),
        "c.txt.gz": (gzip.compress(zeros, 1), 0, ["too_large"]),
        "d.warc": (record("response", 1, http(gzip.compress(zeros), b"Content-Encoding: gzip")), 0, ["too_large"]),
        "e.warc": (record("response", 1, http(brotli_zeros, b"Content-Encoding: br")), 0, ["too_large"]),
        "f.warc": (record("response", 1, http(zstandard.compress(zeros), b"Content-Encoding: zstd")), 0, ["too_large"]),
        "h.warc.gz": (gzip.compress(record("response", 1, http(zeros)), 1), 0, ["too_large"]),
        "i.warc.gz": (gzip.compress(record("request", 1, b"GET / HTTP/1.1\r\n\r\n") + zeros, 1), 0, ["truncated"]),
        "j.warc.gz": (gzip.compress(b"WARC/1.0\r\nX: " + zeros, 1), 0, ["truncated"]),
        "k.parquet": (None, 40, ["too_large"]),
    }
    for name, (data, _, _) in hostile.items():
        if data is not None:
            (tmp_path / name).write_bytes(data)
            assert len(data) < 3 << 20
    small = [lines_file(tmp_path / "small.jsonl", 9), tmp_path / "small.parquet", tmp_path / "small.warc"]
    pq.write_table(pa.table({"text": ["a"]}), small[1])
    small[2].write_bytes(record("response", 1, http(b"<p>a</p>")))
    command = [sys.executable, "-c", MEASURE, ",".join(map(str, small)), *(str(tmp_path / name) for name in hostile)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    for name, line in zip(hostile, run.stdout.splitlines(), strict=True):
        rows, rules, growth = line.split("\t")
        assert (int(rows), rules) == (hostile[name][1], str(hostile[name][2])), name
        # Arrow needs five times the 50 MB of the dictionary to read it
        assert float(growth) < (400 if name == "k.parquet" else 100), f"{name}: {growth} MB\n{run.stdout}"


# -- a full disk -------------------------------------------------------------------------------------------------------


def mounts() -> list[str] | None:
    """The command that gives a process mounts of its own; None where that is not allowed."""
    for command in (["unshare", "--mount"], ["unshare", "--user", "--map-root-user", "--mount"]):
        if shutil.which("unshare"):
            probe = [*command, "mount", "-t", "tmpfs", "tmpfs", "/tmp"]
            if subprocess.run(probe, capture_output=True).returncode == 0:
                return command
    return None


def errors_in(text: str) -> list[str]:
    """The lines of stderr but for those that tell of progress."""
    return [line for line in text.splitlines() if not re.match(r"[a-z]+: [\d,]+( of [\d,]+)? units", line)]


def test_a_full_disk(tmp_path, run):
    """On a small file system: exit code 1 and one line wherever it fills; then it goes on to the same end."""
    own = mounts()
    if own is None:
        pytest.skip("needs the right to mount a small file system")
    paths = []
    for name in "abc":
        texts = [" ".join(prose(k + 10**6 * j + 10**5 * ord(name)) for j in range(4)) for k in range(90)]
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps({"id": f"{name}{k}", "text": t}) + "\n" for k, t in enumerate(texts)))
        paths.append(path)
    tokenizer = {"vocabulary": 400, "sample_bytes": 200_000}
    path = recipe(tmp_path, paths, scrub=None, tokenizer=tokenizer, keep_work=True)
    disk, left = tmp_path / "disk", tmp_path / "left"
    disk.mkdir()
    gristmill = f"{shlex.quote(sys.executable)} -m gristmill run {path} --set output={disk}/run"
    steps = [f"mount -t tmpfs -o size=24m tmpfs {disk}"]
    frees = [(24, 1), (300, 2), (800, 1)]  # kilobytes that are free, workers
    for kilobytes, workers in frees:
        steps += [f"rm -f {disk}/ballast; dd if=/dev/zero of={disk}/ballast bs=1K 2>/dev/null"]
        steps += [f"truncate -s -{kilobytes}K {disk}/ballast; {gristmill} --workers {workers}; echo code $? >&2"]
        steps += [f"find {disk}/run -type f | wc -l >&2"]
    steps += [f"rm {disk}/ballast", f"{gristmill}; echo code $? >&2", f"cp -r {disk}/run {left}"]
    done = subprocess.run([*own, "sh", "-c", "\n".join(steps)], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    said = errors_in(done.stderr)
    assert [line for line in said if not line.isdecimal()] == [
        *[FULL, "code 1"] * len(frees),
        f"report: {disk}/run/report.html",
        "code 0",
    ]
    counts = [int(line) for line in said if line.isdecimal()]
    assert counts == sorted(counts)
    assert len(set(counts)) > 1, "they failed at different places"
    run(yaml.safe_load(path.read_text()))
    assert files(left) == files(tmp_path / "run")
    assert not list((left / "work").glob("tmp/*")), "what was half-written is gone"


def test_an_output_on_a_full_device(cli, tmp_path):
    """Where no file system may be mounted, at least the device that is always full."""
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    from gristmill.pipelines.files import ArrowSink
    from gristmill.pipelines.ledger import REJECTED

    def write() -> None:
        sink = ArrowSink("/dev/full", REJECTED)
        sink.close()

    with pytest.raises(OSError) as raised:
        write()
    assert console.as_known(raised.value) is not None
    assert os.strerror(raised.value.errno) == "No space left on device"
