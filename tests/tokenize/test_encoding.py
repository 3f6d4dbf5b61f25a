"""Encoding: the ids of the real tokenisers, one end of text a document, nothing cut off, nothing injected."""

import io
import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from gristmill.console import RequestError
from gristmill.document import token_schema
from gristmill.tokenize import cutting, encoding
from gristmill.tokenize.encoding import Encoder
from gristmill.tokenize.training import TokenizerSettings, train
from hypothesis import given
from hypothesis import strategies as st


@pytest.fixture(scope="module")
def gpt2(shared_data):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    folder = shared_data / "models/gpt2"
    tokenizer = Tokenizer(models.BPE.from_file(str(folder / "vocab.json"), str(folder / "merges.txt")))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|endoftext|>"])
    return Encoder(tokenizer.to_str())


@pytest.fixture(scope="module")
def neox(shared_data):
    return Encoder.open(shared_data / "models/gpt-neox-olmo/tokenizer.json")


@pytest.fixture(scope="module")
def oracle(shared_data):
    import zstandard

    with open(shared_data / "models/tokenizer-oracle-part1.jsonl.zst", "rb") as file:
        lines = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), encoding="utf-8")
        return [json.loads(line) for line in lines if line.strip()]


@pytest.fixture(scope="module")
def small():
    text = "The mill grinds the grist, and the miller's dog isn't barking. " * 20
    return Encoder(train([text], TokenizerSettings(vocabulary=350)))


@pytest.mark.parametrize("name", ["gpt2", "neox"])
def test_ids_are_those_of_the_real_tokenizers(name, request, oracle):
    encoder = request.getfixturevalue(name)
    column = {"gpt2": "gpt2", "neox": "neox_olmo"}[name]
    rows = [row for row in oracle if "<|" not in row["text"] and "|||" not in row["text"]]
    assert len(rows) > 700
    found = encoder.encode(pa.array([row["text"] for row in rows]))
    assert found.to_pylist() == [row[column] + [encoder.end_of_text] for row in rows]


@pytest.mark.parametrize("name", ["gpt2", "neox"])
def test_parts_have_the_ids_of_the_whole(name, request, oracle, monkeypatch):
    encoder = request.getfixturevalue(name)
    texts = pa.array([row["text"] for row in oracle])
    whole = encoder.encode(texts)
    monkeypatch.setattr(encoding, "cut", lambda text: cutting.cut(text, 7))
    monkeypatch.setattr(encoding, "CHUNK_CHARACTERS", 100)
    assert encoder.encode(texts).equals(whole)


def test_special_tokens_in_a_text_are_plain_text(gpt2, neox, small):
    for encoder in (gpt2, neox, small):
        text = "a<|endoftext|>b <|endoftext|>"
        ids = encoder.encode(pa.array([text]))[0].as_py()
        assert ids.count(encoder.end_of_text) == 1
        assert ids[-1] == encoder.end_of_text
        assert encoder.decode(ids[:-1]) == text


def test_truncation_and_padding_of_the_file_are_ignored(small):
    data = json.loads(small.json)
    data["truncation"] = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    data["padding"] = {
        "strategy": {"Fixed": 50},
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": "<|endoftext|>",
    }
    texts = pa.array(["The mill grinds the grist, and the miller's dog.", ""])
    assert Encoder(json.dumps(data)).encode(texts).equals(small.encode(texts))


def test_type_is_that_of_the_shards(small, gpt2, shared_data):
    assert small.encode(pa.array(["a"])).type == token_schema(pa.uint16()).field("tokens").type
    assert (gpt2.vocabulary, gpt2.dtype, gpt2.end_of_text) == (50257, pa.uint16(), 50256)
    data = json.loads(small.json)
    data["added_tokens"].append(
        {"id": 70_000, "content": "<far>", "special": True}
        | dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    )
    data["model"]["vocab"]["<far>"] = 70_000
    wide = Encoder(json.dumps(data))
    assert (wide.vocabulary, wide.dtype) == (70_001, pa.uint32())
    assert wide.encode(pa.array(["a"])).type == token_schema(pa.uint32()).field("tokens").type


@given(texts=st.lists(st.none() | st.text(max_size=30), max_size=20), first=st.integers(0, 3))
def test_round_trip_of_any_text(small, texts, first):
    """All of Unicode, nulls, slices and chunked columns."""
    column = pa.array(texts, pa.large_string()).slice(first)
    found = small.encode(column).to_pylist()
    assert [small.decode(ids[:-1]) for ids in found] == [text or "" for text in texts[first:]]
    assert all(ids[-1] == small.end_of_text and small.end_of_text not in ids[:-1] for ids in found)
    assert small.encode(pa.chunked_array([column, column])).to_pylist() == found + found


def test_bytes_of_the_oracle_come_back(gpt2, oracle):
    texts = [row["text"] for row in oracle]
    assert [gpt2.decode(ids[:-1]) for ids in gpt2.encode(pa.array(texts)).to_pylist()] == texts


LONG = """
import resource, sys
import pyarrow as pa
from gristmill.tokenize.encoding import Encoder
encoder, text = Encoder.open(sys.argv[1]), pa.array(["The mill grinds the grist, and the dog barks. " * 200_000])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
ids = encoder.encode(text)
print(len(ids.values), (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_a_long_document_takes_bounded_memory(small, tmp_path):
    """Uncut the library takes some hundred bytes a byte of text: a gigabyte here."""
    (tmp_path / "tokenizer.json").write_text(small.json)
    command = [sys.executable, "-c", LONG, str(tmp_path / "tokenizer.json")]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    ids, megabytes = map(int, found.split())
    assert ids > 2_000_000
    assert megabytes < 250


def test_errors_name_the_file_and_what_is_wrong(tmp_path, small):
    with pytest.raises(RequestError, match=r"absent.json: no such file"):
        Encoder.open(tmp_path / "absent.json")
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(RequestError, match=r"bad.json: not a tokenizer.json"):
        Encoder.open(tmp_path / "bad.json")
    (tmp_path / "good.json").write_text(small.json)
    with pytest.raises(RequestError, match=r"good.json: the tokenizer has no token '</s>'"):
        Encoder.open(tmp_path / "good.json", "</s>")
    assert Encoder.open(tmp_path / "good.json").digest == small.digest


def test_ids_are_numpy_views(small):
    ids = small.encode(pa.array(["The mill", "grinds"]))
    assert np.asarray(ids.values).dtype == np.uint16
