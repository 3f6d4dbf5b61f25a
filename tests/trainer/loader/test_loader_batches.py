"""Batches: ranks share one global batch, one integer resumes it, every sequence comes once an epoch."""

import numpy as np
import pytest
from gristmill.console import RequestError
from gristmill.trainer.loader.batches import Loader, validation_batches
from gristmill.trainer.loader.stream import TokenStream

LENGTH = 8


@pytest.fixture(scope="module")
def tokens(tmp_path_factory, make_tokens):
    directory = tmp_path_factory.mktemp("tokens")
    dice = np.random.default_rng(0)
    shards = [dice.integers(1, 40, 7).tolist() for _ in range(3)]
    return directory, make_tokens(directory, shards, validation=[[30, 40], [21]])


@pytest.mark.parametrize("world", [1, 2, 4])
def test_ranks_put_together_are_one_rank(tokens, world):
    stream = TokenStream(tokens[0])
    whole = Loader(stream, LENGTH, 12, seed=3)
    ranks = [Loader(TokenStream(tokens[0]), LENGTH, 12, seed=3, rank=rank, world=world) for rank in range(world)]
    for _ in range(3 * whole.sequences // 12):
        parts = [rank.next() for rank in ranks]
        assert {part.shape for part in parts} == {(12 // world, LENGTH + 1)}
        assert (np.concatenate(parts) == whole.next()).all()


def test_every_sequence_comes_once_an_epoch(tokens):
    directory, flat = tokens
    stream = TokenStream(directory)
    n = stream.sequences(LENGTH)
    loader = Loader(stream, LENGTH, 4, seed=1)
    rows = np.concatenate([loader.next() for _ in range(n)])  # 4 n sequences: four epochs, borders inside batches
    expected = flat["train"][np.arange(n)[:, None] * LENGTH + np.arange(LENGTH + 1)]
    for epoch in range(4):
        seen = rows[epoch * n : (epoch + 1) * n]
        assert sorted(map(tuple, seen.tolist())) == sorted(map(tuple, expected.tolist()))
        assert (seen == expected).all() == (epoch == 0)  # the first in stored order, the others not


def test_any_state_goes_on_the_same_way(tokens):
    stream = TokenStream(tokens[0])
    loader = Loader(stream, LENGTH, 6, seed=2)
    states, batches = [], []
    for _ in range(30):
        states.append(loader.state())
        batches.append(loader.next())
    assert states == list(range(0, 180, 6))
    for at in (0, 1, 7, 29):
        for world in (1, 2, 3):
            ranks = [Loader(TokenStream(tokens[0]), LENGTH, 6, seed=2, rank=r, world=world) for r in range(world)]
            for rank in ranks:
                rank.load(states[at])
            for batch in batches[at:]:
                assert (np.concatenate([rank.next() for rank in ranks]) == batch).all()


def test_another_seed_is_another_order_after_the_first_epoch(tokens):
    stream = TokenStream(tokens[0])
    n = stream.sequences(LENGTH)
    one, two = (Loader(stream, LENGTH, n, seed=seed) for seed in (0, 1))
    assert (one.next() == two.next()).all()
    assert (one.next() != two.next()).any()


@pytest.mark.parametrize("world", [1, 2, 3, 8])
@pytest.mark.parametrize("limit", [None, 0, 1, 5, 10**6])
def test_validation_comes_once_among_all_ranks(tokens, world, limit):
    directory, flat = tokens
    stream = TokenStream(directory, "validation")
    n = min(stream.sequences(LENGTH), 10**6 if limit is None else limit)
    parts = [list(validation_batches(stream, LENGTH, 2, limit, rank, world)) for rank in range(world)]
    assert all(1 <= len(rows) <= 2 for part in parts for rows in part)
    assert max(sum(map(len, part)) for part in parts) - min(sum(map(len, part)) for part in parts) <= 1
    seen = sorted(tuple(row) for part in parts for rows in part for row in rows.tolist())
    assert seen == sorted(tuple(flat["validation"][s * LENGTH : s * LENGTH + LENGTH + 1].tolist()) for s in range(n))


def test_what_does_not_fit_is_refused(tokens, tmp_path, make_tokens):
    stream = TokenStream(tokens[0])
    with pytest.raises(RequestError, match="a batch of 10 sequences cannot be shared equally by 4 ranks"):
        Loader(stream, LENGTH, 10, seed=0, world=4)
    with pytest.raises(ValueError, match="rank 4 of 4"):
        Loader(stream, LENGTH, 8, seed=0, rank=4, world=4)
    make_tokens(tmp_path, [[LENGTH]])
    with pytest.raises(RequestError, match="the train split has 8 tokens, too few for one sequence of 8"):
        Loader(TokenStream(tmp_path), LENGTH, 1, seed=0)
    with pytest.raises(ValueError, match="consumed: -1"):
        Loader(stream, LENGTH, 1, seed=0).load(-1)
