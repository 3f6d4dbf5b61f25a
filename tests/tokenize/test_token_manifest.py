"""The manifest: what is read is what was written; what is unknown, leads out or does not fit is told."""

import hashlib
import json
import re

import numpy as np
import pyarrow as pa
import pytest
from gristmill.console import RequestError
from gristmill.document import key_words, token_schema, words_to_keys
from gristmill.tokenize.encoding import Encoder
from gristmill.tokenize.manifest import Manifest, Splits, TokenizerInfo, verify
from gristmill.tokenize.shards import shard_of, shard_values, validation_split, write_shard
from gristmill.tokenize.stats import measure, percentiles
from gristmill.tokenize.training import TokenizerSettings, train

TEXTS = [f"Document {i} says: " + "grind the grist, " * (i % 7) for i in range(60)]


@pytest.fixture
def tokens(tmp_path):
    """A directory of tokens as the pipeline writes one: three shards of training, one of validation."""
    encoder = Encoder(train(TEXTS, TokenizerSettings(vocabulary=300)))
    n = len(TEXTS)
    words = np.random.default_rng(0).integers(0, 2**64, (n, 2), np.uint64)
    places = [[f"d{i}" for i in range(n)], words_to_keys(words), ["a.jsonl"] * n, list(range(n)), [None] * n]
    schema = token_schema(encoder.dtype)
    columns = [encoder.encode(pa.array(TEXTS))]
    columns += [pa.array(c, f.type) for c, f in zip(places, list(schema)[1:], strict=True)]
    table = pa.Table.from_arrays(columns, schema=schema)
    held = validation_split(words, 1, 0.2)
    shards = np.where(held, 3, shard_of(shard_values(words, 1), 3))
    infos = []
    for shard in range(4):
        chosen = np.flatnonzero(shards == shard)
        size = sum(len(TEXTS[i].encode()) for i in chosen)
        infos.append(write_shard(tmp_path / f"{shard}.arrow", table.take(chosen), seed=1, utf8_bytes=size))
    (tmp_path / "tokenizer.json").write_text(encoder.json)
    manifest = Manifest(
        columns=tuple(schema.names),
        dtype=str(encoder.dtype),
        tokenizer=TokenizerInfo(
            file="tokenizer.json", sha256=encoder.digest, vocabulary=encoder.vocabulary, end_of_text=0
        ),
        seed=1,
        recipe="abc",
        splits=Splits(train=tuple(infos[:3]), validation=tuple(infos[3:])),
    )
    manifest.write(tmp_path)
    return tmp_path


def edit(directory, **changes):
    path = directory / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_what_is_read_is_what_was_written(tokens):
    manifest = Manifest.read(tokens)
    text = (tokens / "manifest.json").read_text()
    assert manifest.text == text
    assert manifest.write(tokens).read_text() == text
    assert not list(tokens.glob("*.part"))
    assert json.dumps(json.loads(text), sort_keys=True) == json.dumps(json.loads(text))  # keys are sorted
    assert len(manifest.digest) == 64
    edit(tokens, seed=2)
    assert Manifest.read(tokens).digest != manifest.digest


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"format": 2}, "format 2; this version reads format 1"),
        ({"kind": "chat"}, "tokens of kind 'chat'; this version reads kind 'text'"),
        ({"seeds": 1}, "seeds: unknown key; did you mean `seed`"),
        ({"dtype": "int64"}, 'dtype: found "int64"'),
        ({"seed": "1"}, "seed: found"),
    ],
)
def test_what_is_unknown_is_refused(tokens, changes, why):
    edit(tokens, **changes)
    with pytest.raises(RequestError, match=why):
        Manifest.read(tokens)


@pytest.mark.parametrize("name", ["../a", "/etc/passwd", "a/../../b", "a\\b", ""])
def test_no_name_leads_out_of_the_directory(tokens, name):
    tokenizer = json.loads((tokens / "manifest.json").read_text())["tokenizer"]
    edit(tokens, tokenizer=tokenizer | {"file": name})
    with pytest.raises(RequestError, match="leads out of the directory"):
        Manifest.read(tokens)


def test_a_directory_without_manifest(tmp_path):
    with pytest.raises(RequestError, match="no such file"):
        Manifest.read(tmp_path)
    for text in ("{", "[]", "\udcff"):
        (tmp_path / "manifest.json").write_bytes(text.encode("utf-8", "surrogateescape"))
        with pytest.raises(RequestError, match=r"manifest\.json"):
            Manifest.read(tmp_path)


def test_verify_finds_nothing_in_a_whole_directory(tokens):
    assert verify(tokens) == []


def damage(directory, number, change):
    """Write shard `number` anew with `change` made to its table, and let the manifest say so."""
    manifest = Manifest.read(directory)
    infos = list(manifest.splits.train)
    with pa.ipc.open_file(str(directory / infos[number].file)) as reader:
        table = change(reader.read_all())
    schema = table.schema
    with pa.OSFile(str(directory / infos[number].file), "wb") as file, pa.ipc.new_file(file, schema) as writer:
        writer.write_table(table)
    data = (directory / infos[number].file).read_bytes()
    facts = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data), "rows": table.num_rows}
    infos[number] = infos[number].model_copy(update=facts)
    splits = manifest.splits.model_copy(update={"train": tuple(infos)})
    manifest.model_copy(update={"splits": splits}).write(directory)


def with_first(ids):
    """A change that gives the first document these ids."""

    def change(table):
        lists = pa.array([ids, *table["tokens"].to_pylist()[1:]], table.schema.field("tokens").type)
        return table.set_column(0, table.schema.field("tokens"), lists)

    return change


def test_verify_names_each_kind_of_damage(tokens):
    path = tokens / "1.arrow"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    assert verify(tokens) == [f"1.arrow: {len(whole) - 1} bytes, {len(whole)} in the manifest"]
    path.write_bytes(whole[:-1] + b"?")
    assert verify(tokens) == ["1.arrow: its sha256 is not the one in the manifest"]
    path.unlink()
    assert verify(tokens) == ["1.arrow: no such file"]
    path.write_bytes(whole)
    (tokens / "tokenizer.json").write_text("{}")
    assert verify(tokens) == ["tokenizer.json: missing, or not the tokenizer that the manifest names"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (with_first([9999, 0]), "id 9999, the vocabulary has"),
        (with_first([5, 6]), "a document does not end with id 0"),
        (with_first([]), "a document does not end with id 0"),
        (with_first([0, 0]), "id 0 ends documents and stands"),
        (lambda t: t.take(list(range(t.num_rows))[::-1]), "not in the order of seed 1"),
        (lambda t: t.slice(1), "tokens, .* in the manifest"),
    ],
)
def test_verify_looks_inside(tokens, change, why):
    damage(tokens, 1, change)
    problems = verify(tokens)
    assert any(re.search(why, problem) for problem in problems)
    assert all(problem.startswith("1.arrow: ") for problem in problems)


def test_verify_checks_the_order_of_shards(tokens):
    manifest = Manifest.read(tokens)
    splits = manifest.splits.model_copy(update={"train": manifest.splits.train[::-1]})
    manifest.model_copy(update={"splits": splits}).write(tokens)
    assert [problem.split(": ")[1] for problem in verify(tokens)] == [
        "the documents are not in the order of seed 1"
    ] * 2


def test_stats_are_those_of_a_plain_count(tokens):
    from collections import Counter

    encoder = Encoder.open(tokens / "tokenizer.json")
    words = np.random.default_rng(0).integers(0, 2**64, (60, 2), np.uint64)
    held = validation_split(words, 1, 0.2)
    for split, wanted in (("train", ~held), ("validation", held)):
        texts = [text for text, w in zip(TEXTS, wanted, strict=True) if w]
        ids = encoder.encode(pa.array(texts)).to_pylist()
        found = measure(tokens, split, commonest=5)
        assert (found.documents, found.tokens) == (len(texts), sum(map(len, ids)))
        assert found.utf8_bytes == sum(len(text.encode()) for text in texts)
        counts = Counter(i for row in ids for i in row)
        assert found.commonest == sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:5]
        lengths = sorted(map(len, ids))
        assert found.lengths[0] == lengths[0]
        assert found.lengths[50] == lengths[-(-len(lengths) // 2) - 1]
        assert found.lengths[100] == lengths[-1]
    assert percentiles(Counter()) == {}


def test_shards_hold_their_ranges(tokens):
    """The three shards of training hold what shard_of gives them, and no document of the validation split."""
    from gristmill.tokenize.shards import Shard

    for number in range(3):
        words = key_words(pa.concat_arrays([b.rows["key"] for b in Shard(tokens / f"{number}.arrow").batches]))
        assert (shard_of(shard_values(words, 1), 3) == number).all()
        assert not validation_split(words, 1, 0.2).any()
