"""The call in memory against brute force over Python sets, and the same for any cut and order of the batches."""

from __future__ import annotations

import random
import re

import networkx
import numpy as np
import pyarrow as pa
import pytest
from gristmill.dedup.settings import ExactSettings, MinHashSettings
from gristmill.dedup.together import deduplicate
from gristmill.document import words_to_keys
from hypothesis import given, settings
from hypothesis import strategies as st


def corpus(seed: int = 0) -> list[str | None]:
    """Thirty families of texts by edits of one, some equal, some alone, some without words."""
    draw = random.Random(seed)
    texts: list[str | None] = [None, "", "...", "one word", "One word"]
    for family in range(30):
        words = [f"w{draw.randrange(40 * family, 40 * family + 300)}" for _ in range(draw.randrange(6, 120))]
        for _ in range(draw.randrange(1, 6)):
            texts.append(" ".join(words))
            if draw.random() < 0.5:
                texts.append(texts[-1])
            if draw.random() < 0.3:
                texts.append(texts[-1].upper())
            for _ in range(draw.randrange(3)):
                words[draw.randrange(len(words))] = f"edit{draw.randrange(10**6)}"
    draw.shuffle(texts)
    return texts


def cut(texts: list[str | None], keys: np.ndarray, order: np.ndarray, bounds: list[int]) -> list[pa.RecordBatch]:
    """Batches of the documents in `order`, cut at `bounds`."""
    batches = []
    for part in np.split(order, bounds):
        columns = [words_to_keys(keys[part]), pa.array([texts[i] for i in part], pa.large_string())]
        batches.append(pa.RecordBatch.from_arrays(columns, ["key", "text"]))
    return batches


def shingles(text: str | None) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", (text or "").lower())
    return {tuple(words[i : i + 5]) for i in range(max(1, len(words) - 4))} if words else set()


def jaccard(a: set, b: set) -> float:
    return len(a & b) / len(a | b) if a | b else 0.0


def by_index(found, order: np.ndarray) -> tuple[dict[int, tuple[int, float]], dict[frozenset[int], float]]:
    """(dropped -> (kept, similarity), pair -> similarity), documents by their place in the corpus."""
    gone = np.flatnonzero(found.kept >= 0)
    dropped = {int(order[d]): (int(order[found.kept[d]]), float(found.jaccard[d])) for d in gone}
    return dropped, {frozenset((int(order[a]), int(order[b]))): j for a, b, _, j in found.pairs.tolist()}


TEXTS = corpus()
ORDER = np.arange(len(TEXTS))


def test_the_rules_hold_by_brute_force(random_keys):
    keys = random_keys(len(TEXTS))
    found = deduplicate(cut(TEXTS, keys, ORDER, [20, 70]))
    dropped, pairs = by_index(found, ORDER)
    claim = [(-len(text or ""), *key) for text, key in zip(TEXTS, keys.tolist(), strict=True)]

    groups: dict[str, list[int]] = {}
    for i, text in enumerate(TEXTS):
        groups.setdefault(text or "", []).append(i)
    first = {text: min(members, key=claim.__getitem__) for text, members in groups.items()}
    equal = {i: (first[text], 1.0) for text, members in groups.items() for i in members if i != first[text]}
    assert equal.items() <= dropped.items()
    assert found.exact_duplicates == len(equal) > 20
    sets = {i: shingles(TEXTS[i]) for i in first.values()}

    assert found.near_duplicates == len(dropped) - len(equal) > 20
    for pair, similarity in pairs.items():
        a, b = pair
        assert similarity == jaccard(sets[a], sets[b])
    every = {frozenset((a, b)): jaccard(sets[a], sets[b]) for a in sets for b in sets if a < b}
    for pair, similarity in every.items():
        if similarity >= 0.95:  # missed once in 10^9
            assert pair in pairs
    # Stars, in order of claim, over the pairs that were measured
    stays: list[int] = []
    for i in sorted(sets, key=claim.__getitem__):
        star = next((s for s in stays if pairs.get(frozenset((s, i)), 0) >= 0.7), None)
        if star is None:
            stays.append(i)
            assert i not in dropped
        else:
            assert dropped[i] == (star, pairs[frozenset((star, i))])
    assert np.concatenate(found.stays).tolist() == [i not in dropped for i in ORDER]
    assert [len(stay) for stay in found.stays] == [20, 50, len(TEXTS) - 70]
    assert (found.large_buckets, found.largest_bucket, found.unmeasured) == (0, 0, 0)


@settings(max_examples=15, deadline=None)
@given(st.permutations(range(len(TEXTS))), st.lists(st.integers(0, len(TEXTS)), max_size=5), st.integers(0, 4000))
def test_cuts_order_and_memory_decide_nothing(random_keys, order, bounds, memory):
    keys, order = random_keys(len(TEXTS)), np.array(order)
    one = by_index(deduplicate(cut(TEXTS, keys, ORDER, [])), ORDER)
    assert by_index(deduplicate(cut(TEXTS, keys, order, sorted(bounds)), memory=memory + 1), order) == one
    assert list(one[1]) == sorted(one[1], key=lambda pair: sorted(tuple(keys[i].tolist()) for i in pair))


def test_ranks_say_who_stays(random_keys):
    keys = random_keys(len(TEXTS))
    rank = np.random.default_rng(4).permutation(len(TEXTS))
    batches = cut(TEXTS, keys, ORDER, [33])
    found = deduplicate(batches, ranks=np.split(rank, [33]))
    gone = np.flatnonzero(found.kept >= 0)
    assert (rank[found.kept[gone]] < rank[gone]).all()
    assert len(gone) > 40


def test_components_are_networkx_s(random_keys):
    keys = random_keys(len(TEXTS))
    found = deduplicate(cut(TEXTS, keys, ORDER, []), exact=None, minhash=MinHashSettings(cluster="components"))
    dropped, pairs = by_index(found, ORDER)
    graph = networkx.Graph([tuple(pair) for pair, similarity in pairs.items() if similarity >= 0.7])
    claim = [(-len(text or ""), *key) for text, key in zip(TEXTS, keys.tolist(), strict=True)]
    expected = {}
    for members in networkx.connected_components(graph):
        star = min(members, key=claim.__getitem__)
        expected |= dict.fromkeys(members - {star}, star)
    assert {d: k for d, (k, _) in dropped.items()} == expected
    assert found.exact_duplicates == 0


def test_by_signatures_similarities_are_datasketch_s_estimates(random_keys):
    datasketch = pytest.importorskip("datasketch")
    chosen = MinHashSettings(verify="signatures", scheme="datasketch-sha1")
    found = deduplicate(cut(TEXTS, random_keys(len(TEXTS)), ORDER, [50]), minhash=chosen)
    sketches = []
    for text in TEXTS:
        sketches.append(datasketch.MinHash(num_perm=112, seed=1, scheme="affine32"))
        sketches[-1].update_batch([" ".join(shingle).encode() for shingle in shingles(text)])
    assert len(found.pairs) > 20
    for a, b, _, similarity in found.pairs.tolist():
        assert similarity == sketches[a].jaccard(sketches[b])


def test_parts_can_be_left_out(random_keys):
    batches = cut(TEXTS, random_keys(len(TEXTS)), ORDER, [])
    both, equal = deduplicate(batches), deduplicate(batches, minhash=None)
    assert (equal.exact_duplicates, equal.near_duplicates) == (both.exact_duplicates, 0)
    assert len(equal.pairs) == 0
    spelled = deduplicate(batches, exact=ExactSettings(form="text"), minhash=None)
    assert spelled.exact_duplicates > equal.exact_duplicates
    nothing = deduplicate(batches, exact=None, minhash=None)
    assert np.concatenate(nothing.stays).all()


def test_nothing_gives_nothing():
    for batches in ([], cut([], np.empty((0, 2), np.uint64), np.arange(0), [])):
        found = deduplicate(batches)
        assert [len(stays) for stays in found.stays] == [0] * len(batches)
        assert len(found.kept) == len(found.pairs) == 0
