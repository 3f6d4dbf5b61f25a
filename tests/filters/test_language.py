"""The stage `language` against stored answers of lid.176, and what it says when it cannot work."""

from __future__ import annotations

import importlib.util
import io
import json
import shutil
import sys

import numpy as np
import pyarrow as pa
import pytest
import zstandard
from gristmill.console import RequestError
from gristmill.document import DOCUMENT
from gristmill.filters.language import Language, LanguageSettings, _bundled_model
from gristmill.filters.stage import first_verdicts

TEXTS = [
    "The mill grinds the grain between two stones, and the miller listens to the sound.",
    "Die Mühle mahlt das Korn zwischen zwei Steinen, und der Müller hört auf den Klang.",
    "Le moulin moud le grain entre deux pierres, et le meunier écoute le son.",
    "x",
]


def batch_of(texts: list[str | None]) -> pa.RecordBatch:
    columns = {f.name: pa.nulls(len(texts), f.type) for f in DOCUMENT}
    columns["text"] = pa.array(texts, pa.large_string())
    columns["language"] = pa.array(["xx"] * len(texts), pa.string())
    return pa.RecordBatch.from_pydict(columns, DOCUMENT)


@pytest.fixture(scope="module")
def labeller() -> Language:
    return Language(LanguageSettings())


def test_equals_the_stored_answers(shared_data, labeller):
    with zstandard.open(shared_data / "models" / "lid176-oracle-part1.jsonl.zst", "rb") as raw:
        rows = list(map(json.loads, io.TextIOWrapper(raw, encoding="utf-8")))
    assert len(rows) > 2000
    outcome = labeller(batch_of([row["text"] for row in rows]))
    best = [row["top3"][0] for row in rows]
    assert outcome.batch.column("language").to_pylist() == [label for label, _ in best]
    np.testing.assert_allclose(outcome.signals["language_score"], [min(p, 1.0) for _, p in best], atol=1e-6, rtol=0)


def test_labels_replace_the_column_and_drop_nothing(labeller):
    outcome = labeller(batch_of(TEXTS))
    assert outcome.batch.column("language").to_pylist()[:3] == ["en", "de", "fr"]
    assert outcome.batch.schema == DOCUMENT
    assert outcome.drops == []
    scores = outcome.signals["language_score"]
    assert scores.dtype == np.float64
    assert ((scores > 0) & (scores <= 1)).all()


def test_drops_by_label_then_by_score(labeller):
    scores = labeller(batch_of(TEXTS)).signals["language_score"]
    outcome = Language(LanguageSettings(keep=("en", "fr"), min_score=0.9))(batch_of(TEXTS))
    by_label, by_score = outcome.drops
    assert (by_label.rule, int(by_label.rows[0]), by_label.detail[0]) == ("language", 1, '{"language": "de"}')
    np.testing.assert_array_equal(by_label.values, scores[by_label.rows])
    assert (by_score.rule, by_score.threshold) == ("language_score", 0.9)
    assert list(by_score.rows) == list(np.flatnonzero(scores < 0.9))
    assert 3 in by_score.rows
    verdicts = {int(row): drop.rule for drop in first_verdicts(outcome) for row in drop.rows}
    assert verdicts[1] == "language"
    assert 0 not in verdicts


def test_whole_text_is_read_and_lines_are_one(labeller):
    english, german = TEXTS[0], TEXTS[1]
    assert labeller.predict(english.replace(" ", "\n")) == labeller.predict(english)
    assert labeller.predict("menu\n\n" + (german + "\n") * 20)[0] == "de"
    assert labeller.predict(f"</s> {german}") == labeller.predict(f"  {german}")


@pytest.mark.parametrize("text", ["", "\n", "\0", "__label__en", "</s>", "\U0010ffff", "\u2028", "a" * 100_000])
def test_odd_texts_get_a_label(labeller, text):
    label, score = labeller.predict(text)
    assert isinstance(label, str)
    assert 0 <= score <= 1


def test_batches_and_slices_agree(labeller):
    whole = batch_of([*TEXTS, None, ""])
    outcome = labeller(whole)
    for row in range(6):
        alone = labeller(whole.slice(row, 1))
        assert alone.batch.column("language")[0] == outcome.batch.column("language")[row]
        assert alone.signals["language_score"][0] == outcome.signals["language_score"][row]
    assert labeller(batch_of([])).signals["language_score"].shape == (0,)


def test_unknown_label_is_refused():
    with pytest.raises(RequestError, match=r"no label english; it knows .*en"):
        Language(LanguageSettings(keep=("en", "english")))


def test_model_file_is_checked(tmp_path):
    with pytest.raises(RequestError, match="no such file"):
        Language(LanguageSettings(model=str(tmp_path / "absent.ftz")))
    (tmp_path / "text.bin").write_text("this is no model")
    with pytest.raises(RequestError, match="not a fastText model"):
        Language(LanguageSettings(model=str(tmp_path / "text.bin")))


def test_a_model_of_the_users_own_needs_no_other(tmp_path, monkeypatch, labeller):
    shutil.copy(_bundled_model(), tmp_path / "own.ftz")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    stage = Language(LanguageSettings(model=str(tmp_path / "own.ftz"), keep=("de",)))
    outcome = stage(batch_of(TEXTS))
    assert outcome.batch.column("language") == labeller(batch_of(TEXTS)).batch.column("language")
    assert 1 not in outcome.drops[0].rows


def test_says_how_to_install(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(importlib.util, "find_spec", lambda name: None)
        with pytest.raises(RequestError, match=r"lid\.176 was not found; install gristmill\[pipelines\]"):
            Language(LanguageSettings())
    monkeypatch.setitem(sys.modules, "fasttext", None)
    with pytest.raises(RequestError, match="fasttext was not found; install"):
        Language(LanguageSettings())
