"""Directories of tokens for the loader's tests."""

import numpy as np
import pyarrow as pa
import pytest
from gristmill.document import token_schema, words_to_keys
from gristmill.tokenize import shards
from gristmill.tokenize.manifest import Manifest, Splits, TokenizerInfo


@pytest.fixture(scope="session")
def make_tokens():
    """A function that writes a directory of tokens and gives the ids of each split, in order.

    `lengths` and `validation` are lists of shards, each the list of its documents' lengths. The ids are 1, 2, 3, ...
    from the first document of a split on, modulo 60,000, so that a test can tell places by ids; 0 ends each document.
    """

    def make(directory, lengths, validation=(), dtype=None, tokens_per_batch=64):
        before, shards.TOKENS_PER_BATCH = shards.TOKENS_PER_BATCH, tokens_per_batch
        try:
            return _make(directory, {"train": lengths, "validation": validation}, dtype or pa.uint16())
        finally:
            shards.TOKENS_PER_BATCH = before

    return make


def _make(directory, splits, dtype):
    directory.mkdir(parents=True, exist_ok=True)
    schema, infos, flat = token_schema(dtype), {}, {}
    for split, parts in splits.items():
        infos[split], flat[split], number = (), [], 0
        for at, lengths in enumerate(parts):
            n = len(lengths)
            words = np.random.default_rng([at, split == "train"]).integers(0, 2**64, (n, 2), np.uint64)
            values = shards.shard_values(words, 0)
            order = np.lexsort((words[:, 1], words[:, 0], values))
            lists = []
            for length in lengths:
                lists.append([*((np.arange(number, number + length - 1) % 59_999) + 1).tolist(), 0])
                number += length
                flat[split] += lists[-1]
            columns = [
                pa.array(lists, schema.field("tokens").type),
                pa.array([f"{split}-{at}-{row}" for row in range(n)]),
                words_to_keys(words[order]),  # so that the writer, which sorts, keeps this order
                pa.array([f"{at}.jsonl"] * n),
                pa.array(range(n), pa.int64()),
                pa.array([None if row % 2 else 10 * row for row in range(n)], pa.int64()),
            ]
            name = directory / f"{split}-{at}.arrow"
            infos[split] += (
                shards.write_shard(name, pa.Table.from_arrays(columns, schema=schema), seed=0, utf8_bytes=4 * number),
            )
    Manifest(
        columns=tuple(schema.names),
        dtype=str(dtype),
        tokenizer=TokenizerInfo(file="tokenizer.json", sha256="", vocabulary=60_000, end_of_text=0),
        seed=0,
        recipe="",
        splits=Splits(**infos),
    ).write(directory)
    return {split: np.array(ids, np.int64) for split, ids in flat.items()}
