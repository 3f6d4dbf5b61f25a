"""Where the dialects of Gopher's rules differ: small documents, with the values worked out beside them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from gristmill.filters.quality.gopher import GopherQuality, GopherRepetition
from gristmill.filters.rules import RuleStage
from gristmill.filters.stage import first_verdicts

DIALECTS = ("datatrove", "dolma", "dclm", "paper")


def run(rule, text: str):
    batch = pa.RecordBatch.from_arrays(
        [pa.array([text], pa.large_string()), pa.nulls(1, pa.string())], ["text", "language"]
    )
    return RuleStage("quality", [rule])(batch)


def signals(text: str, **values) -> dict[str, float]:
    """All signals of both rules, without their prefix."""
    measured = {}
    for kind in (GopherRepetition, GopherQuality):
        measured |= run(kind(kind.Settings(**values)), text).signals
    return {name.removeprefix("gopher_"): float(value[0]) for name, value in measured.items()}


def quality(text: str) -> dict[str, str | None]:
    """The first rule of quality that each dialect finds broken."""
    found = {}
    for dialect in DIALECTS:
        drops = first_verdicts(run(GopherQuality(GopherQuality.Settings(dialect=dialect)), text))
        found[dialect] = drops[0].rule.removeprefix("gopher_") if drops else None
    return found


FILLER = " ".join(f"word{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(48))  # 48 words, all different, of 6


def test_two_stop_words_one_of_them_glued_to_a_full_stop():
    # 50 words, "the" once and "and." once: by white space "and." is no stop word, so there is one
    assert set(quality(FILLER + " the and.").values()) == {"min_stop_words"}
    # with spaCy's words the full stop is a token of its own: datatrove's own verdict
    spacy = signals(FILLER + " the and.", words="spacy")
    assert (spacy["stop_words"], spacy["words"]) == (2, 50)


def test_the_same_stop_word_twice_or_in_capitals_counts_for_some():
    expected = {"datatrove": "min_stop_words", "paper": "min_stop_words", "dolma": None, "dclm": None}
    assert quality(FILLER + " the the") == expected
    assert quality(FILLER + " THE AND OF") == dict.fromkeys(DIALECTS, "min_stop_words") | {"dclm": None}


def test_forty_nine_words_and_a_lone_mark():
    # the lone full stop is a fiftieth word by white space; datatrove and DCLM do not count it
    text = " ".join(FILLER.split()[:47]) + " the and ."
    assert len(text.split()) == 50
    assert quality(text) == {"datatrove": "min_words", "dclm": "min_words", "dolma": None, "paper": None}


@pytest.mark.parametrize(
    ("bullet", "who"),
    [
        ("*", {"dolma", "dclm"}),
        ("-", {"datatrove", "dolma", "dclm"}),
        ("•", {"datatrove", "dclm", "paper"}),
        ("●", {"dclm", "paper"}),
        ("◦", {"paper"}),
    ],
)
def test_bullets(bullet, who):
    words = f"{FILLER} the and of to {FILLER.upper()}".split()  # DCLM does not count the word with the bullet
    lines = [f"{bullet}{' '.join(words[i : i + 4])}" for i in range(0, 100, 4)]
    assert {d for d, rule in quality("\n".join(lines)).items() if rule == "max_bullet_lines"} == who
    # a space before the bullet: dolma does not strip
    shifted = {d for d, rule in quality("\n".join(" " + line for line in lines)).items() if rule == "max_bullet_lines"}
    assert shifted == who - {"dolma"}


@pytest.mark.parametrize(
    ("end", "who"),
    [
        ("...", {"datatrove", "dclm", "paper"}),
        ("…", {"datatrove", "dolma", "dclm", "paper"}),
        (" . . .", {"dclm"}),
        ("… ", {"datatrove", "dclm", "paper"}),
    ],
)
def test_lines_that_end_in_an_ellipsis(end, who):
    words = (FILLER + " the and of to").split()
    lines = [" ".join(words[i : i + 13]) + end for i in range(0, 52, 13)]  # 4 of 52 words: under the symbol ratio
    assert {d for d, rule in quality("\n".join(lines)).items() if rule == "max_ellipsis_lines"} == who


def test_symbols_together_or_each_on_its_own():
    # 4 number signs and 4 ellipses among 60 words: 4/60 each, 8/60 together
    text = f"{FILLER} the and of to {'so… ' * 4}{'#tag ' * 4}"
    for dialect in ("datatrove", "paper"):
        numbers = signals(text, dialect=dialect)
        assert (numbers["hash_ratio"], numbers["ellipsis_ratio"]) == (4 / 60, 4 / 60)
        assert np.isnan(numbers["symbol_ratio"])
    for dialect in ("dolma", "dclm"):
        assert signals(text, dialect=dialect)["symbol_ratio"] == 8 / 60
    assert quality(text) == {"datatrove": None, "paper": None, "dolma": "max_symbol_ratio", "dclm": "max_symbol_ratio"}
    # three in one word: dolma counts the word, DCLM the marks
    assert signals("a ### b", dialect="dolma")["symbol_ratio"] == 1 / 3
    assert signals("a ### b", dialect="dclm")["symbol_ratio"] == 3 / 3


def test_mean_and_median_of_word_lengths():
    text = "a b c ddddddddd"
    assert signals(text, dialect="paper")["mean_word_length"] == 12 / 4
    assert signals(text, dialect="dolma")["mean_word_length"] == 1
    assert signals(text + " ee", dialect="dolma")["mean_word_length"] == 1
    assert signals("a bb ccc dddd", dialect="dolma")["mean_word_length"] == 2.5
    assert signals("aaaa -- .", dialect="datatrove")["mean_word_length"] == 4  # marks alone have no length
    assert signals("aaaa -- .", dialect="dclm")["mean_word_length"] == 7 / 3


def test_repeats_after_the_first_or_all_copies():
    text = "one line\nother\none line\nlast"
    for dialect, expected in {"datatrove": 1 / 4, "paper": 1 / 4, "dolma": 2 / 4, "dclm": 2 / 4}.items():
        assert signals(text, dialect=dialect)["duplicate_lines"] == expected
    characters = {"datatrove": 8 / 28, "paper": 8 / 25, "dolma": 16 / 23, "dclm": 16 / 25}
    for dialect, expected in characters.items():
        assert signals(text, dialect=dialect)["duplicate_line_characters"] == expected
    # empty lines are lines for dolma alone
    assert signals("a\n\n\nb", dialect="dolma")["duplicate_lines"] == 2 / 4
    assert signals("a\n\n\nb", dialect="datatrove")["duplicate_lines"] == 0


def test_an_ngram_that_occurs_once():
    expected = {"datatrove": 5 / 5, "dolma": 4 / 4, "dclm": 0, "paper": 0}
    for dialect, value in expected.items():
        assert signals("ab cd", dialect=dialect)["top_2_gram"] == value


def test_the_most_frequent_ngram_of_equals():
    # "aa bb" and "cc dddd" twice each: the first met, or DCLM's longest; 16 letters without the spaces, 31 with
    text = "aa bb x1 cc dddd y2 aa bb z3 cc dddd"
    letters = len(text.replace(" ", ""))
    assert signals(text, dialect="datatrove")["top_2_gram"] == 2 * 5 / len(text)
    assert signals(text, dialect="dolma")["top_2_gram"] == 2 * 4 / letters
    assert signals(text, dialect="paper")["top_2_gram"] == 2 * 4 / letters
    assert signals(text, dialect="dclm")["top_2_gram"] == 2 * 6 / letters


def test_repeated_runs_of_words():
    # a b c d e f | x | a b c d e f: two 5-grams occur twice each, over twelve words of one letter
    text = "a b c d e f x a b c d e f"
    assert signals(text, dialect="datatrove")["duplicate_5_grams"] == 5 / 25  # one hit, jumped over
    assert signals(text, dialect="dolma")["duplicate_5_grams"] == 20 / 45  # four of nine 5-grams
    assert signals(text, dialect="dclm")["duplicate_5_grams"] == 12 / 13  # every word but x
    assert signals(text, dialect="paper")["duplicate_5_grams"] == 12 / 13
    assert signals("- " + text, dialect="dclm")["duplicate_5_grams"] == 12 / 13  # a hyphen alone is no word
