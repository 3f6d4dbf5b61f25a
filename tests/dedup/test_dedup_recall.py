"""Recall of candidates by similarity, and what verification lets through, against brute force over strings.

Documents are synthetic, pairs are one document and an edited copy; their similarity is that of Python's sets of tuples
of words. Recall is held against the mean over the pairs of a bin of 1-(1-J^rows)^bands: theory says no more than that.
"""

from __future__ import annotations

import gzip
import io
import json
import random
import re
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest
from gristmill.dedup.candidates import band_hashes, blocks, bucket_pairs, from_bytes, merge_pairs
from gristmill.dedup.minhash import estimates, signatures
from gristmill.dedup.scurve import probability
from gristmill.dedup.settings import MinHashSettings
from gristmill.dedup.shingles import shingle_sets
from gristmill.dedup.verify import jaccards

BINS = ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (0.6, 0.7), (0.7, 0.8), (0.8, 0.9), (0.9, 1.0))
SCHEMES = ("fast", "datasketch-xxh32")


def shingles(text: str, ngram: int = 5) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[i : i + ngram]) for i in range(max(1, len(words) - ngram + 1))} if words else set()


def similarity(a: str, b: str) -> float:
    one, two = shingles(a), shingles(b)
    return len(one & two) / len(one | two)


def edited(words: list[str], edits: int, draw: random.Random) -> list[str]:
    """Words replaced, put in, taken out, in places drawn."""
    words = list(words)
    for _ in range(edits):
        at, kind = draw.randrange(len(words)), draw.randrange(4)
        words[at : at + (kind != 1)] = [] if kind == 2 and len(words) > 20 else [f"edit{draw.randrange(10**9)}"]
    return words


@dataclass
class Planted:
    """Pair p is texts[2p] and texts[2p + 1], of similarity jaccard[p]."""

    texts: list[str]
    jaccard: np.ndarray

    @property
    def column(self) -> pa.Array:
        return pa.array(self.texts, pa.large_string())


def planted(pairs_a_bin: int, seed: int) -> Planted:
    """As many pairs in every bin of similarity, each of documents of their own of 80 to 300 words."""
    draw = random.Random(seed)
    vocabulary = [f"{draw.randrange(36**4):x}" for _ in range(20_000)]
    texts, jaccard, left = [], [], dict.fromkeys(BINS, pairs_a_bin)
    while left:
        low, high = draw.choice(list(left))
        words = draw.choices(vocabulary, k=draw.randrange(80, 300))
        wanted = draw.uniform(low, high)
        touched = len(words) * (1 - wanted) / (1 + wanted)
        other = edited(words, max(1, round(touched / 5 + draw.random() - 0.5)), draw)
        pair = " ".join(words), ", ".join(word.title() for word in other) + "."
        found = similarity(*pair)
        if low <= found < high:
            texts += pair
            jaccard.append(found)
            left[low, high] -= 1
            if not left[low, high]:
                del left[low, high]
    return Planted(texts, np.array(jaccard))


def candidates(column: pa.Array, settings: MinHashSettings, partitions: int = 2) -> np.ndarray:
    """int64[p, 2]: the candidate pairs, the smaller position first."""
    n = len(column)
    bands = band_hashes(signatures(column, settings), settings)
    keys = np.random.default_rng(0).integers(0, 1 << 64, (n, 2), dtype=np.uint64)
    wanted = [(band, partition) for band in range(settings.bands) for partition in range(partitions)]
    found = blocks(bands, np.zeros(n, np.int64), keys, np.arange(n), partitions, wanted)
    pairs = merge_pairs(bucket_pairs(from_bytes([data]), band)[0] for (band, _), data in found)
    return np.sort(np.c_[pairs["a"], pairs["b"]], axis=1)


def planted_hits(column: pa.Array, settings: MinHashSettings) -> np.ndarray:
    """bool of all pairs of documents 2p, 2p + 1: whether they are candidates."""
    a, b = candidates(column, settings).T
    hit = np.zeros(len(column) // 2, bool)
    hit[a[(a % 2 == 0) & (b == a + 1)] // 2] = True
    return hit


def assert_recall(data: Planted, settings: MinHashSettings) -> None:
    """Of each bin: within two points or three standard errors of the mean over its pairs of what theory says."""
    hit = planted_hits(data.column, settings)
    expected = probability(data.jaccard, settings.bands, settings.rows)
    for low, high in BINS:
        bin = (low <= data.jaccard) & (data.jaccard < high)
        error = np.sqrt(np.mean(expected[bin] * (1 - expected[bin])) / bin.sum())
        off = hit[bin].mean() - expected[bin].mean()
        assert abs(off) <= max(0.02, 3 * error), (low, hit[bin].mean(), expected[bin].mean())


def assert_error(data: Planted, settings: MinHashSettings) -> None:
    """Of each bin, and of all: the error of the estimates is that of K coins."""
    rows = signatures(data.column, settings)
    a = np.arange(0, len(data.texts), 2)
    error = estimates(rows, a, a + 1) - data.jaccard
    spread = np.sqrt(data.jaccard * (1 - data.jaccard) / settings.permutations)
    for low, high in (*BINS, (0.0, 1.0)):
        bin = (low <= data.jaccard) & (data.jaccard < high)
        ratio = np.sqrt(np.mean(error[bin] ** 2) / np.mean(spread[bin] ** 2))
        assert abs(ratio - 1) < max(0.1, 4 / np.sqrt(2 * bin.sum()))
    assert bin.all()
    assert abs(ratio - 1) < 0.1


@pytest.fixture(scope="module")
def few() -> Planted:
    return planted(400, seed=1)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_recall_of_candidates_is_what_theory_says(few, scheme):
    assert_recall(few, MinHashSettings(scheme=scheme))
    assert_recall(few, MinHashSettings(scheme=scheme, bands=30, rows=4, seed=3))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_error_of_estimates_is_what_theory_says(few, scheme):
    assert_error(few, MinHashSettings(scheme=scheme))


@pytest.mark.parametrize("shingle", ["words", "characters"])
def test_nobody_is_joined_below_the_threshold(few, road, random_keys, shingle):
    """Every measured pair has the similarity that strings have; planted pairs that were found fall as it says."""
    options = {"shingle": shingle, "ngram": 5 if shingle == "words" else 12, "bands": 20, "rows": 5}
    settings = MinHashSettings(**options)
    way = road(few.texts, random_keys(len(few.texts)), np.arange(len(few.texts)), settings)
    found = way.verified()
    dropped, kept, jaccard = way.stars(found)
    below = 0
    for a, b, _, measured in found.pairs.tolist():
        if shingle == "words":
            true = similarity(few.texts[a], few.texts[b])
        else:
            one, two = (" ".join(re.findall(r"\w+", few.texts[i].lower())) for i in (a, b))
            one, two = ({text[i : i + 12] for i in range(len(text) - 11)} for text in (one, two))
            true = len(one & two) / len(one | two)
        assert measured == true
        below += true < settings.threshold
    assert below > 100
    measured = {(min(a, b), max(a, b)): j for a, b, _, j in found.pairs.tolist()}
    for d, k, j in zip(dropped.tolist(), kept.tolist(), jaccard.tolist(), strict=True):
        assert measured[min(d, k), max(d, k)] == j >= settings.threshold
    alike = {pair for pair, j in measured.items() if j >= settings.threshold}
    assert len(alike) > 800
    gone = set(dropped.tolist())
    assert all(gone & set(pair) for pair in alike)


def revision_pairs(folder) -> tuple[list[str], list[str], np.ndarray, np.ndarray]:
    """(texts, group of each, pairs int64[p, 2] within groups, their similarity float64[p]) of Python's proposals."""
    import zstandard

    with (folder / "pep-revisions-part1-docs.jsonl.zst").open("rb") as raw:
        lines = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(raw), "utf-8")
        records = [json.loads(line) for line in lines]
    place = {record["id"]: i for i, record in enumerate(records)}
    groups = [record["group"] for record in records]
    with gzip.open(folder / "pep-revisions-part1-pairs.jsonl.gz", "rt") as lines:
        rows = [json.loads(line) for line in lines]
    pairs = np.array([(place[row["a"]], place[row["b"]]) for row in rows])
    within = np.array([groups[a] == groups[b] for a, b in pairs])
    told = np.array([row["jaccard_w5"] for row in rows])
    return [record["text"] for record in records], groups, np.sort(pairs[within], axis=1), told[within]


def test_recall_on_revisions_of_real_documents(shared_data):
    """Pairs of one group share shingles: whole groups are drawn again to know the spread, and eight seeds averaged."""
    texts, groups, pairs, told = revision_pairs(shared_data / "neardup")
    column = pa.array(texts, pa.large_string())
    values, offsets = shingle_sets(column, MinHashSettings())
    true = jaccards(offsets, values, *pairs.T)
    assert np.abs(true - told).max() <= 5.1e-5  # they are told to four places
    group = np.unique([groups[a] for a, _ in pairs], return_inverse=True)[1]
    draw = np.random.default_rng(0)
    many = group.max() + 1
    again = draw.multinomial(many, np.full(many, 1 / many), 2000)  # how often each group is drawn
    hit, seeds, settings = np.zeros(len(pairs)), range(8), MinHashSettings()
    for seed in seeds:
        found = {tuple(pair) for pair in candidates(column, MinHashSettings(seed=seed)).tolist()}
        hit += [tuple(pair) in found for pair in pairs.tolist()]
    hit /= len(seeds)
    expected = probability(true, settings.bands, settings.rows)
    for low, high in BINS:
        bin = (low <= true) & (true < high + (high == 1.0))
        off = np.bincount(group[bin], (hit - expected)[bin], minlength=many)
        count = np.bincount(group[bin], minlength=many)
        spread = np.std((again @ off) / np.maximum(again @ count, 1))
        told = f"J {low} to {high}: {bin.sum()} pairs, found {hit[bin].mean():.3f}, expected {expected[bin].mean():.3f}"
        print(f"{told}, off by {off.sum() / bin.sum():+.3f}, bootstrap error {spread:.3f}")
        assert abs(off.sum() / bin.sum()) <= max(0.02, 3 * spread)


@pytest.mark.slow
def test_recall_and_error_on_ten_thousand_pairs_a_bin():
    data = planted(10_000, seed=2)
    for scheme in (*SCHEMES, "datasketch-sha1", "datasketch-legacy"):
        settings = MinHashSettings(scheme=scheme)
        assert_recall(data, settings)
        assert_error(data, settings)
