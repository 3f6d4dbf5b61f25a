"""gristmill tokenizer and gristmill tokens, as a user types them."""

import gzip
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from gristmill.console import RequestError, WorkError
from gristmill.document import make_key, token_schema, words_to_keys
from gristmill.tokenize import commands
from gristmill.tokenize.encoding import Encoder
from gristmill.tokenize.manifest import Manifest, Splits, TokenizerInfo
from gristmill.tokenize.shards import write_shard
from typer.testing import CliRunner

TEXTS = [f"The {i}th text speaks of mills, millers and grist number {i % 5}." for i in range(80)]


@pytest.fixture
def run():
    app = typer.Typer()
    commands.register(app)

    def call(*arguments):
        result = CliRunner().invoke(app, [str(a) for a in arguments])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.output

    return call


def test_train_does_not_depend_on_files(run, tmp_path):
    lines = [json.dumps({"text": text, "id": str(i)}) for i, text in enumerate(TEXTS)]
    (tmp_path / "all.jsonl").write_text("\n".join(lines) + "\n")
    with gzip.open(tmp_path / "tail.jsonl.gz", "wt") as file:
        file.write("\n".join(lines[30:]))
    (tmp_path / "head.jsonl").write_text("\n\n".join(lines[:30][::-1]))
    keys = pa.array([make_key(None, text, {}) for text in TEXTS], pa.binary(16))
    (tmp_path / "documents").mkdir()
    pq.write_table(pa.table({"text": TEXTS[:50], "key": keys[:50]}), tmp_path / "documents/a.parquet")
    pq.write_table(pa.table({"text": TEXTS[50:], "n": [1] * 30}), tmp_path / "documents/b.parquet")
    found = []
    for inputs in (["all.jsonl"], ["tail.jsonl.gz", "head.jsonl"], ["documents"]):
        options = [part for name in inputs for part in ("--input", tmp_path / name)]
        output = run("tokenizer", "train", *options, "--output", tmp_path / "new/t.json", "--set", "sample_bytes=3000")
        found.append((tmp_path / "new/t.json").read_bytes())
    assert found[0] == found[1] == found[2]
    assert "of 80 documents" in output
    run(
        "tokenizer",
        "train",
        "--input",
        tmp_path / "all.jsonl",
        "--output",
        tmp_path / "t.json",
        "--set",
        "vocabulary=301",
    )
    assert Encoder.open(tmp_path / "t.json").vocabulary == 301


def test_train_refuses_what_it_cannot_read(run, tmp_path):
    def train(name, *more):
        return run("tokenizer", "train", "--input", tmp_path / name, "--output", tmp_path / "t.json", *more)

    with pytest.raises(RequestError, match="absent: no such file or folder"):
        train("absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(RequestError, match=r"no \.parquet, \.jsonl"):
        train("empty")
    (tmp_path / "a.jsonl").write_text('{"text": "x"}\n[1]\n')
    with pytest.raises(RequestError, match=r"a\.jsonl: cannot be read: line 2 is no object"):
        train("a.jsonl")
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "\xff"}\n')
    with pytest.raises(RequestError, match=r"a\.jsonl: cannot be read"):
        train("a.jsonl")
    whole = gzip.compress(
        b"".join(json.dumps({"text": str(np.random.default_rng(i).random())}).encode() + b"\n" for i in range(999))
    )
    (tmp_path / "a.jsonl.gz").write_bytes(whole[:2000])
    with pytest.raises(RequestError, match=r"a\.jsonl\.gz: cannot be read"):
        train("a.jsonl.gz")
    (tmp_path / "a.jsonl").write_text('{"text": "a longer text"}\n')
    with pytest.raises(RequestError, match="no text of at most 3 bytes"):
        train("a.jsonl", "--set", "sample_bytes=3")
    with pytest.raises(RequestError, match="vocabulary: found 5"):
        train("a.jsonl", "--set", "vocabulary=5")
    with pytest.raises(RequestError, match="expected key=value"):
        train("a.jsonl", "--set", "vocabulary")
    pq.write_table(pa.table({"body": ["x"]}), tmp_path / "a.parquet")
    with pytest.raises(RequestError, match="no column `text`"):
        train("a.parquet")
    (tmp_path / "a.parquet").write_bytes(b"x" * 100)
    with pytest.raises(RequestError, match=r"a\.parquet: cannot be read"):
        train("a.parquet")
    assert not (tmp_path / "t.json").exists()


@pytest.fixture
def tokens(run, tmp_path):
    (tmp_path / "all.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in TEXTS))
    folder = tmp_path / "tokens"
    folder.mkdir()
    run("tokenizer", "train", "--input", tmp_path / "all.jsonl", "--output", folder / "tokenizer.json")
    encoder = Encoder.open(folder / "tokenizer.json")
    words = np.random.default_rng(0).integers(0, 2**64, (len(TEXTS), 2), np.uint64)
    schema, n = token_schema(encoder.dtype), len(TEXTS)
    columns = [encoder.encode(pa.array(TEXTS)), pa.array(["i"] * n), words_to_keys(words), pa.array(["s"] * n)]
    columns += [pa.array(range(n), pa.int64()), pa.nulls(n, pa.int64())]
    size = sum(len(text) for text in TEXTS)
    info = write_shard(folder / "a.arrow", pa.Table.from_arrays(columns, schema=schema), seed=0, utf8_bytes=size)
    tokenizer = TokenizerInfo(
        file="tokenizer.json",
        sha256=encoder.digest,
        vocabulary=encoder.vocabulary,
        end_of_text=encoder.end_of_text,
    )
    manifest = Manifest(
        columns=tuple(schema.names),
        dtype=str(encoder.dtype),
        tokenizer=tokenizer,
        seed=0,
        recipe="",
        splits=Splits(train=(info,)),
    )
    manifest.write(folder)
    return folder


def test_show(run, tokens):
    lines = run("tokenizer", "show", tokens / "tokenizer.json", "The mill.").splitlines()
    pieces = [line.split("\t") for line in lines]
    assert "".join(eval(piece) for _, piece in pieces) == "The mill.<|endoftext|>"
    assert pieces[-1] == ["0", "'<|endoftext|>'"]


def test_verify(run, tokens):
    assert "whole: 1 shards, 80 documents" in run("tokens", "verify", tokens)
    (tokens / "a.arrow").write_bytes(b"x")
    with pytest.raises(WorkError, match=r"a\.arrow: 1 bytes"):
        run("tokens", "verify", tokens)


def test_stats(run, tokens):
    output = run("tokens", "stats", tokens)
    assert "train: 80 documents" in output
    assert "validation: 0 documents" in output
    assert "'<|endoftext|>'\t80\t" in output
