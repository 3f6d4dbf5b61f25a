"""Bits per byte by hand, and the bigram against a counting of pairs in plain Python."""

from __future__ import annotations

import itertools
import math
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import ranks
import torch
from gristmill.console import RequestError
from gristmill.tokenize.shards import Shard
from gristmill.trainer import checkpoint, meters
from gristmill.trainer.evaluation import bigram
from gristmill.trainer.evaluation.bits import bytes_per_token
from gristmill.trainer.evaluation.compare import compare
from gristmill.trainer.loader.stream import TokenStream


@pytest.fixture(scope="module")
def trained(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = {
        "data": {"tokens": str(corpus), "length": 32},
        "model": {"dim": 48, "layers": 2, "heads": 4},
        "optimizer": {"lr": 1e-2},
        "schedule": {"steps": 150, "warmup": 10},
        "batch": {"sequences": 16},
        "validation": {"every": 150},
        "precision": "fp64",
        "threads": 1,
    }
    return ranks.run(config, tmp_path_factory.mktemp("trained"))


def _ids(corpus: Path, split: str) -> np.ndarray:
    """The split as one line of ids, read without the loader."""
    names = {"train": ["train-0.arrow", "train-1.arrow"], "validation": ["validation-0.arrow"]}[split]
    return np.concatenate([batch.tokens for name in names for batch in Shard(corpus / name).batches]).astype(np.int64)


def test_bits_per_byte_by_hand(trained: Path, corpus: Path) -> None:
    ids = _ids(corpus, "validation")
    model, _ = checkpoint.open_model(trained, torch.device("cpu"))
    newest = checkpoint.newest(trained / "checkpoints").path
    checkpoint.load_weights(model.double(), newest / "model.safetensors")
    nats, predicted = 0.0, 0
    with torch.no_grad():
        for start in range(0, len(ids) - 32, 32):
            logp = model(torch.from_numpy(ids[start : start + 32])[None])[0].log_softmax(-1)
            nats -= float(logp[range(32), ids[start + 1 : start + 33]].sum())
            predicted += 32
    assert predicted == (len(ids) - 1) // 32 * 32
    token_bytes = bytes_per_token(TokenStream(corpus, "validation"))
    measured = [r for r in meters.read(trained / "metrics.jsonl") if "validation_loss" in r][-1]
    assert measured["validation_loss"] == pytest.approx(nats / predicted, abs=1e-10)
    assert measured["validation_bits_per_byte"] == pytest.approx(nats / math.log(2) / (predicted * token_bytes))


def test_bytes_are_those_of_the_texts(corpus: Path) -> None:
    from tokenizers import Tokenizer

    ids = _ids(corpus, "validation")
    text = Tokenizer.from_file(str(corpus / "tokenizer.json")).decode(ids.tolist(), skip_special_tokens=True)
    assert bytes_per_token(TokenStream(corpus, "validation")) == pytest.approx(len(text.encode()) / len(ids))


def test_an_empty_split_is_named(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = TokenStream(corpus, "validation")
    stream.tokens = 0
    with pytest.raises(RequestError, match="the validation split is empty"):
        bytes_per_token(stream)


def _plain_bigram(train: list[np.ndarray], vocabulary: int, discounts: np.ndarray):
    """p(w | v) as the docstring of bigram.py defines it, with dictionaries."""
    pairs = Counter((int(v), int(w)) for row in train for v, w in itertools.pairwise(row))
    follow, before = Counter(), Counter()
    for (v, w), n in pairs.items():
        follow[v] += n
        before[w] += 1
    kinds = len(pairs)

    def discount(n: int) -> float:
        return float(discounts[min(n, 3)])

    spread = sum(discount(n) for n in before.values()) / kinds

    def below(w: int) -> float:
        return (before[w] - discount(before[w])) / kinds + spread / vocabulary

    def p(v: int, w: int) -> float:
        if not follow[v]:
            return below(w)
        free = sum(discount(n) for (a, _), n in pairs.items() if a == v)
        n = pairs[v, w]
        return (n - discount(n)) / follow[v] + free / follow[v] * below(w)

    return p


def test_the_bigram_is_its_definition() -> None:
    draw = np.random.default_rng(0)
    vocabulary = 12
    train = [draw.geometric(0.3, (3, 20)).clip(max=11) for _ in range(30)]  # id 0 is never seen
    model = bigram.fit(iter(train), vocabulary)
    plain = _plain_bigram([row for batch in train for row in batch], vocabulary, model.discounts)
    pairs = np.arange(vocabulary**2)
    expected = [plain(int(pair) // vocabulary, int(pair) % vocabulary) for pair in pairs]
    assert model.probability(pairs) == pytest.approx(expected, abs=1e-12)
    sums = model.probability(pairs).reshape(vocabulary, vocabulary).sum(1)
    assert sums == pytest.approx(np.ones(vocabulary), abs=1e-12)
    test = draw.geometric(0.3, (2, 50)).clip(max=11)
    by_hand = -sum(math.log(plain(int(v), int(w))) for row in test for v, w in itertools.pairwise(row))
    assert model.nats([test[:1], test[1:]]) == (pytest.approx(by_hand), 98)


def test_counting_in_chunks_is_counting(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(1)
    batches = [draw.integers(0, 50, (4, 33)) for _ in range(20)]
    whole = bigram.count(batches, 50)
    monkeypatch.setattr(bigram, "CHUNK", 300)
    parts = bigram.count(batches, 50)
    assert np.array_equal(whole.pairs, parts.pairs)
    assert np.array_equal(whole.seen, parts.seen)
    assert whole.seen.sum() == 20 * 4 * 32
    assert bigram.count([], 50).of(np.arange(3)).tolist() == [0, 0, 0]


def test_the_chosen_discounts_are_near_the_best_and_beat_the_unigram(corpus: Path) -> None:
    ids, held = _ids(corpus, "train"), _ids(corpus, "validation")[None]
    rows = [row[None] for row in np.array_split(ids, 100)]
    model = bigram.fit(iter(rows), 300)
    nats, tokens = model.nats([held])
    levels = [(a, b, c) for a in (0.01, 0.5, 0.95) for b in (0.01, 0.7, 1.5) for c in (0.01, 0.9, 2.0)]
    others = [bigram.Bigram(bigram.count(rows, 300), 300, discounts).nats([held])[0] for discounts in levels]
    assert min(others) * 1.005 > nats
    assert nats < sorted(others)[len(others) // 2]
    p = (np.bincount(ids, minlength=300) + 1) / (len(ids) + 300)
    assert nats < -np.log(p[held[0, 1:]]).sum()
    assert tokens == held.size - 1


def test_a_trained_model_beats_the_bigram_and_evaluate_says_so(trained: Path, corpus: Path) -> None:
    model, pairs = compare(trained)
    assert model.tokens == pairs.tokens
    assert model.per_byte < pairs.per_byte
    done = subprocess.run(
        [sys.executable, "-m", "gristmill", "evaluate", str(trained)],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first.startswith(f"model   {model.per_byte:.4f} bits per byte")
    assert second.startswith(f"bigram  {pairs.per_byte:.4f} bits per byte")


def test_evaluate_refuses_other_tokens(trained: Path, corpus: Path, tmp_path: Path) -> None:
    import shutil

    other = Path(shutil.copytree(corpus, tmp_path / "other"))
    (other / "manifest.json").write_text((other / "manifest.json").read_text().replace("0" * 64, "2" * 64))
    with pytest.raises(RequestError, match="the run has read"):
        compare(trained, other)
    with pytest.raises(RequestError, match="not a training directory"):
        compare(tmp_path)
