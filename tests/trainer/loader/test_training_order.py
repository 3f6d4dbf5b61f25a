"""The order of training: a permutation an epoch, invertible, the same for ever."""

import hashlib

import numpy as np
import pytest
from gristmill.trainer.loader.order import position_of, sequence_at
from hypothesis import given
from hypothesis import strategies as st

M = 2**64 - 1


def plain(position, n, seed):
    """The same in plain integers, a number at a time."""

    def mix(x):
        x = (x + 0x9E3779B97F4A7C15) & M
        x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & M
        x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & M
        return x ^ (x >> 31)

    salt = hashlib.blake2b(f"{seed}/order".encode(), digest_size=16).digest()
    p, q = int.from_bytes(salt[:8], "little"), int.from_bytes(salt[8:], "little")
    epoch, x = divmod(position, n)
    if epoch == 0:
        return x
    a = next(a for a in range(1, n + 1) if a * a >= n) if n < 10_000 else int(np.ceil(np.sqrt(n)))
    b = -(-n // a)
    while True:
        left, right = divmod(x, b)
        for turn in range(8):
            half = left if turn % 2 else right
            draw = mix((mix(half ^ p) + ((8 * epoch + turn) ^ q)) & M)
            if turn % 2:
                right = (right + draw % b) % b
            else:
                left = (left + draw % a) % a
        x = left * b + right
        if x < n:
            return x


@given(n=st.integers(1, 300), epoch=st.integers(0, 5), seed=st.integers(-3, 2**40))
def test_every_sequence_comes_once_an_epoch(n, epoch, seed):
    positions = np.arange(epoch * n, (epoch + 1) * n)
    found = sequence_at(positions, n, seed)
    assert sorted(found.tolist()) == list(range(n))
    assert position_of(found, epoch, n, seed).tolist() == positions.tolist()
    if epoch == 0:
        assert found.tolist() == list(range(n))


@given(n=st.integers(1, 2**45), position=st.integers(0, 2**50), seed=st.integers(0, 9))
def test_any_size_inverts(n, position, seed):
    sequence = sequence_at(position, n, seed)
    assert 0 <= sequence < n
    assert position_of(sequence, position // n, n, seed) == position
    assert sequence_at(np.array([position, position]), n, seed).tolist() == [sequence, sequence]


@given(n=st.integers(1, 2000), position=st.integers(0, 20_000), seed=st.integers(0, 9))
def test_the_vectors_do_what_plain_integers_do(n, position, seed):
    assert sequence_at(position, n, seed) == plain(position, n, seed)


def test_pinned():
    """A run that goes on under a newer version sees what it would have seen: these numbers may never change."""
    assert sequence_at(np.arange(8, 16), 8, 0).tolist() == [0, 2, 6, 7, 5, 4, 3, 1]
    assert sequence_at(np.arange(10**9, 10**9 + 4), 10**6 + 3, 42).tolist() == [155541, 94289, 407694, 671838]


@pytest.mark.parametrize("n", [2, 3, 5, 24, 100])
def test_orders_are_uniform(n):
    """Chi-square over 4,000 epochs of which number comes first, and of which follows which in small n."""
    epochs = 4000
    first = sequence_at(np.arange(1, epochs + 1) * n, n, 7)
    counts = np.bincount(first, minlength=n)
    assert ((counts - epochs / n) ** 2 / (epochs / n)).sum() < n + 5 * np.sqrt(2 * n)
    second = sequence_at(np.arange(1, epochs + 1) * n + 1, n, 7)
    pairs = np.bincount(first * n + second, minlength=n * n).reshape(n, n)[~np.eye(n, dtype=bool)]
    expected = epochs / (n * (n - 1))
    assert ((pairs - expected) ** 2 / expected).sum() < n * n + 5 * np.sqrt(2 * n * n)


def test_epochs_and_seeds_differ():
    n = 1000
    orders = [sequence_at(np.arange(e * n, (e + 1) * n), n, seed) for e, seed in ((1, 0), (2, 0), (1, 1))]
    for i in range(3):
        for j in range(i):
            assert (orders[i] == orders[j]).sum() < 10  # one on average
        assert abs(np.corrcoef(orders[i], np.arange(n))[0, 1]) < 0.15


def test_wrong_numbers_are_refused():
    for position, n in ((-1, 5), (0, 0)):
        with pytest.raises(ValueError, match="expected n"):
            sequence_at(position, n, 0)
    for sequence, epoch in ((5, 0), (-1, 0), (0, -1)):
        with pytest.raises(ValueError, match="expected sequences"):
            position_of(sequence, epoch, 5, 0)
