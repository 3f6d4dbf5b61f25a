"""A small real corpus (tokeniser, shards, manifest) and what the trainer's tests start processes with."""

from __future__ import annotations

import hashlib
import random
import sys
from pathlib import Path

import pyarrow as pa
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # so that `ranks` is importable in the processes that it starts

DOCUMENTS = 500
SENTENCE = "the mill grinds grain into flour while water turns its wheel and stones café 日本 🙂 a of to in"
WORDS = SENTENCE.split(" ")


def texts() -> list[str]:
    """Sentences of a few words whose order is not quite free, so that there is something to learn."""
    draw = random.Random(0)
    found = []
    for _ in range(DOCUMENTS):
        at, words = draw.randrange(len(WORDS)), []
        for _ in range(draw.randint(5, 60)):
            at = (at + draw.choice((1, 1, 1, 2, 5))) % len(WORDS)
            words.append(WORDS[at])
        found.append(" ".join(words) + ".\n")
    return found


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of tokens: about 16,000 in two train shards and 900 in a validation shard; 300 ids."""
    from gristmill.document import make_key, token_schema
    from gristmill.tokenize.manifest import Manifest, Splits, TokenizerInfo
    from gristmill.tokenize.shards import write_shard
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    folder = tmp_path_factory.mktemp("tokens")
    documents = texts()
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(documents, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    schema = token_schema(pa.uint16())

    def shard(name: str, first: int, end: int):
        part = documents[first:end]
        ids = [[*encoding.ids, 0] for encoding in tokenizer.encode_batch(part)]
        columns = {
            "tokens": pa.array(ids, schema.field("tokens").type),
            "id": pa.array([f"document {i}" for i in range(first, end)]),
            "key": pa.array([make_key(str(i), documents[i], {}) for i in range(first, end)], pa.binary(16)),
            "source": pa.repeat(pa.scalar("mill.jsonl"), len(part)),
            "record": pa.array(range(first, end), pa.int64()),
            "offset": pa.nulls(len(part), pa.int64()),
        }
        table = pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema)
        return write_shard(folder / name, table, seed=0, utf8_bytes=sum(len(text.encode()) for text in part))

    splits = Splits(
        train=(shard("train-0.arrow", 0, 240), shard("train-1.arrow", 240, 470)),
        validation=(shard("validation-0.arrow", 470, DOCUMENTS),),
    )
    info = TokenizerInfo(
        file="tokenizer.json",
        sha256=hashlib.sha256((folder / "tokenizer.json").read_bytes()).hexdigest(),
        vocabulary=tokenizer.get_vocab_size(),
        end_of_text=0,
    )
    manifest = Manifest(
        columns=tuple(schema.names), dtype="uint16", tokenizer=info, seed=0, recipe="0" * 64, splits=splits
    )
    manifest.write(folder)
    return folder


@pytest.fixture
def config(corpus: Path) -> dict:
    """A configuration that trains 20 steps in about a second: change it, then `ranks.settings(config)`."""
    return {
        "data": {"tokens": str(corpus), "length": 16},
        "model": {"dim": 32, "layers": 2, "heads": 4, "kv_heads": 2, "ffn": 48},
        "optimizer": {"lr": 3e-3},
        "schedule": {"steps": 20, "warmup": 4},
        "batch": {"sequences": 8},
        "checkpoint": {"every": 10},
        "validation": {"every": 7, "sequences": 9},
        "samples": {"every": 20},
        "threads": 1,
    }
