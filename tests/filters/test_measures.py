"""Counts over a batch: by hand on small texts, and the same however the texts come cut, sliced or stored."""

from __future__ import annotations

import re
import sys
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from gristmill.document import text_buffers
from gristmill.filters.measures import characters
from gristmill.filters.measures.c4_lines import clean
from gristmill.filters.measures.counts import Pieces, line_counts, piece_counts
from gristmill.filters.measures.ngrams import copied_ngrams, scanned_ngrams
from gristmill.filters.measures.texts import Texts
from gristmill.filters.measures.words import word_counts
from hypothesis import given, settings
from hypothesis import strategies as st

STOP_WORDS = ("the", "of", "and")
TEXTS = st.lists(
    st.text() | st.sampled_from(["", "\n\n", "a\0b", "the of and", "x y x y x y", "…\r\n- b...\n"]), max_size=8
)


def texts_of(column: pa.Array | list[str]) -> Texts:
    column = column if isinstance(column, pa.Array) else pa.array(column, pa.large_string())
    return Texts(pa.RecordBatch.from_arrays([column], ["text"]))


def counts(texts: Texts) -> list[np.ndarray]:
    """Everything there is to count."""
    return [
        line_counts(texts),
        piece_counts(texts, Pieces(runs=False, bullets="*-")),
        piece_counts(texts, Pieces(2, strip=True, blank=False)),
        word_counts(texts, "whitespace", STOP_WORDS, median=True),
        scanned_ngrams(texts, "whitespace"),
        copied_ngrams(texts, "whitespace", headed=True),
    ]


def picked(text: str, *names: str) -> list[int]:
    texts = texts_of([text])
    known: dict[str, int] = {}
    for rows in (
        line_counts(texts),
        scanned_ngrams(texts, "whitespace"),
        word_counts(texts, "whitespace", STOP_WORDS, median=True),
    ):
        known |= {name: int(rows[name][0]) for name in rows.dtype.names}
    return [known[name] for name in names]


def test_words():
    names = ("characters", "words", "plain_words", "plain_letters", "letter_words", "headed_words", "marked_words")
    assert picked("", *names) == [0, 0, 0, 0, 0, 0, 0]
    assert picked("  one  -- 42 \u3000né!\x1f", *names) == [18, 4, 3, 8, 2, 3, 0]
    assert picked("\0\0 a\0b", *names) == [6, 2, 1, 3, 1, 1, 0]  # NUL cuts no word, and is punctuation
    assert picked("中文字符 𝒜 a# …", *names) == [11, 4, 3, 7, 3, 3, 2]


def test_stop_words_are_told_apart_by_capitals():
    assert picked("the The of, of of", "different_stop_words", "stop_words") == [2, 3]
    many = [f"w{i}" for i in range(64)]
    assert word_counts(texts_of([" ".join(many)]), "whitespace", many)["different_stop_words"][0] == 64
    with pytest.raises(ValueError, match="at most 64"):
        word_counts(texts_of(["a"]), "whitespace", [f"w{i}" for i in range(65)])


def test_paragraphs_and_lines():
    paragraphs = ("paragraphs", "duplicate_paragraphs", "duplicate_paragraph_characters")
    lines = ("lines", "duplicate_lines", "duplicate_line_characters")
    text = "\n\nab\ncd\n\n\nab\ncd\n\nx\n"
    assert picked(text, *paragraphs) == [3, 1, 5]
    assert picked(text, *lines) == [7, 3, 4]  # the empty piece before the text comes back after it
    assert picked("\n\n\n", *paragraphs, *lines) == [1, 0, 0, 2, 1, 0]
    assert picked("a\r\na\r\n", *lines) == [3, 1, 2]  # a line keeps its carriage return
    assert picked(" a\n\na ", *paragraphs, *lines) == [2, 1, 1, 2, 0, 0]  # the text is stripped, a line is not


def test_lines_that_are_not_blank():
    names = ("filled_lines", "ended_lines", "short_lines", "duplicate_filled_line_characters", "newlines")
    assert picked("", *names) == [0, 0, 0, 0, 0]
    assert picked("\n \n\t\n", *names) == [0, 0, 0, 0, 3]
    assert picked("A.\nB. \nC。\nA.\r\n", *names) == [4, 2, 4, 0, 4]  # white space at the end is the end
    assert picked("ab\n\n ab\nab\n  \n  \n", *names) == [3, 0, 3, 2, 6]  # blank lines repeat nothing
    assert picked("é" * 30 + "\n" + "é" * 31, *names) == [2, 0, 1, 0, 1]
    ended = line_counts(texts_of(["a;\nb.\n"]), short=1, ends=";")
    assert (ended["ended_lines"][0], ended["short_lines"][0]) == (1, 0)


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
    assert picked("\0- a\n.. .\n. ...", *names) == [0, 1, 3, 0, 1]


def test_tables_of_characters_are_pythons():
    table = characters.kinds()
    breaks = {c for c in map(chr, range(sys.maxunicode + 1)) if len(f"a{c}b".splitlines()) == 2}
    assert breaks == set(characters.LINE_BREAKS)
    for bit, is_it in (
        (characters.SPACE, str.isspace),
        (characters.LETTER, str.isalpha),
        (characters.ALNUM, str.isalnum),
        (characters.BREAK, breaks.__contains__),
    ):
        assert np.array_equal((table & bit) != 0, [is_it(chr(c)) for c in range(sys.maxunicode + 1)])


@given(TEXTS, st.integers(0, 8), st.integers(0, 8))
@settings(deadline=None, max_examples=100)
def test_counts_do_not_depend_on_how_texts_are_stored(texts, start, length):
    whole = counts(texts_of(texts))
    for text, *rows in zip(texts, *whole, strict=True):
        assert [row.tolist() for row in rows] == [one[0].tolist() for one in counts(texts_of([text]))]
    for stored in (pa.large_string(), pa.string()):
        sliced = pa.array(texts, stored).slice(min(start, len(texts)), length)
        for got, expected in zip(counts(texts_of(sliced)), whole, strict=True):
            assert np.array_equal(got, expected[start : start + length])


@given(TEXTS, st.lists(st.booleans(), min_size=8, max_size=8))
@settings(deadline=None, max_examples=60)
def test_rows_that_are_not_active_cost_nothing_and_come_later(texts, asked):
    whole, some = counts(texts_of(texts)), texts_of(texts)
    for active in (asked[: len(texts)], [not a for a in asked[: len(texts)]], [True] * len(texts)):
        some.active = np.array(active, bool)
        for got, expected in zip(counts(some), whole, strict=True):
            assert np.array_equal(got[some.active], expected[some.active])


def test_scratch_memory_grows_and_is_reused_within_a_batch():
    rng = np.random.default_rng(5)
    sizes = (3, 5000, 1, 40, 9000, 0, 4000)
    texts = [" ".join(rng.choice(["a", "bb", "the", "\n", "c\n\nd"], size)) for size in sizes]
    # the table of a document of some thousand words is larger than that of one with a few more
    texts = ["", *[" ".join(map(str, range(size))) for size in (4095, 4097)], "\n".join(map(str, range(4095))), *texts]
    together = counts(texts_of(texts))
    for i, text in enumerate(texts):
        assert [rows[i].tolist() for rows in together] == [rows[0].tolist() for rows in counts(texts_of([text]))]


def test_null_counts_as_empty():
    texts = texts_of(pa.array([None, "a b"], pa.large_string()))
    assert word_counts(texts, "whitespace")["words"].tolist() == [0, 2]


# -- the kernels look at many bytes at a time: the same counted by Python, wherever it stands --------------------------

LINE_PARTS = [*"\n\r\v\f\x1c\x1f\x85\u2028 \t\xa0….#•é😀", "\n\n", "\r\n", "...", "..", "- b", "a line", "a line."]
LINE_PARTS += ["the same line, longer than the others!", "x" * 29, "y" * 70]


def by_python(text: str) -> dict[str, int]:
    """What `line_counts` counts."""
    ends, short = set(characters.SENTENCE_ENDS), 30
    lines, paragraphs = re.split(r"\n+", text), re.split(r"\n{2,}", text.strip())
    repeats = {
        name: [p for i, p in enumerate(pieces) if p in pieces[:i]]
        for name, pieces in (("line", lines), ("paragraph", paragraphs))
    }
    filled = [line for line in lines if line.strip()]
    cut = [line.strip() for line in text.splitlines()]
    return {
        "characters": len(text),
        "newlines": text.count("\n"),
        "hashes": text.count("#"),
        "ellipses": text.count("…") + text.count("..."),
        "paragraphs": len(paragraphs),
        "duplicate_paragraphs": len(repeats["paragraph"]),
        "duplicate_paragraph_characters": sum(map(len, repeats["paragraph"])),
        "lines": len(lines),
        "duplicate_lines": len(repeats["line"]),
        "duplicate_line_characters": sum(map(len, repeats["line"])),
        "text_lines": len(cut),
        "bullet_lines": sum(line.startswith(("•", "-")) for line in cut),
        "ellipsis_lines": sum(line.endswith(("…", "...")) for line in cut),
        "filled_lines": len(filled),
        "ended_lines": sum(line[-1] in ends for line in filled),
        "short_lines": sum(len(line) <= short for line in filled),
        "duplicate_filled_line_characters": sum(len(line) for line in repeats["line"] if line.strip()),
    }


def test_lines_at_every_place_of_a_block():
    texts = [f"{'x' * k}{part}{'x' * more}" for part in LINE_PARTS for k in range(130) for more in (0, 9)]
    rows = line_counts(texts_of(texts))
    for text, row in zip(texts, rows, strict=True):
        assert dict(zip(rows.dtype.names, row.tolist(), strict=True)) == by_python(text), text


@given(st.lists(st.lists(st.sampled_from(LINE_PARTS), max_size=30).map("".join), min_size=1, max_size=4))
@settings(deadline=None, max_examples=300)
def test_lines_are_those_that_python_counts(texts):
    rows = line_counts(texts_of(texts))
    for text, row in zip(texts, rows, strict=True):
        assert dict(zip(rows.dtype.names, row.tolist(), strict=True)) == by_python(text), text


@given(
    st.lists(
        st.lists(
            st.sampled_from(["a", "b", "ab", "ba", "aba", "é", "ab#", "abaababa", "abaababab", "a" * 17]), max_size=60
        ),
        min_size=1,
        max_size=3,
    ),
    st.sampled_from([" ", "  ", "\n", "\u3000"]),
)
@settings(deadline=None, max_examples=300)
def test_ngrams_are_those_that_python_counts(documents, blank):
    rows = scanned_ngrams(texts_of([blank.join(words) for words in documents]), "whitespace")
    for words, row in zip(documents, rows, strict=True):
        for n in (2, 3, 4):
            grams = Counter(" ".join(words[i : i + n]) for i in range(len(words) - n + 1))
            top, count = max(grams.items(), key=lambda item: item[1], default=("", 0))  # of several the first
            assert row[f"top_{n}_gram"] == len(top) * count
        for n in range(5, 11):
            seen, repeated, i = set(), 0, 0
            while i < len(words) - n + 1:
                gram = "".join(words[i : i + n])
                repeated += len(gram) if gram in seen else 0
                i += n if gram in seen else 1
                seen.add(gram)
            assert row[f"duplicate_{n}_gram"] == repeated


@pytest.mark.parametrize("phrases", [["terms of use", "cookie"], ["No, Kelvin!", "ß privacy", "abc"]])
def test_no_phrase_is_missed_wherever_it_stands(phrases):
    """Lines are sieved before they are searched."""
    known = ["javascript", *phrases]
    lines = [f"{'.' * k} {phrase}{'.' * (k % 11)}" for phrase in known for k in range(40)]
    lines += [line.upper() for line in lines] + [line.replace("k", "\u212a") for line in lines]
    lines += [line.replace("s", "t").replace("b", "d").replace("n", "m").replace("p", "q") for line in lines]
    page = "\n".join(lines)
    found = clean(
        *text_buffers(pa.array([page, page[:30], ""], pa.large_string())),
        np.ones(3, bool),
        max_word_length=None,
        min_words=0,
        words_after_citations=True,
        terminal=None,
        citations=False,
        javascript=True,
        policy=phrases,
        keep_lines=False,
    )
    has = [any(phrase.lower() in line.lower() for phrase in known) for line in lines]
    assert 0 < sum(has) < len(lines)
    assert found.counts["kept_lines"][0] == len(lines) - sum(has)
