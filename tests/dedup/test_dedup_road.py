"""All steps in a row, over real revisions and planted boilerplate: recall by theory, and the same for any order."""

from __future__ import annotations

import itertools
import random
import re

import numpy as np
from gristmill.dedup.components import components
from gristmill.dedup.settings import MinHashSettings


def brute_force(texts: list[str], ngram: int) -> list[set[tuple[str, ...]]]:
    """Shingle sets by Python alone."""
    words = [re.findall(r"\w+", text.lower()) for text in texts]
    return [{tuple(w[i : i + ngram]) for i in range(max(1, len(w) - ngram + 1))} if w else set() for w in words]


def test_recall_is_what_theory_says(revisions, road, random_keys):
    """Of the pairs of revisions at each similarity, 1-(1-J^8)^14 are found; each is measured exactly."""
    texts = [text for _, text in revisions]
    groups: dict[str, list[int]] = {}
    for i, (group, _) in enumerate(revisions):
        groups.setdefault(group, []).append(i)
    sets = brute_force(texts, 5)
    measured: dict[tuple[int, int], float] = {}
    expected, variance, hits = np.zeros(10), np.zeros(10), np.zeros(10)
    seeds = (1, 2, 3)
    for seed in seeds:
        settings = MinHashSettings(seed=seed)
        way = road(texts, random_keys(len(texts)), np.arange(len(texts)), settings)
        found = {(min(a, b), max(a, b)): j for a, b, _, j in way.verified().pairs.tolist()}
        measured |= found
        for members in groups.values():
            for a, b in itertools.combinations(members, 2):
                true = len(sets[a] & sets[b]) / len(sets[a] | sets[b])
                if (a, b) in found:
                    assert found[a, b] == true
                chance = 1 - (1 - true**settings.rows) ** settings.bands
                bin = min(int(true * 10), 9)
                expected[bin] += chance
                variance[bin] += chance * (1 - chance)
                hits[bin] += (a, b) in found
    # Revisions of one text share permutations and shingles, so draws are not independent: six deviations, not three.
    assert (np.abs(hits - expected) <= 6 * np.sqrt(variance) + 1).all(), (hits, expected)
    assert hits[8:].sum() > 0.97 * expected[8:].sum() > 100
    for (a, b), jaccard in measured.items():
        assert jaccard == len(sets[a] & sets[b]) / len(sets[a] | sets[b])


def test_who_is_removed_is_a_duplicate_of_one_that_stays(revisions, road, random_keys):
    texts = [text for _, text in revisions]
    sets = brute_force(texts, 5)
    way = road(texts, random_keys(len(texts)), np.arange(len(texts)), MinHashSettings())
    dropped, kept, jaccard = way.stars(way.verified())
    assert len(dropped) > 50
    assert not set(dropped) & set(kept)
    for d, k, j in zip(dropped, kept, jaccard, strict=True):
        assert j == len(sets[d] & sets[k]) / len(sets[d] | sets[k]) >= 0.7
        assert len(texts[k]) >= len(texts[d])


def boilerplate(copies: int) -> list[str]:
    """One text of 400 words, `copies` times, each with a few words edited."""
    draw = random.Random(5)
    words = [f"word{draw.randrange(5000)}" for _ in range(400)]
    result = []
    for copy in range(copies):
        edited = list(words)
        for _ in range(draw.randrange(3)):
            edited[draw.randrange(400)] = f"edit{copy}"
        result.append(" ".join(edited))
    return result


def test_boilerplate_is_one_star_and_not_all_pairs(road, random_keys):
    texts = [*boilerplate(300), "", "  ", "", *(f"another text number {i} of its own" for i in range(20))]
    way = road(texts, random_keys(len(texts)), np.arange(len(texts)), MinHashSettings())
    assert len(way.big) > 300
    found = way.verified()
    dropped, kept, _ = way.stars(found)
    assert found.unmeasured == 0
    assert set(dropped) < set(range(300))
    assert len(dropped) == 299
    assert len(set(kept)) == 1
    assert len(found.pairs) < 10_000  # of 44,850
    nodes, label = components(way.pairs, way.big)
    assert nodes.tolist() == list(range(300))
    assert (label == 0).all()


def test_order_handles_and_partitions_decide_nothing(revisions, road, random_keys):
    texts = [*(text for _, text in revisions[:120]), *boilerplate(90)]
    key = random_keys(len(texts))

    def outcome(order: np.ndarray, unit: int, partitions: int) -> tuple[list, list]:
        handle = (np.arange(len(texts)) + (unit << 32)).astype(np.int64)
        way = road([texts[i] for i in order], key[order], handle, MinHashSettings(), partitions)
        found = way.verified()
        text_of = lambda h: order[h - (unit << 32)]  # noqa: E731
        pairs = [(text_of(a), text_of(b), bands, j) for a, b, bands, j in found.pairs.tolist()]
        removed = [(text_of(d), text_of(k), j) for d, k, j in zip(*way.stars(found), strict=True)]
        return pairs, sorted(removed)

    first = outcome(np.arange(len(texts)), 0, 1)
    assert len(first[1]) > 90
    rng = np.random.default_rng(8)
    for partitions in (2, 7):
        assert outcome(rng.permutation(len(texts)), partitions, partitions) == first
