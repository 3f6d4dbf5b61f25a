"""Words and shingles against plain Python over strings: the same words, sets of the same sizes and intersections."""

from __future__ import annotations

import itertools
import re
import sys

import numpy as np
import pyarrow as pa
import pytest
from gristmill.dedup.normalise import PAD, room, rule
from gristmill.dedup.settings import ShingleSettings
from gristmill.dedup.shingles import BLOCK, EDGES, prepare, shingle_sets
from hypothesis import example, given, settings
from hypothesis import strategies as st

DEFAULT = ShingleSettings()
OPTIONS = [
    ShingleSettings(shingle=shingle, lowercase=lowercase, words=words)
    for shingle in ("words", "characters")
    for lowercase in (True, False)
    for words in ("alphanumeric", "whitespace")
]


def named(options: ShingleSettings) -> str:
    return f"{options.shingle}-{options.words}-{'lower' if options.lowercase else 'as written'}"


def words_of(text: str, options: ShingleSettings) -> list[str]:
    text = text.lower() if options.lowercase else text
    return re.findall(r"\w+", text) if options.words == "alphanumeric" else text.split()


def plain(text: str, options: ShingleSettings) -> set:
    parts = words_of(text, options)
    parts = " ".join(parts) if options.shingle == "characters" else tuple(parts)
    n = options.ngram
    return {parts[i : i + n] for i in range(max(1, len(parts) - n + 1))} if parts else set()


def sets(texts: list[str], options: ShingleSettings) -> list[set[int]]:
    values, offsets = shingle_sets(pa.array(texts, pa.large_string()), options)
    result = [values[a:b] for a, b in itertools.pairwise(offsets)]
    assert all((part[1:] > part[:-1]).all() for part in result)  # ascending, each once
    return [set(part.tolist()) for part in result]


def assert_same(texts: list[str], options: ShingleSettings) -> None:
    """The hashes are a one-to-one renaming of the shingles, over all texts together."""
    ours, theirs = sets(texts, options), [plain(text, options) for text in texts]
    assert [len(s) for s in ours] == [len(s) for s in theirs]
    assert len(set().union(*ours)) == len(set().union(*theirs))
    for a in range(len(texts)):
        for b in range(a):
            assert len(ours[a] & ours[b]) == len(theirs[a] & theirs[b])


def joined(text: str, lowercase: bool, words: str) -> str:
    """The words that the compiled code finds, a space between any two."""
    data = np.frombuffer(b"x" + text.encode(), np.uint8)
    out, spare = (np.full(room(len(data) - 1), 7, np.uint8) for _ in range(2))
    tables = rule(lowercase, words == "alphanumeric")
    length = prepare(data, 1, len(data), tables, True, np.empty(EDGES, np.int64), out, spare)
    assert (out[length - 1 :][: PAD - 8] == 0x20).all()
    return out[: length - 1].tobytes().decode()


@pytest.mark.parametrize("words", ["alphanumeric", "whitespace"])
@pytest.mark.parametrize("lowercase", [True, False])
def test_every_character_is_pythons(lowercase, words):
    """Alone, inside a word, and between a letter and a sigma, on both of its sides."""
    options = ShingleSettings(lowercase=lowercase, words=words)
    points = [chr(c) for c in range(sys.maxunicode + 1) if not 0xD800 <= c < 0xE000]
    for frame in ("{}\n", "a{}b\n", "A{}Σ{}\n", "{}Σ{}A\n"):
        text = "".join(frame.format(c, c) for c in points)
        assert joined(text, lowercase, words) == " ".join(words_of(text, options))


hostile = st.text(
    st.sampled_from(
        list(
            "abAZ09_'.: \0\t\n\x0b\x1b\x1c\x1f\x7f\x85\xa0\xad\u0307\u1680\u2003\u2019\u2028\u3000İIıßẞΣΣσςǅ\u0345𐐀𐐨漢"
        )
    ),
    max_size=80,
)
strings = st.one_of(hostile, st.text(max_size=80))


@settings(max_examples=500)
@given(strings, st.booleans(), st.sampled_from(["alphanumeric", "whitespace"]))
@example("ΟΔΟΣ ΟΔΟΣ. ΑΣ'Α ΑΣ'\xad. Σ 'Σ' AΣ\u0345Σ", True, "alphanumeric")
@example("İSTANBUL'İ" * 9, True, "whitespace")
@example("\u023a" * 5001, True, "alphanumeric")  # two bytes become three
def test_words_are_pythons(text, lowercase, words):
    assert joined(text, lowercase, words) == " ".join(words_of(text, ShingleSettings(lowercase=lowercase, words=words)))


@settings(max_examples=200)
@given(st.lists(strings, min_size=1, max_size=5), st.integers(1, 6), st.sampled_from(OPTIONS))
def test_sets_are_those_of_python(texts, ngram, options):
    assert_same(texts, options.model_copy(update={"ngram": ngram}))


def test_a_short_document_is_one_shingle_and_an_empty_one_none():
    texts = ["", " \n\u3000-?!", "one", "one two three four", "one two three four five six"]
    assert [len(s) for s in sets(texts, DEFAULT)] == [0, 0, 1, 1, 2]
    assert sets(["one two"], DEFAULT) == sets([" ONE\n (two)! "], DEFAULT)
    assert sets(["one two"], DEFAULT) != sets(["two one"], DEFAULT)
    characters = ShingleSettings(shingle="characters", ngram=5)
    assert [len(s) for s in sets(["", "...", "four", "漢字漢字漢", "漢字漢字漢字"], characters)] == [0, 0, 1, 1, 2]


def test_words_of_every_length():
    """Around the eight bytes of one load, and over many of them."""
    for size in [*range(1, 26), 1000, 5000]:
        word = "".join(chr(97 + i % 23) for i in range(size))
        others = [word[:i] + "z" + word[i + 1 :] for i in {0, size // 2, size - 1}] + [word + "a", word[:-1]]
        for options in (DEFAULT.model_copy(update={"ngram": 1}), ShingleSettings(ngram=1, words="whitespace")):
            assert_same([word, *others], options)
    assert_same(["a", "a\0", "a\0\0", "\0a", "\0"], ShingleSettings(ngram=1, words="whitespace"))


@pytest.mark.parametrize("extra", [-6, -5, -4, -1, 0, 1, 3, 31, 32, 33, BLOCK])
@pytest.mark.parametrize("tail", ["", " ", " \n" * BLOCK])
def test_documents_longer_than_a_block(extra, tail):
    words = [f"w{i % 97}x{i % 89}" for i in range(BLOCK + extra)]
    assert_same([" ".join(words) + tail, " ".join(words[1:]), " ".join(words[:-1])], DEFAULT)


@pytest.mark.parametrize("options", OPTIONS, ids=named)
@pytest.mark.parametrize("ngram", [1, 5, 256])
def test_long_documents_by_every_option(options, ngram):
    """Words of one letter fill a block's edges; a word without an end is longer than any block."""
    options = options.model_copy(update={"ngram": ngram})
    dense = " ".join(chr(97 + i * i % 26) for i in range(2 * BLOCK + 77))
    assert_same([dense, dense[2:], "x" * 100_000, "Äx é" * 5000, dense + "Y" * 5000 + dense], options)


def test_text_that_repeats_itself_is_sorted():
    """Two shingles by the thousand fill two buckets of the sort."""
    one, three = (DEFAULT.model_copy(update={"ngram": n}) for n in (1, 3))
    assert_same([" ".join(["a", "b"] * 5000), " ".join(["b", "a", "c"] * 3000)], one)
    assert_same([" ".join(f"{i % 7} {i % 11}" for i in range(4000))], three)


def test_slices_chunks_and_nulls():
    texts = ["zero", "one two three", "four five six", None, "seven"]
    options = DEFAULT.model_copy(update={"ngram": 2})
    whole = pa.array(texts)
    expected = sets(["one two three", "four five six", ""], options)
    for column in (whole[1:4], whole.cast(pa.large_string())[1:4], pa.chunked_array([whole[1:2], whole[2:4]])):
        values, offsets = shingle_sets(column, options)
        assert [set(values[a:b].tolist()) for a, b in itertools.pairwise(offsets)] == expected
    values, offsets = shingle_sets(whole[:0], options)
    assert (len(values), offsets.tolist()) == (0, [0])
