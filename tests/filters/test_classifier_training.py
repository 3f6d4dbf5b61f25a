"""Training a classifier: which examples are learnt from, the same file from the same text, what the report says."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from fasttext import load_model
from gristmill.console import RequestError
from gristmill.filters.classifier import report
from gristmill.filters.classifier.examples import BAD, GOOD, Examples, one_line, pieces
from gristmill.filters.classifier.training import TrainingSettings, train
from hypothesis import given
from hypothesis import strategies as st


def batches(texts: list[str], size: int = 100) -> Iterator[pa.RecordBatch]:
    for i in range(0, len(texts), size):
        column = pa.array(texts[i : i + size], pa.large_string())
        ids = pa.array([f"d{n}" for n in range(i, i + len(column))])
        yield pa.record_batch([column, ids], names=["text", "id"])


# -- examples --------------------------------------------------------------------------------------------------------


@given(st.text("ab\n\t\0 </s>é_", max_size=60))
def test_one_line_is_read_as_the_text_is(text):
    """The same words in the same order, as fastText cuts them, and nothing that could end a line or be a label."""
    words = []
    for word in text.translate(dict.fromkeys(map(ord, "\n\r\t\v\f\0"), " ")).split(" "):
        if word == "</s>":
            break
        words += [word] if word and not word.startswith("__label__") else []
    line = one_line(text)
    assert [word for word in line.split(" ") if word] == words
    assert not set(line) & set("\n\r\t\v\f\0")


@given(st.text("ab ", max_size=300), st.integers(1, 50))
def test_pieces_are_the_line(line, longest):
    """All of its words in order; only a word that is longer than a piece is cut."""
    found = list(pieces(line, longest))
    assert all(0 < len(piece) <= longest for piece in found)
    assert "".join(found).replace(" ", "") == line.replace(" ", "")
    if all(len(word) <= longest for word in line.split()):
        assert [word for piece in found for word in piece.split()] == line.split()


def chosen_examples(good: list[str], bad: list[str], tmp_path: Path, **more):
    with open(tmp_path / "examples", "w+b") as file:
        examples = Examples(file, more.pop("longest", 1000))
        examples.add(GOOD, batches(good))
        examples.add(BAD, batches(bad))
        chosen = examples.choose(**{"held_out": 0.5, "most": None, "seed": 0} | more)
        parts = []
        for part in (chosen.training, chosen.held_out):
            lines = []
            for start, end in zip(part.starts, part.ends, strict=True):
                file.seek(start)
                lines.append(file.read(end - start).decode().partition("\t")[2])
            parts.append(list(zip(part.good.tolist(), lines, strict=True)))
    return parts, chosen.counts


def test_examples_are_balanced_and_apart(tmp_path):
    good = [f"good text {i}" for i in range(300)] + ["good text 7", "seen on both sides"]
    bad = [f"bad text {i}" for i in range(100)] + ["seen on both sides"]
    (training, held_out), counts = chosen_examples(good, bad, tmp_path)
    for part in (training, held_out):
        sides = [good for good, _ in part]
        assert sides.count(True) == sides.count(False) > 20
        assert all(text.startswith("good" if good else "bad") for good, text in part)
    everything = [text for _, text in training + held_out]
    assert len(set(everything)) == len(everything)
    assert counts[GOOD]["repeated"] == 1
    assert counts[GOOD]["on_both_sides"] == counts[BAD]["on_both_sides"] == 1
    assert training != sorted(training)  # the sides are mixed
    (again, _), _ = chosen_examples(good[::-1], bad[::-1], tmp_path)
    assert again == training
    (other, _), _ = chosen_examples(good, bad, tmp_path, seed=1)
    assert other != training
    (fewer, _), _ = chosen_examples(good, bad, tmp_path, most=10)
    assert len(fewer) == 20
    assert set(fewer) < set(training)


def test_a_long_document_is_on_one_side(tmp_path):
    books = [" ".join(f"book{b}-{i}" for i in range(500)) for b in range(40)]
    (training, held_out), counts = chosen_examples(books, [f"{i} x" for i in range(3000)], tmp_path, longest=200)
    learnt, asked = ({text.split("-")[0] for good, text in part if good} for part in (training, held_out))
    assert learnt
    assert asked
    assert not learnt & asked
    assert counts[GOOD]["documents"] == 40
    assert counts[GOOD]["examples"] > 400


# -- training ---------------------------------------------------------------------------------------------------------

SMALL = TrainingSettings(word_ngrams=2, buckets=5000, dimension=4, min_count=2)


def small_sides() -> tuple[list[str], list[str]]:
    words = [hashlib.sha256(bytes([i])).hexdigest()[:5] for i in range(200)]
    good = [" ".join(words[(i * j) % 100] for j in range(1, 40)) for i in range(300)]
    bad = [" ".join(words[50 + (i * j) % 150] for j in range(1, 40)) for i in range(300)]
    return good, bad


def test_the_same_texts_give_the_same_file(tmp_path):
    good, bad = small_sides()
    train(batches(good), batches(bad), tmp_path / "a.bin", SMALL)
    train(batches(good[::-1], 7), batches(bad[5:] + bad[:5], 13), tmp_path / "b.bin", SMALL)
    code = (
        "import json; from pathlib import Path; import pyarrow as pa\n"
        "from gristmill.filters.classifier.training import *\n"
        "good, bad = json.load(open('sides.json'))\n"
        "batch = lambda texts: [pa.record_batch([pa.array(texts, pa.large_string())], names=['text'])]\n"
        "train(batch(good), batch(bad), Path('c.bin'), TrainingSettings(word_ngrams=2, buckets=5000, dimension=4, "
        "min_count=2))\n"
    )
    (tmp_path / "sides.json").write_text(json.dumps([good, bad]))
    environment = {**os.environ, "PYTHONHASHSEED": "17"}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env=environment)
    a, b, c = ((tmp_path / f"{name}.bin").read_bytes() for name in "abc")
    assert a == b
    assert a == c
    other = train(batches(good), batches(bad), tmp_path / "d.bin", SMALL.model_copy(update={"seed": 1}))
    assert (tmp_path / "d.bin").read_bytes() != a
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        *(f"{name}.bin" for name in "abcd"),
        "sides.json",
    ]  # no litter
    assert other.words == len(load_model(str(tmp_path / "d.bin")).words)


def test_what_is_shown_holds_no_personal_data(tmp_path):
    good, bad = small_sides()
    good = [f"write to jane.doe{i}@example.com or 219-09-9999\x1b[31m {text}" for i, text in enumerate(good)]
    result = train(batches(good), batches(bad), tmp_path / "m.bin", SMALL, nearest=1000)
    assert len(result.nearest) == len(result.held_out.good)
    shown = [row["text"] for row in result.nearest if row["side"] == "good"]
    assert shown
    assert not any("jane" in text or "219-09" in text or "\x1b" in text or len(text) > 80 for text in shown)
    assert any("<EMAIL>" in text for text in shown)


def test_too_little_text(tmp_path):
    with pytest.raises(RequestError, match="too few"):
        train(batches(["one"]), batches(["two"]), tmp_path / "m.bin", SMALL)
    assert not list(tmp_path.iterdir())


# -- the report ------------------------------------------------------------------------------------------------------


def test_measures_by_hand():
    good = np.array([True, True, False, True, False, False])
    scores = np.array([0.95, 0.85, 0.85, 0.4, 0.4, 0.05])
    found = report.measures(good, scores)
    assert found["accuracy"] == round(4 / 6, 6)
    at = {row["min_score"]: row for row in found["thresholds"]}
    assert at[0.5] == {"min_score": 0.5, "precision": round(2 / 3, 6), "recall": round(2 / 3, 6), "bad_kept": 0.333333}
    assert at[0.99]["precision"] is None
    bins = {row["from"]: row for row in found["calibration"]}
    assert bins[0.8]["examples"] == 2
    assert bins[0.8]["mean_score"] == 0.85
    assert bins[0.8]["good"] == 0.5
    assert found["calibration_error"] == round((0.05 + 0.7 + 0.2 + 0.05) / 6, 6)
    assert report.plot(found).count("<circle") == 4
    assert any(line.startswith("0.8 - 0.9") for line in report.lines(found, []))
