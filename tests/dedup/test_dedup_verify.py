"""Verification: exact Jaccard by Python sets, large buckets, and the same answer for every order."""

from __future__ import annotations

import numpy as np
import pytest
from gristmill.dedup import verify as module
from gristmill.dedup.candidates import MEMBER, PAIR
from gristmill.dedup.survivors import stars
from gristmill.dedup.verify import VERIFIED, jaccards, verify
from hypothesis import given
from hypothesis import strategies as st


def gather(sets: list[set[int]]) -> tuple[np.ndarray, np.ndarray]:
    """(offsets, shingles) of Python sets."""
    offsets = np.r_[0, np.cumsum([len(s) for s in sets])].astype(np.int64)
    return offsets, np.array([x for s in sets for x in sorted(s)], np.uint64)


@given(st.lists(st.sets(st.integers(2**63 - 4, 2**63 + 4)), min_size=1, max_size=6))
def test_jaccard_is_one_division(sets):
    a, b = (x.ravel() for x in np.meshgrid(np.arange(len(sets)), np.arange(len(sets))))
    found = jaccards(*gather(sets), a, b)
    for i, j, jaccard in zip(a, b, found, strict=True):
        union = len(sets[i] | sets[j])
        assert jaccard == (len(sets[i] & sets[j]) / union if union else 0.0)


class Case:
    """Documents 0..n-1 with given sets, handle 10 + i, rank 0 and key i unless told."""

    def __init__(self, sets, rank=None, key=None):
        self.n, self.sets = len(sets), sets
        self.rank = np.zeros(self.n, np.int64) if rank is None else np.array(rank, np.int64)
        low = np.arange(self.n) if key is None else np.array(key)
        self.key = np.stack([np.zeros(self.n), low], axis=1).astype(np.uint64)
        self.handle = np.arange(self.n) + 10

    def verify(self, pairs=(), buckets=(), threshold=0.8, order=None, random=None):
        order = np.arange(self.n) if order is None else np.array(order)
        candidates = np.array([(a + 10, b + 10, bands) for a, b, bands in pairs], PAIR)
        big = np.array([(name, bands, m + 10) for name, bands, members in buckets for m in members], MEMBER)
        if random is not None:
            candidates, big = random.permutation(candidates), random.permutation(big)
        sets = [self.sets[i] for i in order]
        return verify(self.handle[order], self.rank[order], self.key[order], *gather(sets), candidates, big, threshold)

    def dropped(self, found, threshold=0.8):
        d, k, _ = stars(self.handle, self.rank, self.key, found.pairs, found.pairs["jaccard"], threshold)
        return dict(zip((d - 10).tolist(), (k - 10).tolist(), strict=True))


def test_every_measured_pair_comes_back():
    case = Case([{1, 2, 3, 4}, {1, 2, 3, 4, 5}, {9}, {1}], rank=[0, -1, 0, 0], key=[3, 2, 1, 0])
    found = case.verify([(1, 0, 0b10), (1, 0, 0b100), (0, 2, 1), (2, 3, 8)])
    assert found.pairs.dtype == VERIFIED
    assert found.pairs.tolist() == [(13, 12, 8, 0.0), (12, 10, 1, 0.0), (11, 10, 0b110, 0.8)]  # a < b by key
    assert found.unmeasured == 0
    assert case.dropped(found) == {0: 1}  # by rank the longer stays


def test_nothing_gives_nothing():
    found = Case([]).verify()
    assert (len(found.pairs), found.unmeasured) == (0, 0)
    assert len(Case([{1}]).verify().pairs) == 0


@pytest.mark.parametrize(("pairs", "buckets"), [([(0, 5, 1)], []), ([], [(1, 1, [0, 5])])])
def test_a_candidate_without_shingles_is_an_error(pairs, buckets):
    for case in (Case([{1}, {1}]), Case([])):
        with pytest.raises(ValueError, match="handle 1"):
            case.verify(pairs, buckets)


def edited(base: int, edits: int, size: int = 100) -> set[int]:
    """A set of `size` that shares all but `edits` of its members with others of this base."""
    edited.fresh += edits
    return set(range(base, base + size - edits)) | set(range(edited.fresh, edited.fresh + edits))


edited.fresh = 10**9


def test_a_text_with_edits_takes_one_round(monkeypatch):
    sets = [edited(0, 4) for _ in range(300)]
    case = Case(sets)
    found = case.verify(buckets=[(5, 1, range(300)), (6, 2, range(300))])
    assert len(found.pairs) == 299  # all against the first, once, though two bands found them
    assert (found.pairs["bands"] == 3).all()
    assert found.unmeasured == 0
    assert case.dropped(found) == dict.fromkeys(range(1, 300), 0)


def test_groups_in_one_bucket_take_a_round_each():
    sets = [edited(10**6 * (i % 5), 4) for i in range(300)]
    case = Case(sets)
    found = case.verify(buckets=[(5, 1, range(300))])
    assert case.dropped(found) == {i: i % 5 for i in range(5, 300)}
    assert found.unmeasured == 0
    assert len(found.pairs) < 5 * 300


def test_more_groups_than_rounds_are_counted():
    sets = [edited(10**6 * (i % 20), 4) for i in range(100)]
    case = Case(sets)
    found = case.verify(buckets=[(5, 1, range(100))])
    dropped = case.dropped(found)
    assert dropped == {i: i % 20 for i in range(20, 100) if i % 20 < module.MAX_ROUNDS}
    assert found.unmeasured == 100 - len(dropped) - module.MAX_ROUNDS


def test_the_bucket_of_a_removed_leader_is_not_lost():
    """An outsider removes the first member: the others, compared with that one alone, must still find each other."""
    common = set(range(100))
    outsider = set(range(12, 120))  # close enough to the first member only
    first = set(range(110))
    sets = [outsider, first] + [common | {10**6 + i} for i in range(100)]
    case = Case(sets)
    found = case.verify([(0, 1, 1)], [(5, 2, range(1, 102))])
    assert found.unmeasured == 0
    dropped = case.dropped(found)
    assert dropped.pop(1) == 0
    assert dropped == dict.fromkeys(range(3, 102), 2)


def test_overlapping_buckets_and_pairs_share_what_is_measured():
    sets = [edited(0, 4) for _ in range(80)]
    case = Case(sets)
    found = case.verify([(0, 1, 16), (3, 4, 32)], [(5, 1, range(70)), (6, 2, range(10, 80)), (7, 4, range(80))])
    rows = {(a - 10, b - 10): bands for a, b, bands, _ in found.pairs.tolist()}
    assert rows[0, 1] == 16 | 1 | 4
    assert rows[3, 4] == 32 | 1 | 4
    assert rows[0, 75] == 4
    assert len(case.dropped(found)) == 79


@given(st.integers(0, 2**32 - 1))
def test_any_order_gives_the_same(seed):
    rng = np.random.default_rng(seed)
    sets = [set(rng.integers(0, 12, 9).tolist()) for _ in range(40)]
    case = Case(sets, rank=rng.integers(-2, 1, 40), key=rng.integers(0, 50, 40))
    pairs = [(int(a), int(b), 1 << int(c)) for a, b, c in rng.integers(0, 20, (30, 3)) if a != b]
    buckets = [(7, 1, range(5, 30)), (8, 2, range(0, 40, 2)), (9, 4, range(5, 30))]
    one = case.verify(pairs, buckets, 0.6)
    two = case.verify(pairs, buckets, 0.6, rng.permutation(40), rng)
    assert (one.pairs == two.pairs).all()
    assert one.unmeasured == two.unmeasured
    for a, b, _, jaccard in one.pairs.tolist():
        x, y = sets[a - 10], sets[b - 10]
        assert jaccard == len(x & y) / len(x | y)
        assert (tuple(case.key[a - 10]), a) < (tuple(case.key[b - 10]), b)
    if one.unmeasured == 0:  # then no two that stay in one bucket are duplicates
        stay = set(range(40)) - case.dropped(one, 0.6).keys()
        for _, _, members in buckets:
            alive = sorted(stay & set(members))
            assert all(len(sets[a] & sets[b]) / len(sets[a] | sets[b]) < 0.6 for a in alive for b in alive if a < b)


def rounds_by_sets(case, pairs, buckets, threshold) -> tuple[set[frozenset[int]], int]:
    """(measured pairs, documents left uncompared) as the module describes it: Python sets, all anew each round."""
    order = sorted(range(case.n), key=lambda i: (case.rank[i], *case.key[i].tolist(), i))
    place = {i: at for at, i in enumerate(order)}
    measured = {frozenset((a, b)) for a, b, _ in pairs}
    groups = {frozenset(members) for _, _, members in buckets}
    led = {group: set() for group in groups}

    def near(a, b):
        x, y = case.sets[a], case.sets[b]
        return frozenset((a, b)) in measured and len(x & y) >= threshold * len(x | y)

    def standing():
        stars = []
        for i in order:
            if not any(near(star, i) for star in stars):
                stars.append(i)
        return set(stars)

    def waiting(group, stand):
        found = sorted((group & stand) - led[group], key=place.__getitem__)
        return found if len(found) > 1 else []

    def wanted(stand):
        alive = {group: group & stand for group in groups}
        return {frozenset((a, b)) for g in groups for a in led[g] & stand for b in alive[g] - {a}} - measured

    for _ in range(module.MAX_ROUNDS):
        stand = standing()
        leaders = [(group, waiting(group, stand)[0]) for group in groups if waiting(group, stand)]
        for group, leader in leaders:
            led[group].add(leader)
        new = wanted(stand)
        if not leaders and not new:
            return measured, 0
        measured |= new
    stand = standing()
    return measured, len(set().union(*(waiting(group, stand) for group in groups), *wanted(stand)))


@pytest.mark.parametrize("most", [1, 2, 8])
@given(seed=st.integers(0, 2**32 - 1))
def test_rounds_are_what_plain_sets_say(most, seed):
    rng = np.random.default_rng(seed)
    n, spread = int(rng.integers(2, 30)), int(rng.integers(5, 30))
    case = Case(
        [set(rng.integers(0, spread, 8).tolist()) for _ in range(n)], rng.integers(-2, 1, n), rng.permutation(n)
    )
    pairs = [(int(a), int(b), 1) for a, b in rng.integers(0, n, (10, 2)) if a != b]
    buckets = [(g, 2 << g, rng.permutation(n)[: rng.integers(1, n + 1)].tolist()) for g in range(rng.integers(0, 5))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MAX_ROUNDS", most)
        found = case.verify(pairs, buckets, 0.5)
        expected, left = rounds_by_sets(case, pairs, buckets, 0.5)
    assert {frozenset((a - 10, b - 10)) for a, b, _, _ in found.pairs.tolist()} == expected
    assert found.unmeasured == left
    for a, b, bands, _ in found.pairs.tolist():
        both = {a - 10, b - 10}
        asked = any({x, y} == both for x, y, _ in pairs)
        assert bands == asked + sum(bit for _, bit, members in buckets if both <= set(members))
