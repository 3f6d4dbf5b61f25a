"""Bloom filters: nothing is missed, the rate is what was asked for, and what came first decides nothing."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from gristmill.console import RequestError, WorkError
from gristmill.dedup import bloom
from gristmill.dedup.bloom import HEADER, BloomFilter, Sieve, expected_rate, shape
from gristmill.dedup.paragraph_settings import BloomSettings
from hypothesis import given, settings
from hypothesis import strategies as st

few = st.lists(st.integers(0, 30), max_size=60)


def hashes_of(count: int, seed: int = 0) -> np.ndarray:
    """uint64[n, 2]: random, and so different."""
    return np.random.default_rng([seed, 77]).integers(0, 1 << 64, (count, 2), dtype=np.uint64)


POOL = hashes_of(31)


@settings(max_examples=60)
@given(few, st.sampled_from([0.5, 0.01, 1e-9]), st.integers(1, 7))
def test_nothing_that_was_put_in_is_missed(rows, rate, size):
    filter = BloomFilter(len(rows) or 1, rate)
    answers = [filter.add(POOL[rows[i : i + size]]) for i in range(0, len(rows), size)]
    known = np.concatenate([np.empty(0, bool), *answers])
    before = np.array([row in rows[:i] for i, row in enumerate(rows)], bool)
    assert (known >= before).all()  # the second of two equal ones is known, in one call too
    if rate == 1e-9:
        assert (known == before).all()
        assert filter.count == len(set(rows))
    assert filter.contains(POOL[rows]).all()
    assert filter.add(POOL[rows]).all()


@pytest.mark.parametrize("rate", [0.3, 0.03, 0.001, 1e-5])
@pytest.mark.parametrize("expected", [1000, 300_000])
def test_the_measured_rate_is_the_one_asked_for(expected, rate):
    filter = BloomFilter(expected, rate)
    known = filter.add(hashes_of(expected))
    by_bits, probes = filter.rate_by_bits(), 1 << 20
    error = (by_bits / probes) ** 0.5
    assert abs(filter.rate_by_probes(probes) - by_bits) < 5 * error
    few_blocks = 4 / filter.blocks**0.5  # how far the fill of so many blocks may lie from its mean
    assert by_bits == pytest.approx(rate, rel=0.03 + few_blocks)
    assert expected_rate(expected / filter.blocks, filter.bits) == pytest.approx(
        rate, rel=0.03 + filter.bits / filter.blocks
    )
    assert known.mean() < rate + 5 * (rate / expected) ** 0.5  # as it filled up
    bits = filter.nbytes * 8 / expected
    assert bits < 1.35 * np.log2(1 / rate) * np.log2(np.e) + 512 / expected


def test_one_put_in_is_not_its_own_duplicate():
    """DCLM's filter put each n-gram in, then asked for it, and found it."""
    filter = BloomFilter(10_000, 1e-6)
    assert not filter.add(hashes_of(10_000)).any()
    assert filter.count == 10_000


def test_the_rate_of_too_many_is_reported():
    filter = BloomFilter(10_000, 0.01)
    filter.add(hashes_of(40_000))
    assert filter.rate_by_bits() > 0.2
    assert filter.rate_by_probes() == pytest.approx(filter.rate_by_bits(), rel=0.02)
    assert expected_rate(40_000 / filter.blocks, filter.bits) == pytest.approx(filter.rate_by_bits(), rel=0.1)
    assert filter.count < 40_000  # those it mistook are missing


def test_hashes_of_one_partition_fill_the_whole_filter():
    """Their leading bits are the same: those choose the partition, and must not choose the block."""
    hashes = hashes_of(50_000)
    hashes[:, 0] = (hashes[:, 0] >> np.uint64(20)) | np.uint64(0xABC << 52)
    filter = BloomFilter(50_000, 0.01)
    filter.add(hashes)
    assert filter.rate_by_bits() == pytest.approx(0.01, rel=0.1)


def test_sizes():
    assert expected_rate(0, 5) == 0.0
    rates = [expected_rate(load, 7) for load in (1, 10, 40, 100, 500)]
    assert rates == sorted(rates)
    assert rates[-1] < 1
    blocks, bits = shape(10**12, 0.5)
    assert 1 <= bits < 4
    assert 10**12 / 512 < blocks < 2**32
    with pytest.raises(RequestError, match="256 GB"):
        shape(10**12, 1e-3)


def test_on_disk(tmp_path):
    path = tmp_path / "seen.bloom"
    filter = BloomFilter(5000, 0.01, about="paragraphs 1")
    filter.add(hashes_of(5000))
    filter.save(path)
    filter.save(path)  # over itself
    assert [p.name for p in tmp_path.iterdir()] == [path.name]

    mapped, loaded = BloomFilter.open(path, "paragraphs 1"), BloomFilter.load(path, "paragraphs 1")
    asked = np.concatenate([hashes_of(5000), hashes_of(5000, 1)])
    for other in (mapped, loaded):
        assert (other.contains(asked) == filter.contains(asked)).all()
        assert (other.count, other.blocks, other.bits) == (filter.count, filter.blocks, filter.bits)
        assert other.rate_by_bits() == filter.rate_by_bits()
    with pytest.raises(ValueError, match="opened to be read"):
        mapped.add(asked)
    assert (loaded.add(asked) >= filter.contains(asked)).all()
    assert loaded.contains(asked).all()
    assert not mapped.contains(asked).all()  # the file is as it was

    with pytest.raises(RequestError, match=r"'paragraphs 1'.*'urls'"):
        BloomFilter.open(path, "urls")
    whole = path.read_bytes()
    for damaged in (b"", b"x" * HEADER, whole[:-1], whole[: HEADER - 1], whole[:40] + b"{" + whole[41:], whole + b"\0"):
        path.write_bytes(damaged)
        for read in (BloomFilter.open, BloomFilter.load):
            with pytest.raises(WorkError, match="damaged"):
                read(path, "paragraphs 1")
    with pytest.raises(FileNotFoundError):
        BloomFilter.open(tmp_path / "none")


def test_a_failed_save_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "seen.bloom"
    filter = BloomFilter(100, 0.01)
    filter.save(path)
    before = path.read_bytes()
    filter.add(hashes_of(100))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        filter.save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_in_a_file_instead_of_memory(tmp_path):
    filter = BloomFilter(5000, 0.01, scratch=tmp_path / "scratch")
    assert list(tmp_path.iterdir()) == []
    plain = BloomFilter(5000, 0.01)
    assert (filter.add(hashes_of(5000)) == plain.add(hashes_of(5000))).all()
    assert (filter.words == plain.words).all()


def test_two_are_merged():
    one, two = (BloomFilter(2000, 0.001) for _ in range(2))
    one.add(hashes_of(1000, 1))
    two.add(hashes_of(1000, 2))
    one.merge(two)
    assert one.contains(np.concatenate([hashes_of(1000, 1), hashes_of(1000, 2)])).all()
    assert one.rate_by_bits() == pytest.approx(0.001, rel=0.5)
    with pytest.raises(ValueError, match="different kinds"):
        one.merge(BloomFilter(2001, 0.1))


def test_threads_lose_nothing(monkeypatch):
    """Two writers at once would lose bits of each other: whoever adds holds the lock."""
    filter = BloomFilter(200_000, 0.01)
    held = []

    def watched(*arguments):
        held.append(filter._lock.locked())
        return add(*arguments)

    add = bloom._add
    monkeypatch.setattr(bloom, "_add", watched)
    parts = [hashes_of(50_000, seed) for seed in range(4)]
    threads = [threading.Thread(target=filter.add, args=(part,)) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert held == [True] * 4
    assert not filter._lock.locked()
    assert all(filter.contains(part).all() for part in parts)


# -- two passes -------------------------------------------------------------------------------------------------------


@settings(max_examples=100)
@given(few, st.sampled_from([0.5, 0.01]), st.integers(1, 60), st.integers(1, 9), st.booleans())
def test_the_sieve_lets_every_repeated_hash_through(rows, rate, expected, size, twice):
    sieve = Sieve(BloomSettings(expected=expected, rate=rate))
    for i in range(0, len(rows), size):
        for _ in range(1 + twice):  # a retried part
            sieve.mark(POOL[rows[i : i + size]])
    repeated = sieve.repeated(POOL[rows])
    assert (repeated >= np.array([rows.count(row) > 1 for row in rows], bool)).all()


@settings(max_examples=50)
@given(few, st.randoms(use_true_random=False), st.sampled_from([0.5, 0.05]))
def test_survivors_after_the_exact_comparison_do_not_depend_on_order(rows, random, rate):
    """Of each hash the one with the smallest number stays, in any order; a filter alone keeps what came first."""
    survivors = set()
    for _ in range(3):
        order = random.sample(range(len(rows)), len(rows))
        sieve = Sieve(BloomSettings(expected=8, rate=rate))
        for i in order:
            sieve.mark(POOL[[rows[i]]])
        asked = {i for i in order if sieve.repeated(POOL[[rows[i]]])[0]}
        kept = {i for i in order if i not in asked or i == min(j for j in asked if rows[j] == rows[i])}
        survivors.add(frozenset(kept))
    assert survivors == {frozenset(rows.index(row) for row in rows)}


def test_few_that_occur_once_come_through():
    sieve = Sieve(BloomSettings(expected=100_000, rate=0.01, expected_repeated=10_000))
    hashes = hashes_of(100_000)
    sieve.mark(hashes)
    sieve.mark(hashes[:10_000])
    repeated = sieve.repeated(hashes)
    assert repeated[:10_000].all()
    share = repeated[10_000:].mean()  # marked in the first filter or found in the second: at most the rate of each
    assert share < sieve.rate_by_bits() < 0.021
    assert sieve.too_low() == {}
    assert sieve.nbytes < 100_000 * 1.1 * 10.5 / 8


def test_the_setting_that_was_too_low_is_named():
    """With a lower bound of what it should be; and the rate told is that of what occurs once, however full they are."""
    hashes = hashes_of(20_000)
    for expected, expected_repeated, wrong in (
        (20_000, 8_000, set()),
        (5_000, 8_000, {"expected"}),
        (20_000, 1_000, {"expected_repeated"}),
        (15_000, 1_000, {"expected", "expected_repeated"}),
        (10, 1, {"expected"}),
    ):
        sieve = Sieve(BloomSettings(expected=expected, rate=0.01, expected_repeated=expected_repeated))
        for part in (hashes, hashes[:8_000]):
            sieve.mark(part)
        told = sieve.too_low()
        assert told.keys() == wrong
        given, truth = {"expected": expected, "expected_repeated": expected_repeated}, (20_000, 8_000)
        for name, most in zip(given, truth, strict=True):
            assert name not in told or given[name] < told[name] <= most
        assert 16_000 <= sieve.repeated(np.concatenate([hashes, hashes[:8_000]])).sum() <= 1.01 * sieve.let_through()
        true = sieve.repeated(hashes)[8_000:].mean()
        assert true < sieve.rate_by_bits() + 5 * (true / 12_000) ** 0.5
