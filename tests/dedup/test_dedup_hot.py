"""Boilerplate and chains: the number of measured pairs grows with the documents, not with their square."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from gristmill.dedup.candidates import ALL_PAIRS, ENTRY, bucket_pairs, large_buckets
from gristmill.dedup.together import Deduplicated, deduplicate
from gristmill.document import words_to_keys
from hypothesis import given
from hypothesis import strategies as st


def found_in(texts: list[str], keys: np.ndarray) -> Deduplicated:
    batch = pa.RecordBatch.from_arrays([words_to_keys(keys), pa.array(texts, pa.large_string())], ["key", "text"])
    return deduplicate([batch])


def boilerplate(count: int, common: int, own: int) -> list[str]:
    """Texts of `common` words that are the same in all and `own` that no other has."""
    first = " ".join(f"common{i}" for i in range(common))
    return [first + "".join(f" own{number}x{i}" for i in range(own)) for number in range(count)]


def test_copies_of_one_text_make_one_star(random_keys):
    count = 20_000
    found = found_in(boilerplate(count, 95, 5), random_keys(count))  # similar by 91 in 101
    assert found.near_duplicates > 0.999 * count  # who meets the star in no band, one in 3,000, may stay
    assert found.unmeasured == 0
    assert found.large_buckets > 1
    assert found.largest_bucket > count // 4
    assert len(found.pairs) < 8 * count  # of count squared over two


def test_unlike_texts_with_common_boilerplate_all_stay_and_are_counted(random_keys):
    count = 20_000
    found = found_in(boilerplate(count, 75, 25), random_keys(count))  # similar by 71 in 121
    assert found.near_duplicates == 0
    assert found.largest_bucket > count // 20
    assert 0 < found.unmeasured <= count
    assert len(found.pairs) < 20 * count
    assert (found.pairs["jaccard"] == 71 / 121).all()


def test_a_chain_is_no_clique(random_keys):
    """Windows of 200 words of one text, 20 further each: similar by 176 in 216 to the next, 156 in 236 to another."""
    count = 1000
    words = [f"word{i}" for i in range(20 * count + 200)]
    found = found_in([" ".join(words[20 * i : 20 * i + 200]) for i in range(count)], random_keys(count))
    near = found.pairs[found.pairs["jaccard"] >= 0.7]
    assert (np.abs(near["a"] - near["b"]) == 1).all()
    assert (near["jaccard"] == 176 / 216).all()
    assert len(near) > 0.8 * count
    assert len(found.pairs) < 4 * count
    gone = np.flatnonzero(found.kept >= 0)
    assert count / 3 < len(gone) < 2 * count / 3
    assert (np.abs(found.kept[gone] - gone) == 1).all()


@given(st.lists(st.integers(1, 3 * ALL_PAIRS), max_size=8))
def test_large_buckets_are_counted(sizes):
    block = np.zeros(sum(sizes), ENTRY)
    block["hash"] = np.repeat(np.arange(len(sizes)), sizes)
    block["handle"] = np.arange(len(block))
    _, big = bucket_pairs(np.random.default_rng(0).permutation(block), 0)
    large = [size for size in sizes if size > ALL_PAIRS]
    assert large_buckets(big) == (len(large), max(large, default=0))


@pytest.mark.slow
@pytest.mark.parametrize(("common", "own"), [(95, 5), (75, 25)])
def test_two_hundred_thousand_share_one_text(random_keys, common, own):
    count = 200_000
    found = found_in(boilerplate(count, common, own), random_keys(count))
    assert found.near_duplicates > 0.999 * count if common == 95 else found.near_duplicates == 0
    assert len(found.pairs) < 20 * count


@pytest.mark.slow
def test_a_chain_of_ten_thousand(random_keys):
    count = 10_000
    words = [f"word{i}" for i in range(20 * count + 200)]
    found = found_in([" ".join(words[20 * i : 20 * i + 200]) for i in range(count)], random_keys(count))
    assert len(found.pairs) < 4 * count
    assert count / 3 < found.near_duplicates < 2 * count / 3
