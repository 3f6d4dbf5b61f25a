"""The stream: every id where it belongs, over the borders of documents, record batches and shards."""

import numpy as np
import pyarrow as pa
import pytest
from gristmill.console import RequestError, WorkError
from gristmill.trainer.loader import stream as module
from gristmill.trainer.loader.stream import TokenStream
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SHARDS = st.lists(st.lists(st.integers(1, 30), max_size=6), min_size=1, max_size=5)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lengths=SHARDS, length=st.integers(1, 40), wide=st.booleans(), size=st.integers(1, 50))
def test_sequences_and_their_documents_are_cut_from_one_line(tmp_path, make_tokens, lengths, length, wide, size):
    """Brute force over one flat array, with shards and record batches of any size, empty ones included."""
    flat = make_tokens(tmp_path, lengths, dtype=pa.uint32() if wide else pa.uint16(), tokens_per_batch=size)["train"]
    stream = TokenStream(tmp_path)
    n = max(0, len(flat) - 1) // length
    assert (stream.tokens, stream.sequences(length)) == (len(flat), n)
    rows = stream.read(np.arange(n)[::-1], length)
    assert rows.dtype == np.int64
    assert rows.shape == (n, length + 1)
    owners = [(s, row, i) for s, shard in enumerate(lengths) for row, k in enumerate(shard) for i in range(k)]
    for sequence in range(n):
        place = slice(sequence * length, sequence * length + length + 1)
        assert rows[n - 1 - sequence].tolist() == flat[place].tolist()
        found = [
            (int(part.shard.removesuffix(".arrow").removeprefix("train-")), part.row, i)
            for part in stream.parts(sequence, length)
            for i in range(part.first, part.last + 1)
        ]
        assert found == owners[place]


def test_parts_say_who_a_document_is(tmp_path, make_tokens):
    make_tokens(tmp_path, [[5, 7], [9]])
    first, second, third = TokenStream(tmp_path).parts(0, 16)
    assert (first.id, first.source, first.record, first.offset) == ("train-0-0", "0.jsonl", 0, 0)
    assert (second.id, second.record, second.offset, second.first, second.last) == ("train-0-1", 1, None, 0, 6)
    assert (third.shard, third.id, third.row, third.first, third.last) == ("train-1.arrow", "train-1-0", 0, 0, 4)
    assert len(bytes.fromhex(first.key)) == 16


def test_what_is_not_there_is_refused(tmp_path, make_tokens):
    make_tokens(tmp_path, [[10, 11]])
    stream = TokenStream(tmp_path)
    for wrong in (-1, 2):
        with pytest.raises(IndexError, match="sequences from 0 to 1"):
            stream.read(np.array([0, wrong]), 10)
        with pytest.raises(IndexError, match="sequences from 0 to 1"):
            stream.parts(wrong, 10)
    with pytest.raises(RequestError, match="no such file"):
        TokenStream(tmp_path / "absent")


def test_a_missing_or_another_shard_is_told(tmp_path, make_tokens):
    make_tokens(tmp_path, [[10], [10], [12]])
    (tmp_path / "train-2.arrow").replace(tmp_path / "train-0.arrow")
    with pytest.raises(WorkError, match="1 documents and 12 tokens, the manifest says 1 and 10; see `gristmill tokens"):
        TokenStream(tmp_path).read(np.array([0]), 8)
    with pytest.raises(WorkError, match="no such file"):
        TokenStream(tmp_path).read(np.array([2]), 8)


def test_shards_are_opened_late_and_few_stay_open(tmp_path, make_tokens, monkeypatch):
    flat = make_tokens(tmp_path, [[20]] * 12)["train"]
    opened = []
    monkeypatch.setattr(module, "OPEN_SHARDS", 3)
    monkeypatch.setattr(module, "Shard", lambda path, real=module.Shard: opened.append(path.name) or real(path))
    stream = TokenStream(tmp_path)
    assert opened == []
    stream.read(np.array([0, 0, 0]), 10)
    assert opened == ["train-0.arrow"]
    dice = np.random.default_rng(0)
    for _ in range(50):
        wanted = dice.integers(0, stream.sequences(10), 4)
        assert (stream.read(wanted, 10) == flat[wanted[:, None] * 10 + np.arange(11)]).all()
        assert len(stream._open) <= 3


def test_splits_and_totals(tmp_path, make_tokens):
    flat = make_tokens(tmp_path, [[10, 10], [10]], validation=[[25]])
    train, validation = TokenStream(tmp_path), TokenStream(tmp_path, "validation")
    assert (train.documents, train.tokens, train.utf8_bytes) == (3, 30, 4 * 20 + 4 * 30)
    assert (validation.documents, validation.tokens, validation.utf8_bytes) == (1, 25, 100)
    assert (validation.read(np.array([1]), 12) == flat["validation"][12:25]).all()
    assert train.digest == validation.digest == train.manifest.digest
