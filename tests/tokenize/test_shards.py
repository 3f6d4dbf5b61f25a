"""Shards: who goes where, exactly; the same bytes for the same rows; reading by views."""

import hashlib

import numpy as np
import pyarrow as pa
import pytest
from gristmill.console import WorkError
from gristmill.document import key_words, token_schema, words_to_keys
from gristmill.tokenize import shards
from gristmill.tokenize.shards import (
    Shard,
    shard_count,
    shard_of,
    shard_values,
    validation_split,
    value_range,
    write_shard,
)
from hypothesis import given
from hypothesis import strategies as st

UINT16 = pa.uint16()


def rows(lengths, seed=0, dtype=UINT16):
    """A table of documents with so many ids each."""
    dice = np.random.default_rng(seed)
    n = len(lengths)
    lists = [dice.integers(1, 300, length).tolist() for length in lengths]
    words = dice.integers(0, 2**64, (n, 2), np.uint64)
    columns = [
        pa.array(lists, token_schema(dtype).field("tokens").type),
        pa.array([f"id-{i}" for i in range(n)]),
        words_to_keys(words),
        pa.array([f"file-{i % 3}.jsonl" for i in range(n)]),
        pa.array(range(n), pa.int64()),
        pa.array([None if i % 4 == 0 else 100 * i for i in range(n)], pa.int64()),
    ]
    return pa.Table.from_arrays(columns, schema=token_schema(dtype))


@given(st.integers(0, 2**64 - 1), st.integers(1, 2**32 - 1))
def test_shard_of_is_exact(value, many):
    assert shard_of(np.array([value], np.uint64), many).tolist() == [value * many >> 64]


@given(st.integers(1, 2**32 - 1), st.data())
def test_ranges_are_what_shard_of_says(many, data):
    shard = data.draw(st.integers(0, many - 1))
    first, last = value_range(shard, many)
    assert shard_of(np.array([first, last], np.uint64), many).tolist() == [shard, shard]
    assert value_range(0, many)[0] == 0
    assert value_range(many - 1, many)[1] == 2**64 - 1
    if shard:
        assert value_range(shard - 1, many)[1] == first - 1


def test_shard_of_refuses_what_would_overflow():
    for many in (0, 2**32):
        with pytest.raises(ValueError, match="shards"):
            shard_of(np.zeros(1, np.uint64), many)


def test_count_of_shards():
    assert [shard_count(tokens, 100) for tokens in (0, 1, 100, 101, 250)] == [1, 1, 1, 2, 3]


def test_validation_split_is_the_share_and_independent_of_the_order():
    words = np.random.default_rng(0).integers(0, 2**64, (100_000, 2), np.uint64)
    held = validation_split(words, 1, 0.01)
    assert 850 < held.sum() < 1150
    assert not validation_split(words, 1, 0.0).any()
    values = shard_values(words, 1)
    assert abs(np.mean(values[held] / 2.0**64) - 0.5) < 0.05  # another purpose, another draw
    assert (validation_split(words[::-1], 1, 0.01)[::-1] == held).all()
    assert (validation_split(words, 1, 0.02) | ~held).all()  # a larger share holds the smaller one


@pytest.mark.parametrize("dtype", [pa.uint16(), pa.uint32()])
def test_rows_come_back_in_order(tmp_path, monkeypatch, dtype):
    monkeypatch.setattr(shards, "TOKENS_PER_BATCH", 50)
    table = rows([3, 1, 120, 7, 49, 2, 1, 1, 30, 60], dtype=dtype)
    info = write_shard(tmp_path / "a.arrow", table, seed=5, utf8_bytes=99)
    data = (tmp_path / "a.arrow").read_bytes()
    assert (info.rows, info.tokens, info.bytes, info.utf8_bytes) == (10, 274, len(data), 99)
    assert (info.file, info.sha256) == ("a.arrow", hashlib.sha256(data).hexdigest())
    assert [p.name for p in tmp_path.iterdir()] == ["a.arrow"]

    values, keys = shard_values(key_words(table["key"]), 5), table["key"].to_pylist()
    order = sorted(range(10), key=lambda i: (values[i], keys[i]))
    expected = table.take(order).to_pylist()
    shard = Shard(tmp_path / "a.arrow")
    assert len(shard.batches) > 2
    assert [batch.rows.schema.metadata for batch in shard.batches] == [{b"gristmill.format": b"1"}] * len(shard.batches)
    flat = np.concatenate([row["tokens"] for row in expected])
    assert np.concatenate([batch.tokens for batch in shard.batches]).tolist() == flat.tolist()
    assert {batch.tokens.dtype for batch in shard.batches} == {np.dtype(str(dtype))}
    assert shard.offsets.tolist() == np.cumsum([0] + [len(row["tokens"]) for row in expected]).tolist()
    for i, row in enumerate(expected):
        assert shard.span(i) == tuple(shard.offsets[i : i + 2].tolist())
        del row["tokens"]
        assert shard.document(i) == row
    assert [shard.row_of(t) for t in range(274)] == np.repeat(np.arange(10), np.diff(shard.offsets)).tolist()
    for first in range(0, 274, 13):
        out = np.zeros(100, np.int64)
        assert shard.copy(first, out) == min(100, 274 - first)
        assert out[: 274 - first].tolist() == flat[first : first + 100].tolist()


def test_bytes_are_a_function_of_the_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "TOKENS_PER_BATCH", 500)
    table = rows(np.random.default_rng(1).integers(1, 60, 100))
    found = set()
    for seed in range(4):
        mixed = table.take(np.random.default_rng(seed).permutation(100))
        pieces = pa.concat_tables([mixed.slice(0, 30 + seed), mixed.slice(30 + seed)])
        # null slots hold other garbage, and the child field of the exchange may be nullable
        hidden = pa.array(np.full(100, seed), mask=np.asarray(pieces["offset"].is_null()))
        hidden = pa.compute.if_else(
            pieces["offset"].is_null().combine_chunks(), hidden, pieces["offset"].combine_chunks()
        )
        pieces = pieces.set_column(5, "offset", hidden)
        found.add(write_shard(tmp_path / "a.arrow", pieces, seed=3, utf8_bytes=0).sha256)
    assert len(found) == 1
    assert write_shard(tmp_path / "a.arrow", table, seed=4, utf8_bytes=0).sha256 not in found


def test_equal_keys_go_by_place(tmp_path):
    table = rows([5] * 4)
    same = table.set_column(2, table.schema.field("key"), words_to_keys(np.ones((4, 2), np.uint64)))
    same = same.set_column(3, table.schema.field("source"), pa.array(["b", "a", "b", "a"]))
    for order in ([0, 1, 2, 3], [3, 2, 1, 0]):
        write_shard(tmp_path / "a.arrow", same.take(order), seed=0, utf8_bytes=0)
        shard = Shard(tmp_path / "a.arrow")
        assert [shard.document(i)["record"] for i in range(4)] == [1, 3, 0, 2]


def test_views_point_into_the_map(tmp_path):
    write_shard(tmp_path / "a.arrow", rows([1000] * 20), seed=0, utf8_bytes=0)
    before = pa.total_allocated_bytes()
    shard = Shard(tmp_path / "a.arrow")
    (batch,) = shard.batches
    assert pa.total_allocated_bytes() - before < 1000
    assert not batch.tokens.flags.owndata
    assert not batch.tokens.flags.writeable
    assert batch.tokens.ctypes.data % 8 == batch.offsets.ctypes.data % 8 == 0


def test_an_empty_shard(tmp_path):
    info = write_shard(tmp_path / "a.arrow", rows([]), seed=0, utf8_bytes=0)
    assert (info.rows, info.tokens) == (0, 0)
    shard = Shard(tmp_path / "a.arrow")
    assert (shard.rows, shard.tokens, shard.offsets.tolist(), shard.copy(0, np.zeros(3))) == (0, 0, [0], 0)


def test_what_is_no_shard_is_refused(tmp_path):
    path = tmp_path / "a.arrow"
    with pytest.raises(WorkError, match="no such file"):
        Shard(path)
    path.write_bytes(b"nonsense" * 10)
    with pytest.raises(WorkError, match="not a token shard"):
        Shard(path)
    write_shard(path, rows([5] * 9), seed=0, utf8_bytes=0)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(WorkError, match="not a token shard"):
        Shard(path)
    for schema, why in (
        (token_schema(pa.uint16()), "gristmill.format is ''"),
        (pa.schema([("tokens", pa.int64())], {"gristmill.format": "1"}), "unexpected columns: tokens int64"),
        (token_schema(pa.uint64()).with_metadata({"gristmill.format": "1"}), "unexpected columns"),
        (token_schema(pa.uint16()).with_metadata({"gristmill.format": "2"}), "this version reads '1'"),
    ):
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, schema):
            pass
        with pytest.raises(WorkError, match=why):
            Shard(path)
