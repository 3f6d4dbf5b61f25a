"""Perplexity: KenLM asked line by line, beside KenLM itself and beside an ARPA file read by hand; CCNet's own text."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from pathlib import Path

import datatrove.utils.text
import numpy as np
import pyarrow as pa
import pytest
from datatrove.utils.perplexity import KenlmModel
from gristmill.console import RequestError
from gristmill.filters.measures.texts import Texts
from gristmill.filters.perplexity import LanguageModel, ccnet_line
from gristmill.filters.quality.perplexity import Perplexity
from gristmill.filters.rules import RuleStage
from gristmill.pipelines.documents import empty_batch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

WORDS = ("<unk>", "<s>", "</s>", "the", "cat", "sat", "on", "mat", ".", "0")


def arpa() -> str:
    """A bigram model over a handful of words: log10 probabilities and back-offs made up, ten pairs known."""
    pairs = [("<s>", "the"), ("the", "cat"), ("cat", "sat"), ("sat", "on"), ("on", "the"), ("the", "mat"), ("mat", ".")]
    pairs += [(".", "</s>"), ("0", "0"), ("<s>", "0")]
    lines = ["\\data\\", f"ngram 1={len(WORDS)}", f"ngram 2={len(pairs)}", "", "\\1-grams:"]
    for i, word in enumerate(WORDS):
        chance = -99 if word == "<s>" else -0.5 - 0.11 * i
        lines.append(f"{chance}\t{word}" + ("" if word in ("<unk>", "</s>") else f"\t{-0.1 - 0.03 * i}"))
    lines += ["", "\\2-grams:", *(f"{-0.2 - 0.07 * i}\t{a} {b}" for i, (a, b) in enumerate(pairs)), "", "\\end\\", ""]
    return "\n".join(lines)


def by_hand(text: str) -> float:
    """The perplexity of a text, each line with its end, from the ARPA file: a known pair, else back-off and word."""
    chances: dict[tuple[str, ...], float] = {}
    backoffs: dict[str, float] = {}
    for line in arpa().splitlines():
        fields = line.split("\t")
        if len(fields) > 1:
            chances[tuple(fields[1].split(" "))] = float(fields[0])
            backoffs[fields[1]] = float(fields[2]) if len(fields) > 2 else 0.0
    total, tokens = 0.0, 0
    for line in text.split("\n"):
        words = [w if w in WORDS else "<unk>" for w in line.split(" ") if w]
        for before, word in zip(["<s>", *words], [*words, "</s>"] if words else [], strict=False):
            pair = chances.get((before, word))
            total += backoffs[before] + chances[(word,)] if pair is None else pair
            tokens += 1
    return 10 ** (-total / tokens) if tokens else math.nan


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    pytest.importorskip("kenlm")
    path = tmp_path_factory.mktemp("perplexity") / "small.arpa"
    path.write_text(arpa())
    return path


TEXTS = [
    "the cat sat on the mat .",
    "the cat\nsat on the mat .\n",
    "0 0 0 0",
    "mat mat dog 0 the",
    "unknown words only",
    "\n\nthe\n\n\n",
    "",
    " \n ",
]


def test_beside_the_file_read_by_hand(model):
    found = [LanguageModel(str(model), ccnet=False).perplexity(text) for text in TEXTS]
    np.testing.assert_allclose(found, [by_hand(text) for text in TEXTS], rtol=1e-6)


def test_a_line_has_kenlm_s_own_perplexity(model):
    import kenlm

    ours, theirs = LanguageModel(str(model), ccnet=False), kenlm.Model(str(model))
    for text in TEXTS[:1] + TEXTS[2:5]:
        assert ours.perplexity(text) == pytest.approx(theirs.perplexity(text), rel=1e-12)


class Pieces:
    """In the place of datatrove's tokeniser: words stay words."""

    def tokenize(self, text: str) -> str:
        return " ".join(text.split())


def test_a_normalised_line_has_datatrove_s_perplexity(model):
    import kenlm

    theirs = KenlmModel("none", "en")
    theirs._model, theirs._tokenizer = kenlm.Model(str(model)), Pieces()
    assert LanguageModel(str(model)).perplexity("44") != LanguageModel(str(model)).perplexity("4")
    ours = LanguageModel(str(model))
    for text in ("The CAT sat on the mát .", "1 2 3 44 “the” mat…", "die Katze — the cat。"):
        assert round(ours.perplexity(text), 1) == theirs.get_perplexity(text)


# -- CCNet's text ----------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def each_digit_a_zero(monkeypatch):
    """CCNet writes a 0 for each digit; datatrove's copy one for a whole number, which CCNet's models never saw."""
    monkeypatch.setattr(datatrove.utils.text, "NUMBERS_PATTERN", re.compile(r"\d"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=40))
@example("Élève № 12 — “Ça”… ３４ ｆｕｌｌ １")
@example("한국어 がぎぐ İI ß ΑΣ")
@example("a\tb\x00c\x85d")
def test_ccnet_s_normalisation(line):
    """The words of datatrove's copy of it, which strips at another moment."""
    assert ccnet_line(line).split() == KenlmModel("none", "en").normalize(line.strip()).split()


# -- the rule --------------------------------------------------------------------------------------------------------


def documents(texts: list[str]) -> pa.RecordBatch:
    schema = empty_batch().schema
    columns = [pa.array(texts, f.type) if f.name == "text" else pa.nulls(len(texts), f.type) for f in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def test_the_rule(model):
    rule = Perplexity(Perplexity.Settings(model=str(model), max_perplexity=5.0))
    assert rule.files() == (str(model),)
    found = rule.measure(Texts(documents(TEXTS))).signals["perplexity"]
    expected = np.array([by_hand(text) for text in TEXTS])
    np.testing.assert_allclose(found, expected, rtol=1e-6)  # these texts are as CCNet would have them
    outcome = RuleStage("quality", [rule])(documents(TEXTS))
    (drops,) = outcome.drops
    assert drops.rule == "kenlm_max_perplexity"
    assert drops.rows.tolist() == np.flatnonzero(expected > 5).tolist()
    assert 0 < len(drops.rows) < len(TEXTS)
    assert np.isnan(outcome.signals["kenlm_perplexity"][-1])  # no words: not measured, so it stays
    assert rule.measure(Texts(empty_batch())).signals["perplexity"].shape == (0,)
    texts = Texts(documents(TEXTS))
    texts.active[:] = [True, False] * 4
    some = rule.measure(texts).signals["perplexity"]
    assert some[texts.active].tobytes() == found[texts.active].tobytes()


def test_it_never_raises(model):
    rule = Perplexity(Perplexity.Settings(model=str(model)))

    @given(st.lists(st.text(st.characters(codec="utf-8")), max_size=5))
    @example(["\0", "the \0 cat", "<s> </s> <unk>", "\u2028\x1c\x85\xa0", "😀" * 1000, "x" * 1_000_000, "x " * 100_000])
    def check(texts):
        found = rule.measure(Texts(documents(texts))).signals["perplexity"]
        assert not (found < 1).any()
        alone = [rule.measure(Texts(documents([text]))).signals["perplexity"][0] for text in texts]
        assert np.array(alone, np.float64).tobytes() == found.tobytes()

    check()


def ask(rule: Perplexity) -> None:
    """As a run does: first what is cheap, then the model."""
    rule.files()
    rule.measure(Texts(empty_batch()))


def test_errors_name_the_key(model, tmp_path):
    (tmp_path / "text.arpa").write_text("no model")
    for more, message in (
        ({"model": str(tmp_path / "none.arpa")}, r"quality\.perplexity\.model: .*none\.arpa: no such file"),
        ({"model": str(tmp_path)}, r"quality\.perplexity\.model: .*: no such file"),
        ({"model": str(tmp_path / "text.arpa")}, r"quality\.perplexity\.model: .*text\.arpa: not a model of KenLM"),
        ({"model": str(model), "pieces": "none.model"}, r"quality\.perplexity\.pieces: none\.model: no such file"),
    ):
        rule = Perplexity(Perplexity.Settings(**more))
        with pytest.raises(RequestError, match=message):
            ask(rule)


def test_without_the_library(tmp_path):
    """One line that says what to install; and no import of it before it is needed."""
    (tmp_path / "m.arpa").write_text(arpa())
    code = (
        "import sys; sys.modules['kenlm'] = None\n"
        "from gristmill.console import RequestError\n"
        "from gristmill.filters.quality.perplexity import Perplexity\n"
        "try: Perplexity(Perplexity.Settings(model='m.arpa')).files()\n"
        "except RequestError as error: print(error)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, capture_output=True, text=True)
    assert run.stdout.startswith("quality.perplexity: the module kenlm was not found; pip install kenlm")
    assert run.stdout.count("\n") == 1


def test_pieces_of_sentencepiece(model, tmp_path):
    """CCNet's way: the whole text one normalised line, cut into pieces that are the model's words."""
    sentencepiece = pytest.importorskip("sentencepiece")
    import kenlm

    (tmp_path / "text").write_text("the cat sat on the mat .\n" * 100)
    sentencepiece.SentencePieceTrainer.train(
        input=str(tmp_path / "text"), model_prefix=str(tmp_path / "sp"), vocab_size=15, minloglevel=2
    )
    theirs = KenlmModel("none", "en")
    theirs._model = kenlm.Model(str(model))
    theirs._tokenizer = type("Tokenizer", (), {})()
    cut = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "sp.model"))
    theirs._tokenizer.tokenize = lambda text: " ".join(cut.encode_as_pieces(text))
    ours = LanguageModel(str(model), pieces=str(tmp_path / "sp.model"))
    for text in ("The cat\nsat 12.", "on the mat . \n\n the"):
        assert round(ours.perplexity(text), 1) == theirs.get_perplexity(text)
