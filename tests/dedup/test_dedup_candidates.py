"""Bands, blocks and buckets against dictionaries of Python tuples, whatever the order of arrival."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from gristmill.dedup import candidates as module
from gristmill.dedup.candidates import (
    ALL_PAIRS,
    ENTRY,
    NO_BUCKET,
    PAIR,
    band_hashes,
    blocks,
    bucket_pairs,
    from_bytes,
    handles,
    merge_pairs,
    partition_of,
    to_bytes,
    units_and_rows,
)
from gristmill.dedup.minhash import EMPTY
from gristmill.dedup.settings import MinHashSettings
from hypothesis import given
from hypothesis import strategies as st


def test_band_hashes_are_equal_where_all_rows_of_a_band_are():
    settings = MinHashSettings(bands=4, rows=3)
    rows = np.random.default_rng(1).integers(0, 2, (400, 12), dtype=np.uint32)
    rows[7] = EMPTY
    hashes = band_hashes(rows, settings)
    names = {}
    for i in range(len(rows)):
        for band in range(4):
            name = None if i == 7 else (band, *rows[i, 3 * band : 3 * band + 3].tolist())
            assert names.setdefault(name, hashes[i, band]) == hashes[i, band]
    assert len(set(names.values())) == len(names) == 4 * 8 + 1
    assert (hashes[7] == NO_BUCKET).all()


def test_bands_can_be_left_out():
    settings = MinHashSettings(bands=4, rows=3)
    rows = np.random.default_rng(1).integers(0, 1 << 32, (50, 12), dtype=np.uint32)
    rows[7] = EMPTY
    some, every = band_hashes(rows, settings, [2, 0]), band_hashes(rows, settings)
    assert (some[:, [0, 2]] == every[:, [0, 2]]).all()
    assert (some[:, [1, 3]] == np.where(every[:, [1, 3]] == NO_BUCKET, NO_BUCKET, 0)).all()


def test_a_band_of_maxima_alone_is_no_empty_document():
    settings = MinHashSettings(bands=2, rows=1)
    assert (band_hashes(np.array([[EMPTY, 5]], np.uint32), settings) != NO_BUCKET).all()


def test_partitions_are_even_and_within_bounds():
    hashes = np.r_[np.random.default_rng(2).integers(0, 1 << 64, 100_000, dtype=np.uint64), np.uint64(0), NO_BUCKET]
    for partitions in (1, 3, 16, 1000):
        counts = np.bincount(partition_of(hashes, partitions), minlength=partitions)
        assert len(counts) == partitions
        assert counts.max() - counts.min() < 10 * np.sqrt(len(hashes) / partitions) + 2


def test_handles_name_unit_and_row():
    rows = np.array([0, 5, 2**32 - 1])
    units, back = units_and_rows(handles(2**31 - 1, rows))
    assert units.tolist() == [2**31 - 1] * 3
    assert back.tolist() == rows.tolist()


def test_blocks_hold_each_entry_once(random_keys):
    rng = np.random.default_rng(3)
    n, settings = 500, MinHashSettings(bands=3, rows=2)
    signatures = rng.integers(0, 9, (n, 6), dtype=np.uint32)
    signatures[::50] = EMPTY
    bands, rank, key, handle = band_hashes(signatures, settings), rng.integers(-9, 9, n), random_keys(n), np.arange(n)
    every = {(band, partition) for band in range(3) for partition in range(4)}
    found = dict(blocks(bands, rank, key, handle, 4, every))
    assert list(found) == sorted(found)
    seen = set()
    for (band, partition), data in found.items():
        for entry in from_bytes([data]):
            i = int(entry["handle"])
            assert entry["hash"] == bands[i, band]
            assert partition_of(bands[i : i + 1, band], 4)[0] == partition
            assert entry["rank"] == rank[i]
            assert (entry["key"] == key[i]).all()
            seen.add((i, band))
    assert seen == {(i, band) for i in range(n) if i % 50 for band in range(3)}
    some = {(2, 3), (0, 1)}
    assert dict(blocks(bands, rank, key, handle, 4, some)) == {name: found[name] for name in some}


def test_entries_are_forty_bytes():
    block = np.zeros(3, ENTRY)
    assert len(to_bytes(block)) == 120
    assert len(from_bytes([to_bytes(block), b"", to_bytes(block[:1])])) == 4
    assert len(from_bytes([])) == 0


def make_block(rows) -> np.ndarray:
    block = np.zeros(len(rows), ENTRY)
    for i, (bucket, rank, high, low) in enumerate(rows):
        block[i] = (bucket, rank, (high, low), i)
    return block


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(-1, 1), st.integers(0, 2), st.integers(0, 2)), max_size=60),
    st.randoms(use_true_random=False),
)
def test_small_buckets_give_all_pairs_in_order(rows, random):
    block = make_block(rows)
    order = list(range(len(rows)))
    random.shuffle(order)
    pairs, big = bucket_pairs(block[order], 9)
    expected = set()
    for bucket in range(6):
        members = sorted((row[1:], i) for i, row in enumerate(rows) if row[0] == bucket)
        expected |= {(a, b) for (_, a), (_, b) in combinations(members, 2)}
    assert len(pairs) == len(expected)
    assert set(zip(pairs["a"].tolist(), pairs["b"].tolist(), strict=True)) == expected
    assert (pairs["bands"] == 1 << 9).all()
    assert len(big) == 0
    again, _ = bucket_pairs(block, 9)
    assert (again == pairs).all()


@pytest.mark.parametrize("size", [ALL_PAIRS - 1, ALL_PAIRS, ALL_PAIRS + 1, 300])
def test_large_buckets_are_listed(size):
    rng = np.random.default_rng(size)
    rows = [(7, int(rng.integers(-3, 3)), int(rng.integers(2)), i) for i in range(size)]
    block = make_block([*rows, (8, 0, 0, 0), (8, 0, 0, 1), (9, 0, 0, 0)])
    pairs, big = bucket_pairs(block[rng.permutation(len(block))], 63)
    assert (size, size + 1) in set(zip(pairs["a"].tolist(), pairs["b"].tolist(), strict=True))
    if size > ALL_PAIRS:
        assert len(pairs) == 1
        assert big["handle"].tolist() == sorted(range(size), key=lambda i: rows[i])
        assert (big["bucket"] == 7).all()
        assert (big["bands"] == np.uint64(1 << 63)).all()
    else:
        assert len(pairs) == size * (size - 1) // 2 + 1
        assert len(big) == 0


found_pairs = st.lists(st.tuples(st.integers(0, 4), st.integers(5, 9), st.integers(0, 63)), max_size=50)


@pytest.mark.parametrize("at_once", [1, 1000])
@given(lists=st.lists(found_pairs, max_size=4))
def test_merging_keeps_each_pair_once_with_all_its_bands(at_once, lists):
    arrays = [np.array([(a, b, 1 << band) for a, b, band in rows], PAIR) for rows in lists]
    expected: dict[tuple[int, int], int] = {}
    for rows in lists:
        for a, b, band in rows:
            expected[a, b] = expected.get((a, b), 0) | 1 << band
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MERGED_AT_ONCE", at_once)
        merged = merge_pairs(array for array in arrays)
    assert merged.tolist() == [(a, b, bands) for (a, b), bands in sorted(expected.items())]
    step = np.empty(0, PAIR)
    for array in arrays:
        step = merge_pairs([step, array])
    assert (step == merged).all()
