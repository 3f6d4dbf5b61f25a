"""Words of a list, with harmless words: against the tools' regular expressions."""

from __future__ import annotations

import json
import random
import re

import numpy as np
import pyarrow as pa
import pytest
from gristmill.console import RequestError
from gristmill.document import DOCUMENT
from gristmill.filters.measures.patterns import lower
from gristmill.filters.measures.texts import Texts
from gristmill.filters.quality.badwords import BadWords
from gristmill.filters.rules import RuleStage
from gristmill.filters.stage import first_verdicts
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

WORDS = [
    "mill",
    "mill stone",
    "stone",
    "he",
    "she",
    "hers",
    "a.b*c",
    "C++",
    "Mühle",
    "ΜΎΛΟΣ",
    "石臼",
    "ll st",
    "k",
    "i",
]


def batch_of(texts: list[str]) -> pa.RecordBatch:
    n = len(texts)
    columns = {f.name: pa.nulls(n, f.type) for f in DOCUMENT}
    columns["key"] = pa.array([i.to_bytes(16, "big") for i in range(n)], DOCUMENT.field("key").type)
    columns["text"] = pa.array(texts, pa.large_string())
    return pa.RecordBatch.from_pydict(columns, DOCUMENT)


def rule(**changes) -> BadWords:
    return BadWords(BadWords.Settings(**changes))


def occurrences(texts: list[str], words: list[str], dialect: str) -> list[int]:
    return rule(words=tuple(words), dialect=dialect).measure(Texts(batch_of(texts))).signals["occurrences"].tolist()


AROUND = {
    "c4": "(?<=[^a-z]){}(?=[^a-z])",
    "datatrove": r"(?<!\w){}(?!\w)",
    "words": r"(?<!\S){}(?!\S)",
    "substring": "{}",
}


def slowly(text: str, words: list[str], dialect: str) -> int:
    """How many (place, word) of `text` there are."""
    small = lower(text)
    if dialect == "words":
        small = re.sub(r"\s+", " ", small)
    count = 0
    for word in {lower(word) for word in words}:
        pattern = re.compile(f"(?={AROUND[dialect].format(re.escape(word))})", re.DOTALL)
        count += sum(1 for _ in pattern.finditer(small))
    return count


FRAGMENTS = [
    *WORDS,
    "MILL",
    "Stone",
    "SHE",
    "mÜHLE",
    "μύλος",
    "\u212a",
    "\u0130",
    "é",
    "_",
    "9",
    "'s",
    "-",
    ".",
    ",",
    "milled",
]
FRAGMENTS += [" "] * 16 + ["\n", "\t", "\xa0", "\u3000", "  ", "\0", "😀", "\u200b", "İ", "ſ"]


def hostile(rng: random.Random) -> str:
    return "".join(rng.choices(FRAGMENTS, k=rng.randrange(25)))


@pytest.mark.parametrize("dialect", AROUND)
def test_equals_the_regular_expressions(dialect):
    rng = random.Random(1)
    texts = [hostile(rng) for _ in range(800)]
    expected = [slowly(text, WORDS, dialect) for text in texts]
    assert occurrences(texts, WORDS, dialect) == expected
    assert 50 < sum(map(bool, expected)) <= 800


@given(
    st.lists(st.text(st.sampled_from("ab cİ\u212aΣςé\n_"), max_size=14), max_size=5),
    st.lists(st.text(st.sampled_from("abckiσé "), min_size=1, max_size=4).filter(str.strip), min_size=1, max_size=6),
    st.sampled_from(sorted(AROUND)),
)
@settings(max_examples=300)
def test_equals_the_regular_expressions_on_any_text(texts, words, dialect):
    words = [" ".join(word.split()) for word in words]
    assert occurrences(texts, words, dialect) == [slowly(text, words, dialect) for text in texts]


@given(st.lists(st.text(), max_size=4))
def test_no_text_raises(texts):
    for dialect in AROUND:
        occurrences(texts, WORDS, dialect)


def test_datatrove(monkeypatch, tmp_path):
    """The verdicts of the installed filter, given a list of our own."""
    from datatrove.data import Document
    from datatrove.pipeline.filters import c4_filters

    harmless = [word.lower() for word in WORDS if word != "ΜΎΛΟΣ"]  # its sigma: see below
    for language in ("en", "ja"):
        (tmp_path / language).write_text("\n".join(harmless), encoding="utf-8")
    monkeypatch.setattr(
        c4_filters,
        "cached_asset_path_or_download",
        lambda url, **_: str(tmp_path / ("ja" if url.endswith("ja") else "en")),
    )
    rng = random.Random(2)
    texts = [hostile(rng) for _ in range(1500)]
    for language, dialect in (("en", "datatrove"), ("ja", "substring")):
        tool = c4_filters.C4BadWordsFilter(default_language=language)
        theirs = [tool.filter(Document(text=text, id="")) is True for text in texts]
        ours = [count == 0 for count in occurrences(texts, harmless, dialect)]
        assert ours == theirs
        assert 20 < sum(theirs) < 1480


def test_the_final_sigma_is_a_sigma():
    """Where the tools tell two small forms of one letter apart, a list in one form finds both here."""
    assert occurrences(["Ο ΜΎΛΟΣ αλέθει", "μύλος", "μύλοσ"], ["ΜΎΛΟΣ"], "datatrove") == [1, 1, 1]


@pytest.mark.parametrize(
    ("dialect", "text", "count"),
    [
        ("c4", "stone by the mill.", 1),  # the first word has nothing before it
        ("c4", " éstone ", 1),  # not one of a to z
        ("datatrove", "stone by the mill.", 2),
        ("datatrove", "a millstone", 0),
        ("datatrove", "mill_stone", 0),
        ("datatrove", "MILL STONE", 3),  # mill, stone and both
        ("words", "the mill, the stone", 1),
        ("words", "mill \n stone", 3),
        ("substring", "millstones", 2),
    ],
)
def test_by_hand(dialect, text, count):
    assert occurrences([text], ["mill", "stone", "mill stone"], dialect) == [count]


def test_ledger_names_the_words_and_the_list():
    stage = RuleStage("quality", [rule(words=("mill", "stone"))])
    outcome = stage(batch_of(["fine", "a Mill and a stone and a mill", "fine too"]))
    (drop,) = first_verdicts(outcome)
    assert (drop.rule, drop.rows.tolist(), drop.values.tolist()) == ("bad_words_max_occurrences", [1], [3])
    assert json.loads(drop.detail[0]) == {"words": ["mill", "stone"]}
    assert rule(words=("mill",)).version != rule(words=("stone",)).version


def test_some_pages_are_kept_by_their_keys():
    texts = ["a mill"] * 4000
    kept = {}
    for fraction in (0.0, 0.1, 1.0):
        measured = rule(words=("mill",), keep_fraction=fraction, seed=3).measure(Texts(batch_of(texts)))
        assert (measured.signals["occurrences"] == 1).all()
        kept[fraction] = measured.signals["counted"] == 0
    assert not kept[0.0].any()
    assert kept[1.0].all()
    assert 320 < kept[0.1].sum() < 480  # 400 expected, a deviation of 19
    backwards = batch_of(texts).take(pa.array(np.arange(4000)[::-1]))
    again = rule(words=("mill",), keep_fraction=0.1, seed=3).measure(Texts(backwards)).signals["counted"] == 0
    np.testing.assert_array_equal(again[::-1], kept[0.1])
    other = rule(words=("mill",), keep_fraction=0.1, seed=4).measure(Texts(batch_of(texts))).signals["counted"] == 0
    assert (other != kept[0.1]).any()


def test_list_in_a_file(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("mill\n\n  mill stone \r\nSteinmühle\n", encoding="utf-8")
    listed = rule(file=str(path), words=("wheel",))
    assert listed.words == ["Steinmühle", "mill", "mill stone", "wheel"]
    with pytest.raises(RequestError, match="cannot be read"):
        rule(file=str(tmp_path / "none.txt"))
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(RequestError, match="cannot be read"):
        rule(file=str(path))


@pytest.mark.parametrize("changes", [{}, {"words": ()}, {"words": (" ",)}, {"words": ("a",), "keep_fraction": 1.5}])
def test_settings_refuse(changes):
    with pytest.raises(ValidationError):
        BadWords.Settings(**changes)


def test_ten_thousand_words_and_a_long_line():
    rng = random.Random(5)
    words = ["".join(rng.choices("abcdefgh", k=rng.randrange(5, 14))) for _ in range(10_000)]
    text = "word " * 1_000_000 + words[7] + " " + words[8].upper()
    assert occurrences([text], words, "datatrove") == [2]
