"""`gristmill filter train-classifier`: files of every kind in, a model and what it is worth out; clear errors."""

from __future__ import annotations

import gzip
import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from fasttext import load_model
from gristmill.console import RequestError, WorkError
from gristmill.filters import commands
from typer.testing import CliRunner

WORDS = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa"]


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    commands.register(app)
    app.command("other")(lambda: None)
    return app


def run(app: typer.Typer, *arguments: object):
    return CliRunner().invoke(app, ["filter", "train-classifier", *map(str, arguments)])


def good_text(i: int) -> str:
    return " ".join(WORDS[(i * j) % 7] for j in range(1, 30)) + f" number{i}"


def bad_text(i: int) -> str:
    return "\n".join(WORDS[3 + (i * j) % 7] for j in range(1, 30)) + f" number{i}"


@pytest.fixture
def files(tmp_path) -> tuple[Path, Path, Path]:
    """(folder of good text files and a JSONL, bad JSONL.gz, bad Parquet)."""
    good = tmp_path / "good"
    good.mkdir()
    for i in range(60):
        (good / f"{i}.txt").write_text(good_text(i))
    rows = [{"id": f"page-{i}", "text": good_text(i), "url": "https://site.example"} for i in range(60, 120)]
    (good / "more.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"no": "text"}]))
    packed = tmp_path / "bad.jsonl.gz"
    packed.write_bytes(gzip.compress("".join(json.dumps({"text": bad_text(i)}) + "\n" for i in range(60)).encode()))
    table = tmp_path / "bad.parquet"
    pq.write_table(pa.table({"text": [bad_text(i) for i in range(60, 120)]}), table)
    return good, packed, table


SETTINGS = [f"--set={line}" for line in ("min_count=1", "held_out=0.3", "dimension=4", "epochs=20")]


def test_train_classifier(app, files, tmp_path):
    good, packed, table = files
    output = tmp_path / "new" / "model.bin"
    result = run(app, "--good", good, "--bad", packed, "--bad", table, "--output", output, *SETTINGS)
    assert result.exit_code == 0, result.output
    assert sorted(p.name for p in output.parent.iterdir()) == ["model.bin", "model.bin.json", "model.bin.svg"]
    assert sorted(load_model(str(output)).labels) == ["__label__bad", "__label__good"]

    facts = json.loads((output.parent / "model.bin.json").read_text())
    assert facts["settings"]["dimension"] == 4
    counts = facts["counts"]["good"]
    assert counts["documents"] == counts["examples"] == 120
    assert counts["training"] == facts["counts"]["bad"]["training"] > 50
    assert facts["held_out"]["examples"] == counts["held_out"] + facts["counts"]["bad"]["held_out"] > 20
    assert facts["held_out"]["accuracy"] > 0.8
    shown = facts["nearest"]["examples"]
    assert len(shown) == 10
    assert any(row["id"].endswith(".txt") or row["id"].startswith("page-") for row in shown)  # good ones have names
    assert ET.fromstring((output.parent / "model.bin.svg").read_text()).tag.endswith("svg")

    for text in ("accuracy", "min_score  precision  recall", "nearest to the threshold", shown[0]["id"]):
        assert text in result.output
    assert "--good: 1 records could not be read" in result.output

    before = output.read_bytes()
    again = run(app, "--good", good, "--bad", table, "--bad", packed, "--output", output, *SETTINGS)
    assert again.exit_code == 0
    assert output.read_bytes() == before


def test_errors(app, files, tmp_path):
    good, packed, _ = files
    empty = tmp_path / "empty.jsonl"
    empty.write_text('{"text": ""}\n')
    output = tmp_path / "model.bin"
    for arguments, message in (
        (["--good", tmp_path / "none", "--bad", packed], "--good .*none: no such file"),
        (["--good", good, "--bad", empty], r"too few texts .*: --good 120 \(120 documents\), --bad 0 \(1 documents\)"),
        (["--good", good, "--bad", good], "too few"),
        (["--good", good, "--bad", packed, "--set", "dimension=0"], "--set: dimension: found 0; expected greater"),
        (
            ["--good", good, "--bad", packed, "--set", "dimensions=8"],
            "dimensions: unknown key; did you mean `dimension`",
        ),
        (["--good", good, "--bad", packed, "--set", "dimension"], "expected key=value"),
        (["--good", good, "--bad", packed, "--text-field", "body"], "too few"),
        (["--good", good, "--bad", packed, "--output", tmp_path], "a folder"),
    ):
        arguments = arguments if "--output" in arguments else [*arguments, "--output", output]
        result = run(app, *arguments)
        assert isinstance(result.exception, RequestError), (arguments, result.output, result.exception)
        with pytest.raises(RequestError, match=message):
            raise result.exception
    assert not output.exists()


def test_a_learning_rate_out_of_reach(app, files, tmp_path):
    """Whatever the library makes of it, the end is an error of one line or a model."""
    good, packed, _ = files
    result = run(
        app, "--good", good, "--bad", packed, "--output", tmp_path / "m.bin", "--set=learning_rate=10.0", *SETTINGS
    )
    assert result.exception is None or isinstance(result.exception, WorkError), result.exception


def test_no_word_is_frequent_enough(app, files, tmp_path):
    good, packed, _ = files
    result = run(app, "--good", good, "--bad", packed, "--output", tmp_path / "m.bin", "--set=min_count=100000")
    assert isinstance(result.exception, RequestError)
    assert "min_count: no word occurs 100,000 times" in str(result.exception)
    assert not (tmp_path / "m.bin").exists()
