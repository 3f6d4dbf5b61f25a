"""Shingle sets against plain Python over strings: sets of the same sizes and the same intersections."""

from __future__ import annotations

import itertools
import sys

import numpy as np
import pyarrow as pa
import pytest
from gristmill.dedup.shingles import BLOCK, SEPARATOR, lower_table, shingle_sets
from hypothesis import given, settings
from hypothesis import strategies as st


def lowered(text: str) -> str:
    return "".join(c if c.isspace() else c.lower()[0] for c in text)


def plain(text: str, ngram: int) -> set[tuple[str, ...]]:
    words = lowered(text).split()
    return {tuple(words[i : i + ngram]) for i in range(max(1, len(words) - ngram + 1))} if words else set()


def sets(texts: list[str], ngram: int) -> list[set[int]]:
    values, offsets = shingle_sets(pa.array(texts, pa.large_string()), ngram)
    result = [values[a:b] for a, b in itertools.pairwise(offsets)]
    assert all((part[1:] > part[:-1]).all() for part in result)  # ascending, each once
    return [set(part.tolist()) for part in result]


def assert_same(texts: list[str], ngram: int) -> None:
    """The hashes are a one-to-one renaming of the shingles, over all texts together."""
    ours, theirs = sets(texts, ngram), [plain(text, ngram) for text in texts]
    assert [len(s) for s in ours] == [len(s) for s in theirs]
    assert len(set().union(*ours)) == len(set().union(*theirs))
    for a in range(len(texts)):
        for b in range(a):
            assert len(ours[a] & ours[b]) == len(theirs[a] & theirs[b])


def test_the_table_is_lower_and_isspace_of_every_code_point():
    expected = np.arange(sys.maxunicode + 1, dtype=np.uint32)
    for point in range(sys.maxunicode + 1):
        if not 0xD800 <= point < 0xE000:
            c = chr(point)
            expected[point] = SEPARATOR if c.isspace() else ord(c.lower()[0])
    assert (lower_table() == expected).all()


hostile = st.text(
    st.sampled_from(list("abAB \0\t\n\x0b\x1c\x85\xa0\u1680\u2003\u2028\u3000İIıßẞΣσςǅ\u0345𐐀𐐨")), max_size=60
)


@settings(max_examples=200)
@given(st.lists(st.one_of(hostile, st.text(max_size=60)), min_size=1, max_size=5), st.integers(1, 6))
def test_sets_are_those_of_python(texts, ngram):
    assert_same(texts, ngram)


def test_a_short_document_is_one_shingle_and_an_empty_one_none():
    assert [len(s) for s in sets(["", " \n\u3000", "one", "one two three four", "one two three four five six"], 5)] == [
        0,
        0,
        1,
        1,
        2,
    ]
    assert sets(["one two"], 5) == sets([" ONE\n two "], 5)
    assert sets(["one two"], 5) != sets(["two one"], 5)


def test_case_by_code_point():
    one, two, three = sets(["ΟΔΟΣ ΟΔΟΣ", "οδοσ οδοσ", "οδος οδος"], 1)
    assert one == two != three
    assert sets(["İstanbul"], 1) == sets(["istanbul"], 1)


@pytest.mark.parametrize("extra", [-6, -5, -4, -1, 0, 1, 3, BLOCK])
@pytest.mark.parametrize("tail", ["", " ", " \n" * BLOCK])
def test_documents_longer_than_a_block(extra, tail):
    words = [f"w{i % 97}x{i % 89}" for i in range(BLOCK + extra)]
    assert_same([" ".join(words) + tail, " ".join(words[1:]), " ".join(words[:-1])], 5)


def test_text_that_repeats_itself_is_sorted():
    """Two shingles by the thousand fill two buckets of the sort."""
    assert_same([" ".join(["a", "b"] * 5000), " ".join(["b", "a", "c"] * 3000)], 1)
    assert_same([" ".join(f"{i % 7} {i % 11}" for i in range(4000))], 3)


def test_slices_chunks_and_nulls():
    texts = ["zero", "one two three", "four five six", None, "seven"]
    whole = pa.array(texts)
    expected = sets(["one two three", "four five six", ""], 2)
    for column in (whole[1:4], whole.cast(pa.large_string())[1:4], pa.chunked_array([whole[1:2], whole[2:4]])):
        values, offsets = shingle_sets(column, 2)
        assert [set(values[a:b].tolist()) for a, b in itertools.pairwise(offsets)] == expected
    values, offsets = shingle_sets(whole[:0], 2)
    assert (len(values), offsets.tolist()) == (0, [0])
