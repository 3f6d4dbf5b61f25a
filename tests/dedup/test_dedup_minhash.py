"""Signatures against datasketch, bit for bit, their error, and the model of what a recipe may say."""

from __future__ import annotations

import hashlib
import itertools
import random
import re
import struct

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from datasketch import MinHash
from gristmill.dedup.datasketch_hashes import LANES, sha1_scratch, sha1_shingles, xxh32_shingles
from gristmill.dedup.minhash import EMPTY, estimates, legacy_permutations, permutations, signatures
from gristmill.dedup.settings import DedupSettings, MinHashSettings
from gristmill.dedup.shingles import BLOCK, shingle_sets
from gristmill.dedup.verify import jaccards
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pydantic import ValidationError

DATASKETCH = {
    "datasketch-sha1": {},
    "datasketch-xxh32": {"hashfunc": xxhash.xxh32_intdigest},
    "datasketch-legacy": {"scheme": "legacy"},
}


def oracle(texts: list[str], settings: MinHashSettings) -> np.ndarray:
    """datasketch over the upper halves of our shingle hashes."""
    values, offsets = shingle_sets(pa.array(texts, pa.large_string()), settings)
    rows = []
    for a, b in itertools.pairwise(offsets):
        sketch = MinHash(num_perm=settings.permutations, seed=settings.seed, hashfunc=lambda h: h)
        for h in values[a:b].tolist():
            sketch.update(h >> 32)
        rows.append(sketch.hashvalues)
    return np.array(rows)


def shingles(text: str, settings: MinHashSettings) -> list[bytes]:
    text = text.lower() if settings.lowercase else text
    parts = re.findall(r"\w+", text) if settings.words == "alphanumeric" else text.split()
    between = " "
    if settings.shingle == "characters":
        parts, between = " ".join(parts), ""
    n = settings.ngram
    return [between.join(parts[i : i + n]).encode() for i in range(max(1, len(parts) - n + 1))] if parts else []


def from_text(texts: list[str], settings: MinHashSettings) -> np.ndarray:
    """datasketch over the texts themselves."""
    rows = []
    for text in texts:
        sketch = MinHash(num_perm=settings.permutations, seed=settings.seed, **DATASKETCH[settings.scheme])
        if found := shingles(text, settings):
            sketch.update_batch(found)
        rows.append(sketch.hashvalues)
    return np.array(rows)


TEXTS = [
    "",
    "  \n ",
    "word",
    "The quick brown fox jumps over the lazy dog",
    "the QUICK brown\tfox jumps over the lazy dog, again",
    " ".join(f"w{i}" for i in range(BLOCK + 3)),
    "ΟΔΟΣ İstanbul 東京 𐐀 \0 nul it's a_b 50,000.5",
    "https://" + "x" * 500 + " and short words around it " + "y" * 119,
    "Ж" * 3000 + " a b c d e f g",
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


@pytest.mark.parametrize("scheme", DATASKETCH)
@pytest.mark.parametrize("shingle", ["words", "characters"])
@pytest.mark.parametrize(("lowercase", "words"), list(itertools.product([True, False], ["alphanumeric", "whitespace"])))
def test_signatures_of_text_are_those_of_datasketch(scheme, shingle, lowercase, words):
    for ngram, count, seed in ((5, None, 1), (1, 130, 3), (40, 112, 2**32 - 1)):
        settings = MinHashSettings(
            scheme=scheme,
            shingle=shingle,
            lowercase=lowercase,
            words=words,
            ngram=ngram,
            permutations=count,
            seed=seed,
        )
        assert (signatures(pa.array(TEXTS), settings) == from_text(TEXTS, settings)).all()


@pytest.mark.parametrize("scheme", DATASKETCH)
def test_signatures_of_real_text_are_those_of_datasketch(scheme, revisions):
    texts = [text for _, text in revisions[:30]]
    settings = MinHashSettings(scheme=scheme)
    assert (signatures(pa.array(texts), settings) == from_text(texts, settings)).all()


@examples(max_examples=100)
@given(
    st.lists(st.text(max_size=90), max_size=4), st.sampled_from(sorted(DATASKETCH)), st.booleans(), st.integers(1, 7)
)
def test_signatures_of_any_text_are_those_of_datasketch(texts, scheme, characters, ngram):
    settings = MinHashSettings(
        scheme=scheme, shingle="characters" if characters else "words", ngram=ngram, bands=2, rows=2
    )
    assert (signatures(pa.array(texts, pa.string()), settings).tolist()) == from_text(texts, settings).tolist()


def test_hashes_of_shingles_of_every_length():
    """One byte to several blocks of SHA-1, more of them than lanes, long and short mixed."""
    sizes = [*range(1, 200), 1000, 3, 20_000, 1, 55, 56, 63, 64, 119, 120, *[5] * LANES, 255, 256, 2]
    text = np.frombuffer(random.Random(0).randbytes(sum(sizes)) + b" " * 64, np.uint8)
    ends = np.cumsum(sizes)
    edges = np.c_[ends - sizes, ends].reshape(-1)
    shingle = [text[a:b].tobytes() for a, b in edges.reshape(-1, 2)]
    found = np.zeros(len(sizes), np.uint64)
    for count in (len(sizes), 1, LANES - 1, LANES, LANES + 1):
        sha1_shingles(text, edges, count, 1, sha1_scratch(), found)
        expected = [struct.unpack("<I", hashlib.sha1(s).digest()[:4])[0] << 32 for s in shingle[:count]]
        assert found[:count].tolist() == expected
    xxh32_shingles(text, edges, len(sizes), 1, found)
    assert found.tolist() == [xxhash.xxh32_intdigest(s) << 32 for s in shingle]


def test_permutations_are_those_of_datasketch():
    for count, seed in ((112, 1), (128, 5)):
        assert np.array_equal(np.array(permutations(count, seed)), MinHash(num_perm=count, seed=seed).permutations)
        legacy = MinHash(num_perm=count, seed=seed, scheme="legacy").permutations
        assert np.array_equal(np.array(legacy_permutations(count, seed)), legacy)


@pytest.mark.parametrize("scheme", ["fast", *DATASKETCH])
def test_datasketch_reads_a_row(scheme):
    settings = MinHashSettings(scheme=scheme)
    rows = signatures(pa.array(TEXTS, pa.large_string()), settings)
    theirs, dtype = ("legacy", np.uint64) if scheme == "datasketch-legacy" else ("affine32", np.uint32)
    sketches = [MinHash(hashvalues=row.astype(dtype), seed=settings.seed, scheme=theirs) for row in rows]
    pairs = np.array(list(itertools.product(range(len(rows)), repeat=2)))
    found = estimates(rows, pairs[:, 0], pairs[:, 1])
    for (a, b), estimate in zip(pairs.tolist(), found.tolist(), strict=True):
        empty = a < 2 and b < 2
        assert (
            estimate
            == (0.0 if empty else sketches[a].jaccard(sketches[b]))
            == (not empty) * np.mean(rows[a] == rows[b])
        )
    fresh = MinHash(num_perm=settings.permutations, seed=settings.seed, scheme=theirs)
    assert sketches[3].jaccard(fresh) == 0.0  # same scheme, comparable


def test_no_words_is_all_empty():
    assert (signatures(pa.array(["", " \t\u2003"]), MinHashSettings()) == EMPTY).all()
    assert signatures(pa.array([], pa.string()), MinHashSettings()).shape == (0, 112)


@pytest.mark.parametrize("scheme", ["fast", *DATASKETCH])
def test_slices_and_batch_size_change_nothing(scheme):
    settings = MinHashSettings(scheme=scheme)
    whole = signatures(pa.array(TEXTS), settings)
    assert (signatures(pa.array(TEXTS)[2:5], settings) == whole[2:5]).all()
    assert (np.concatenate([signatures(pa.array([text]), settings) for text in TEXTS]) == whole).all()
    assert (signatures(pa.array(TEXTS[::-1]), settings) == whole[::-1]).all()


@pytest.mark.parametrize("scheme", ["fast", *DATASKETCH])
@pytest.mark.parametrize("shingle", ["words", "characters"])
def test_agreement_estimates_the_similarity(scheme, shingle):
    """Over pairs of all similarities, independent of each other: the spread that binomial theory gives, and no bias."""
    draw = random.Random(5)
    texts = []
    for _ in range(1500):
        words = [f"{draw.getrandbits(30):x}" for _ in range(60)]
        texts.append(" ".join(words))
        for _ in range(draw.randrange(1, 12 if shingle == "words" else 50)):
            words[draw.randrange(len(words))] = f"{draw.getrandbits(30):x}"
        texts.append(" ".join(words))
    settings = MinHashSettings(scheme=scheme, shingle=shingle, permutations=128)
    column, a = pa.array(texts, pa.large_string()), np.arange(0, len(texts), 2)
    values, offsets = shingle_sets(column, settings)
    true = jaccards(offsets, values, a, a + 1)
    assert true.min() < 0.2
    assert true.max() > 0.8
    error = estimates(signatures(column, settings), a, a + 1) - true
    spread = np.sqrt(np.mean(true * (1 - true)) / settings.permutations)
    assert np.sqrt((error**2).mean()) == pytest.approx(spread, rel=0.1)
    assert abs(error.mean()) < 4 * spread / np.sqrt(len(a))


@pytest.mark.parametrize(
    "wrong",
    [
        {"bands": 0},
        {"bands": 65},
        {"bands": 64, "rows": 17},
        {"permutations": 111},
        {"permutations": 1025},
        {"bands": None},
        {"rows": None},
        {"scheme": "minhash"},
        {"shingle": "sentences"},
        {"words": "unicode"},
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
    """Those of the field: what a recipe that says nothing means must not drift."""
    assert MinHashSettings().model_dump() == {
        "shingle": "words",
        "ngram": 5,
        "lowercase": True,
        "words": "alphanumeric",
        "scheme": "fast",
        "permutations": 112,
        "bands": 14,
        "rows": 8,
        "false_negative_weight": 0.5,
        "threshold": 0.7,
        "seed": 1,
        "verify": "exact",
        "cluster": "star",
        "large_cluster": 1000,
    }
    assert DedupSettings().keep == "longest"


def test_bands_are_derived_from_the_threshold_and_stay_as_they_travel():
    derived = MinHashSettings(bands=None, rows=None, threshold=0.9, permutations=256)
    assert (derived.permutations, derived.bands * derived.rows <= 256) == (256, True)
    assert MinHashSettings(bands=None, rows=None).permutations == 128
    looser = MinHashSettings(bands=None, rows=None, threshold=0.5, permutations=256)
    assert looser.rows < derived.rows
    eager = MinHashSettings(bands=None, rows=None, threshold=0.9, permutations=256, false_negative_weight=0.9)
    assert eager.rows < derived.rows
    for settings in (derived, looser, eager, MinHashSettings()):
        assert MinHashSettings.model_validate_json(settings.model_dump_json()) == settings
    signed = derived.of_signatures()
    assert (signed.bands, signed.rows, signed.permutations) == (derived.bands, derived.rows, 256)
    assert MinHashSettings.model_validate_json(signed.model_dump_json()) == signed
    assert (signed.threshold, eager.of_signatures().false_negative_weight) == (0.7, 0.5)


def test_minima_beyond_the_bands_are_kept():
    """They serve estimates; the permutations are those of the whole length, as datasketch draws them."""
    settings = MinHashSettings(bands=4, rows=5, permutations=100)
    found = signatures(pa.array(TEXTS, pa.large_string()), settings)
    assert (found == oracle(TEXTS, settings)).all()
    assert found.shape == (len(TEXTS), 100)
