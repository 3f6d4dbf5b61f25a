"""Spans cut out of a batch of texts, against one text at a time, byte by byte."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from gristmill.filters.cuts import cut
from gristmill.filters.rule import Cuts
from hypothesis import given
from hypothesis import strategies as st


def slowly(text: str, spans: list[tuple[int, int, int]]) -> str:
    """`text` without its spans (start, end, fill): what is covered without a gap is one hole, with one byte in it."""
    data = text.encode()
    ends = [0] * (len(data) + 1)  # edge i lies before byte i; a hole is a run of edges that are joined
    for start, end, _ in spans:
        for i in range(start, end):
            ends[i] = 1
    out, i = bytearray(), 0
    while i <= len(data):
        stop = i
        while stop < len(data) and ends[stop]:
            stop += 1
        inside = sorted((start, k) for k, (start, end, fill) in enumerate(spans) if i <= start and end <= stop and fill)
        out += bytes(spans[k][2] for _, k in inside[:1]) + data[stop : stop + 1]
        i = stop + 1
    return out.decode()


@st.composite
def batches(draw):
    """(texts, for each of some cuts a list of (row, start, end, fill))"""
    texts = draw(st.lists(st.text(max_size=12), min_size=1, max_size=5))
    every = []
    for _ in range(draw(st.integers(1, 3))):
        made = []
        for _ in range(draw(st.integers(0, 5))):
            row = draw(st.integers(0, len(texts) - 1))
            n = len(texts[row])
            a, b = sorted((draw(st.integers(0, n)), draw(st.integers(0, n))))
            start, end = (len(texts[row][:i].encode()) for i in (a, b))
            made.append((row, start, end, draw(st.sampled_from([0, 0, 10, 32]))))
        every.append(made)
    return texts, every


def as_cuts(made: list[tuple[int, int, int, int]]) -> Cuts:
    rows, starts, ends, fill = np.array(made, np.int64).reshape(-1, 4).T
    return Cuts("name", rows, starts, ends, fill.astype(np.uint8) if fill.any() else None)


@given(batches())
def test_equals_one_text_at_a_time(case):
    texts, every = case
    spans = [[(s, e, f) for made in every for row, s, e, f in made if row == i] for i in range(len(texts))]
    expected = [slowly(text, own) for text, own in zip(texts, spans, strict=True)]
    cuts = [as_cuts(made) for made in every]
    assert cut(pa.array(texts, pa.large_string()), cuts).to_pylist() == expected
    assert cut(pa.array(texts, pa.string()), cuts).to_pylist() == expected
    sliced = pa.array(["before", *texts, "after"], pa.large_string()).slice(1, len(texts))
    result = cut(sliced, cuts)
    assert result.to_pylist() == expected
    result.validate(full=True)


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([], "one two three"),
        ([(3, 7, 0)], "one three"),
        ([(3, 5, 0), (4, 7, 0)], "one three"),  # overlapping
        ([(3, 5, 10), (5, 7, 32)], "one\n three"),  # touching: one hole, the byte of the first
        ([(5, 7, 10), (3, 5, 0)], "one\n three"),
        ([(0, 13, 0)], ""),
        ([(0, 13, 10)], "\n"),
        ([(0, 0, 35), (13, 13, 36)], "#one two three$"),  # nothing cut, something put in
        ([(3, 7, 0), (4, 5, 10)], "one\n three"),  # inside another
    ],
)
def test_by_hand(spans, expected):
    made = [(0, *span) for span in spans]
    assert cut(pa.array(["one two three"], pa.large_string()), [as_cuts(made)]).to_pylist() == [expected]


def test_nothing_to_cut():
    texts = pa.array(["a", ""], pa.large_string())
    assert cut(texts, []).equals(texts)
    assert cut(texts, [as_cuts([])]).equals(texts)
    assert cut(pa.array([], pa.large_string()), [as_cuts([])]).to_pylist() == []
