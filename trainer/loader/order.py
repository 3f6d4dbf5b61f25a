"""The order of training: sequence numbers permuted anew in each epoch, without a table of the permutation.

The idea: position p of a run over n sequences lies in epoch p // n. Epoch 0 is the order in which the shards are
stored, which is random already and reads the disk from front to back. Every later epoch is a permutation computed where
it is needed: a Feistel network is a bijection whatever its round function is, so hashing the halves of a number gives a
pseudo-random permutation that costs no memory, needs no start-up and can be inverted, which is how a document is traced
to its steps. The trade-off: some hundred operations a number, and the disk is read in random order.

The numbers 0 <= x < a * b are pairs (x // b, x % b) with a and b near the root of n, and rounds add modulo a and b by
turns: a * b is barely more than n, so the walk along a cycle back into [0, n) is almost never needed.
Sources: Luby and Rackoff 1988; Black and Rogaway 2002, "Ciphers with arbitrary finite domains" (both tricks).
"""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np

from ...document import draws

ROUNDS = 8
Numbers = TypeVar("Numbers", int, np.ndarray)


def sequence_at(position: Numbers, n: int, seed: int) -> Numbers:
    """The sequence number, in [0, n), that stands at `position` of the run: one number or int64[k], none negative."""
    positions = _flat(position)
    if n < 1 or (positions < 0).any():
        raise ValueError(f"expected n of at least 1 and no negative position, found n = {n} and {position!r}")
    epochs, places = np.divmod(positions, n)
    return _like(position, np.where(epochs == 0, places, permute(places, epochs, n, seed)))


def position_of(sequence: Numbers, epoch: int, n: int, seed: int) -> Numbers:
    """The position at which `sequence` (one number or int64[k]) stands in `epoch`: the inverse of `sequence_at`."""
    sequences = _flat(sequence)
    if epoch < 0 or ((sequences < 0) | (sequences >= n)).any():
        raise ValueError(f"expected sequences from 0 to {n - 1} and no negative epoch, found {sequence!r} and {epoch}")
    if epoch > 0:
        sequences = permute(sequences, np.full(len(sequences), epoch), n, seed, inverse=True)
    return _like(sequence, epoch * n + sequences)


def permute(numbers: np.ndarray, epochs: np.ndarray, n: int, seed: int, inverse: bool = False) -> np.ndarray:
    """int64[k]: each of `numbers` int64[k] in [0, n) under the permutation of (seed, its epoch), or its inverse."""
    a = math.isqrt(n - 1) + 1
    b = -(-n // a)
    keys = np.asarray(epochs, np.uint64) * np.uint64(ROUNDS)
    network = _backward if inverse else _forward
    result = network(np.asarray(numbers, np.uint64), keys, a, b, seed)
    while (outside := result >= n).any():
        result[outside] = network(result[outside], keys[outside], a, b, seed)
    return result.astype(np.int64)


def _forward(x: np.ndarray, keys: np.ndarray, a: int, b: int, seed: int) -> np.ndarray:
    left, right = np.divmod(x, np.uint64(b))
    for i in range(0, ROUNDS, 2):
        left = (left + _hash(right, keys, i, a, seed)) % np.uint64(a)
        right = (right + _hash(left, keys, i + 1, b, seed)) % np.uint64(b)
    return left * np.uint64(b) + right


def _backward(x: np.ndarray, keys: np.ndarray, a: int, b: int, seed: int) -> np.ndarray:
    left, right = np.divmod(x, np.uint64(b))
    for i in reversed(range(0, ROUNDS, 2)):
        right = (right + np.uint64(b) - _hash(left, keys, i + 1, b, seed)) % np.uint64(b)
        left = (left + np.uint64(a) - _hash(right, keys, i, a, seed)) % np.uint64(a)
    return left * np.uint64(b) + right


def _hash(half: np.ndarray, keys: np.ndarray, turn: int, modulus: int, seed: int) -> np.ndarray:
    """The round function: a draw below `modulus` of (seed, epoch, round, half)."""
    words = np.stack([half, keys + np.uint64(turn)], axis=-1)
    return draws(words, seed, "order") % np.uint64(modulus)


def _flat(numbers: int | np.ndarray) -> np.ndarray:
    return np.atleast_1d(np.asarray(numbers, np.int64))


def _like(given: int | np.ndarray, result: np.ndarray) -> int | np.ndarray:
    return result if isinstance(given, np.ndarray) and given.ndim else int(result[0])
