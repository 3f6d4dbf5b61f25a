"""Signatures against datasketch, bit for bit, and the model of what a recipe may say."""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
import pytest
from datasketch import MinHash
from gristmill.dedup.minhash import EMPTY, permutations, signatures
from gristmill.dedup.settings import MinHashSettings
from gristmill.dedup.shingles import BLOCK, shingle_sets
from pydantic import ValidationError


def oracle(texts: list[str], settings: MinHashSettings) -> np.ndarray:
    """datasketch over the upper halves of our shingle hashes."""
    values, offsets = shingle_sets(pa.array(texts, pa.large_string()), settings.ngram)
    rows = []
    for a, b in itertools.pairwise(offsets):
        sketch = MinHash(num_perm=settings.permutations, seed=settings.seed, hashfunc=lambda h: h)
        for h in values[a:b].tolist():
            sketch.update(h >> 32)
        rows.append(sketch.hashvalues)
    return np.array(rows)


TEXTS = [
    "",
    "  \n ",
    "word",
    "The quick brown fox jumps over the lazy dog",
    "the QUICK brown\tfox jumps over the lazy dog, again",
    " ".join(f"w{i}" for i in range(BLOCK + 3)),
    "ΟΔΟΣ İstanbul 東京 𐐀 \0 nul",
]


@pytest.mark.parametrize(
    ("bands", "rows", "seed", "ngram"),
    [(14, 8, 1, 5), (1, 1, 1, 1), (3, 5, 7, 2), (16, 8, 2**32 - 1, 3), (9, 13, 0, 5)],
)
def test_signatures_are_those_of_datasketch(bands, rows, seed, ngram):
    settings = MinHashSettings(bands=bands, rows=rows, seed=seed, ngram=ngram)
    found = signatures(pa.array(TEXTS, pa.large_string()), settings)
    assert found.dtype == np.uint32
    assert (found == oracle(TEXTS, settings)).all()


def test_permutations_are_those_of_datasketch():
    for count, seed in ((112, 1), (128, 5)):
        assert np.array_equal(np.array(permutations(count, seed)), MinHash(num_perm=count, seed=seed).permutations)


def test_datasketch_reads_a_row():
    settings = MinHashSettings()
    rows = signatures(pa.array(TEXTS, pa.large_string()), settings)
    sketches = [MinHash(hashvalues=row, seed=settings.seed, scheme="affine32") for row in rows]
    for a in range(len(rows)):
        for b in range(len(rows)):
            assert sketches[a].jaccard(sketches[b]) == np.mean(rows[a] == rows[b])
    fresh = MinHash(num_perm=settings.permutations, seed=settings.seed)
    assert sketches[3].jaccard(fresh) == 0.0  # same scheme, comparable


def test_no_words_is_all_empty():
    assert (signatures(pa.array(["", " \t\u2003"]), MinHashSettings()) == EMPTY).all()
    assert signatures(pa.array([], pa.string()), MinHashSettings()).shape == (0, 112)


def test_slices_and_batch_size_change_nothing():
    settings = MinHashSettings()
    whole = signatures(pa.array(TEXTS), settings)
    assert (signatures(pa.array(TEXTS)[2:5], settings) == whole[2:5]).all()
    assert (np.concatenate([signatures(pa.array([text]), settings) for text in TEXTS]) == whole).all()


def test_agreement_estimates_the_similarity(revisions):
    """Over real pairs: no bias, and the spread that binomial theory gives."""
    settings = MinHashSettings()
    texts = [text for _, text in revisions[:120]]
    rows = signatures(pa.array(texts, pa.large_string()), settings)
    values, offsets = shingle_sets(pa.array(texts, pa.large_string()), settings.ngram)
    sets = [set(values[a:b].tolist()) for a, b in itertools.pairwise(offsets)]
    true, estimate = [], []
    for a in range(len(texts)):
        for b in range(a):
            if revisions[a][0] == revisions[b][0]:
                true.append(len(sets[a] & sets[b]) / len(sets[a] | sets[b]))
                estimate.append(np.mean(rows[a] == rows[b]))
    error = np.array(estimate) - np.array(true)
    spread = np.sqrt(np.mean(np.array(true) * (1 - np.array(true))) / settings.permutations)
    assert len(true) > 20
    assert abs(error.mean()) < spread  # pairs of one group are not independent: bounds are wide
    assert np.sqrt((error**2).mean()) < 1.5 * spread


@pytest.mark.parametrize(
    "wrong",
    [
        {"bands": 0},
        {"bands": 65},
        {"bands": 64, "rows": 17},
        {"ngram": 0},
        {"threshold": 0.0},
        {"threshold": 1.1},
        {"seed": -1},
        {"seed": 2**32},
        {"keep": "newest"},
        {"num_perm": 3},
    ],
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ValidationError):
        MinHashSettings(**wrong)


def test_defaults():
    assert MinHashSettings().permutations == 112
