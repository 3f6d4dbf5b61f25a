"""Training: the sample by key, and one tokenizer.json for one sample."""

import hashlib
import json
import os
import random
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from gristmill.document import draws
from gristmill.tokenize.training import TokenizerSettings, choose_sample, train
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

TRAIN = """
import hashlib, random, sys
from gristmill.tokenize.training import TokenizerSettings, train
digest = hashlib.sha256()
for seed in range(60):
    dice = random.Random(seed)
    words = ["".join(dice.choice("abcd"[: 2 + seed % 3]) for _ in range(dice.randint(1, 40))) for _ in range(100)]
    digest.update(train([" ".join(words)] * 2, TokenizerSettings(vocabulary=700)).encode())
text = open(sys.argv[1], encoding="utf-8").read()
digest.update(train(text.split("\\n\\n"), TokenizerSettings(vocabulary=2000)).encode())
print(digest.hexdigest())
"""


def test_same_file_for_any_hash_seed_and_number_of_threads(tmp_path):
    # words of two to four letters have ties between almost all pairs, where the order of a hash map would show
    dice = random.Random(1)
    words = ["".join(dice.choices("etaoinshrdlu", k=dice.randint(1, 9))) for _ in range(3000)]
    (tmp_path / "text").write_text("\n\n".join(" ".join(dice.choices(words, k=60)) for _ in range(200)))
    found = set()
    for seed, threads, parallel in (("0", "1", "false"), ("1", "4", "true")):
        env = os.environ | {
            "PYTHONHASHSEED": seed,
            "RAYON_NUM_THREADS": threads,
            "TOKENIZERS_PARALLELISM": parallel,
        }
        command = [sys.executable, "-c", TRAIN, str(tmp_path / "text")]
        found.add(subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout)
    assert len(found) == 1


def test_environment_is_put_back(monkeypatch):
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "true")
    train(["a b"], TokenizerSettings(vocabulary=300))
    assert os.environ["TOKENIZERS_PARALLELISM"] == "true"
    monkeypatch.delenv("TOKENIZERS_PARALLELISM")
    train(["a b"], TokenizerSettings(vocabulary=300))
    assert "TOKENIZERS_PARALLELISM" not in os.environ


def test_every_byte_is_a_token_and_special_tokens_come_first():
    settings = TokenizerSettings(vocabulary=300, special_tokens=("<|endoftext|>", "<|pad|>"))
    model = json.loads(train([], settings))
    assert len(model["model"]["vocab"]) == 258
    assert model["model"]["vocab"]["<|endoftext|>"] == 0
    assert model["model"]["vocab"]["<|pad|>"] == 1
    assert model["normalizer"] is None


def test_merges_are_those_of_a_plain_bpe():
    """Brute force: count pairs over the pieces, merge the commonest, the smaller ids first among equals."""
    dice = random.Random(3)
    words = ["".join(dice.choices("abc", k=dice.randint(1, 7))) for _ in range(60)]
    text = " ".join(dice.choices(words, k=400))
    model = json.loads(train([text], TokenizerSettings(vocabulary=300)))["model"]
    ids = {token: i for token, i in model["vocab"].items() if len(token) == 1 or i == 0}
    names = {i: token for token, i in ids.items()}
    pieces = [[ids[c] for c in ("Ġ" if i else "") + word] for i, word in enumerate(text.split(" "))]
    merges = []
    while len(ids) < 300:
        counts: dict[tuple[int, int], int] = {}
        for piece in pieces:
            for pair in pairwise(piece):
                counts[pair] = counts.get(pair, 0) + 1
        pair = min(counts, key=lambda pair: (-counts[pair], pair))
        if counts[pair] < 2:
            break
        name = names[pair[0]] + names[pair[1]]
        new = ids.setdefault(name, len(ids))
        names[new] = name
        merges.append([names[pair[0]], names[pair[1]]])
        for piece in pieces:
            at = 0
            while at < len(piece) - 1:
                if (piece[at], piece[at + 1]) == pair:
                    piece[at : at + 2] = [new]
                at += 1
    assert model["merges"][: len(merges)] == merges


@given(
    sizes=st.lists(st.integers(0, 50), max_size=40),
    room=st.integers(1, 300),
    seed=st.integers(0, 5),
    shuffle=st.randoms(use_true_random=False),
)
def test_sample_is_a_function_of_the_keys(sizes, room, seed, shuffle):
    keys = np.frombuffer(b"".join(hashlib.md5(b"%d" % i).digest() for i in range(len(sizes))), "<u8").reshape(-1, 2)
    sizes = np.array(sizes, np.int64)
    rows = choose_sample(keys, sizes, seed, room)
    expected, left = [], room  # one at a time, in order of the draws
    for row in np.argsort(draws(keys, seed, "tokenizer")).tolist():
        if sizes[row] <= left:
            expected.append(row)
            left -= sizes[row]
    expected.sort(key=lambda row: tuple(keys[row].tolist()))
    assert rows.tolist() == expected
    order = list(range(len(sizes)))
    shuffle.shuffle(order)
    again = choose_sample(keys[order], sizes[order], seed, room)
    assert [order[row] for row in again] == expected


def test_settings_refuse_what_cannot_be():
    for wrong in ({"vocabulary": 299}, {"special_tokens": ()}, {"special_tokens": ("a", "a")}, {"sample_bytes": 2**31}):
        with pytest.raises(ValidationError):
            TokenizerSettings(**wrong)
