"""Counts over a batch: by hand on small texts, and the same however the texts come cut, sliced or stored."""

from __future__ import annotations

import sys

import numpy as np
import pyarrow as pa
import pytest
from gristmill.filters.measures import characters
from gristmill.filters.measures.counts import COUNTS, count
from hypothesis import given, settings
from hypothesis import strategies as st

STOP_WORDS = ("the", "of", "and")
TEXTS = st.lists(
    st.text() | st.sampled_from(["", "\n\n", "a\0b", "the of and", "x y x y x y", "…\r\n- b...\n"]), max_size=8
)


def one(text: str) -> dict[str, int]:
    (row,) = count(pa.array([text], pa.large_string()), STOP_WORDS)
    return {name: int(row[name]) for name in COUNTS.names}


def picked(text: str, *names: str) -> list[int]:
    counts = one(text)
    return [counts[name] for name in names]


def test_words():
    names = ("characters", "words", "plain_words", "plain_word_characters", "letter_words")
    assert picked("", *names) == [0, 0, 0, 0, 0]
    assert picked("  one  -- 42 \u3000né!\x1f", *names) == [18, 4, 3, 8, 2]
    assert picked("\0\0 a\0b", *names) == [6, 2, 1, 3, 1]  # NUL cuts no word, and is punctuation
    assert picked("中文字符 𝒜", *names) == [6, 2, 2, 5, 2]


def test_stop_words_are_told_apart_by_capitals_and_counted_once():
    assert picked("the The of, of of", "stop_words") == [2]
    many = [f"w{i}" for i in range(64)]
    assert count(pa.array([" ".join(many)]), many)["stop_words"][0] == 64
    with pytest.raises(ValueError, match="at most 64"):
        count(pa.array(["a"]), [f"w{i}" for i in range(65)])


def test_paragraphs_and_lines():
    paragraphs = ("paragraphs", "duplicate_paragraphs", "duplicate_paragraph_characters")
    lines = ("lines", "duplicate_lines", "duplicate_line_characters")
    text = "\n\nab\ncd\n\n\nab\ncd\n\nx\n"
    assert picked(text, *paragraphs) == [3, 1, 5]
    assert picked(text, *lines) == [7, 3, 4]  # the empty piece before the text comes back after it
    assert picked("\n\n\n", *paragraphs, *lines) == [1, 0, 0, 2, 1, 0]
    assert picked("a\r\na\r\n", *lines) == [3, 1, 2]  # a line keeps its carriage return


def test_ngrams():
    assert picked("a b a b c", "top_2_gram", "top_3_gram", "top_4_gram") == [6, 5, 7]
    assert picked("a", "top_2_gram") == [0]
    assert picked("cc d aa b", "top_2_gram") == [4]  # all occur once: the first counts
    assert picked("one two three four five six " * 3, "duplicate_5_gram") == [19 + 18]  # a hit is jumped over
    # joined without spaces two runs of six words agree, though no two runs of five do
    assert picked("a b c d ef gh x ab cd e f g h", "duplicate_5_gram", "duplicate_6_gram") == [0, 8]


def test_symbols_and_ends_of_lines():
    names = ("hashes", "ellipses", "text_lines", "bullet_lines", "ellipsis_lines")
    assert picked("# a...... …#\n", *names) == [2, 3, 1, 0, 0]
    assert picked(" • a\u2028- b…  \r\n\n-\vc ...\x1c..", *names) == [0, 2, 6, 3, 2]


def test_tables_of_characters_are_pythons():
    table = characters.kinds()
    breaks = {c for c in map(chr, range(sys.maxunicode + 1)) if len(f"a{c}b".splitlines()) == 2}
    assert breaks == set(characters.LINE_BREAKS)
    for bit, is_it in (
        (characters.SPACE, str.isspace),
        (characters.LETTER, str.isalpha),
        (characters.BREAK, breaks.__contains__),
    ):
        assert np.array_equal((table & bit) != 0, [is_it(chr(c)) for c in range(sys.maxunicode + 1)])


@given(TEXTS, st.integers(0, 8), st.integers(0, 8))
@settings(deadline=None, max_examples=100)
def test_counts_do_not_depend_on_how_texts_are_stored(texts, start, length):
    whole = count(pa.array(texts, pa.large_string()), STOP_WORDS)
    assert whole.dtype == COUNTS
    alone = [count(pa.array([text], pa.large_string()), STOP_WORDS)[0] for text in texts]
    assert whole.tolist() == [row.tolist() for row in alone]
    for stored in (pa.large_string(), pa.string()):
        sliced = pa.array(texts, stored).slice(min(start, len(texts)), length)
        assert np.array_equal(count(sliced, STOP_WORDS), whole[start : start + length])
    chunks = pa.chunked_array([texts[:start], texts[start:]], pa.large_string())
    assert np.array_equal(count(chunks, STOP_WORDS), whole)


def test_scratch_memory_grows_and_is_reused_within_a_batch():
    rng = np.random.default_rng(5)
    texts = [" ".join(rng.choice(["a", "bb", "the", "\n", "c\n\nd"], size)) for size in (3, 5000, 1, 40, 9000, 0, 4000)]
    together = count(pa.array(texts, pa.large_string()), STOP_WORDS)
    assert together.tolist() == [count(pa.array([text]), STOP_WORDS)[0].tolist() for text in texts]


def test_null_counts_as_empty():
    assert count(pa.array([None, "a b"], pa.large_string()), STOP_WORDS)["words"].tolist() == [0, 2]
