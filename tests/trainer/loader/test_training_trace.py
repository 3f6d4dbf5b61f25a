"""gristmill trace: from a step to its documents and back, against the batches that the loader gives."""

import json
from collections import defaultdict

import pytest
import typer
from gristmill.console import RequestError
from gristmill.trainer import trace
from gristmill.trainer.loader.batches import Loader
from gristmill.trainer.loader.stream import TokenStream
from typer.testing import CliRunner

LENGTH, COUNT, STEPS, SEED = 10, 6, 25, 4


@pytest.fixture(scope="module")
def training(tmp_path_factory, make_tokens):
    """A training directory after three and a half epochs, and the ids it read by step."""
    root = tmp_path_factory.mktemp("run")
    make_tokens(root / "tokens", [[3, 50, 2, 30], [], [1, 1, 1, 200], [120, 4]], validation=[[40]])
    stream = TokenStream(root / "tokens")
    assert 3.5 * stream.sequences(LENGTH) < COUNT * STEPS
    loader = Loader(stream, LENGTH, COUNT, SEED)
    batches = {step: loader.next() for step in range(1, STEPS + 1)}
    train = root / "train"
    train.mkdir()
    data = {"tokens": "../tokens", "digest": stream.digest, "length": LENGTH, "sequences": COUNT, "seed": SEED}
    (train / "run.json").write_text(json.dumps({"data": data, "steps_done": STEPS}))
    return train, batches, stream


def test_the_documents_of_a_step_are_those_of_its_batch(training):
    train, batches, stream = training
    for step, batch in batches.items():
        ids = defaultdict(list)
        for part in trace.trace_step(train, step):
            number = next(i for i, info in enumerate(stream.shards) if info.file == part["shard"])
            shard = stream.shard(number)
            start, _ = shard.span(part["row"])
            tokens = [i for b in shard.batches for i in b.tokens.tolist()]
            ids[part["sequence_in_batch"]] += tokens[start + part["first"] : start + part["last"] + 1]
        assert [ids[i] for i in range(COUNT)] == batch.tolist()


def test_steps_of_a_document_are_the_steps_that_name_it(training):
    train, _, stream = training
    by_step = {step: trace.trace_step(train, step) for step in range(1, STEPS + 1)}
    documents = {(p["id"], p["key"]) for parts in by_step.values() for p in parts}
    assert len(documents) == stream.documents
    for id, key in documents:
        expected = [step for step, parts in by_step.items() if any(p["key"] == key for p in parts)]
        assert expected
        assert trace.trace_document(train, id) == trace.trace_document(train, key) == expected


def test_a_document_in_the_tail_was_never_read(tmp_path, make_tokens):
    make_tokens(tmp_path / "tokens", [[25, 3]])
    digest = TokenStream(tmp_path / "tokens").digest
    data = {"tokens": str(tmp_path / "tokens"), "digest": digest, "length": 12, "sequences": 2, "seed": 0}
    (tmp_path / "run.json").write_text(json.dumps({"data": data, "steps_done": 3}))
    assert trace.trace_document(tmp_path, "train-0-0") == [1, 2, 3]
    assert trace.trace_document(tmp_path, "train-0-1") == []


def test_steps_after_the_last_checkpoint_count(tmp_path, make_tokens):
    make_tokens(tmp_path / "tokens", [[12, 13]])
    digest = TokenStream(tmp_path / "tokens").digest
    data = {"tokens": "tokens", "digest": digest, "length": 12, "sequences": 1, "seed": 0}
    (tmp_path / "run.json").write_text(json.dumps({"data": data, "steps_done": 1}))
    assert trace.trace_document(tmp_path, "train-0-0") == [1]
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n{"step": 4}\n{"step": 5')
    steps = trace.trace_document(tmp_path, "train-0-0")
    assert steps[0] == 1
    assert 3 <= steps[1] <= 4
    assert [p["sequence"] for p in trace.trace_step(tmp_path, steps[1])] == [0, 0]


def test_documents_that_share_an_id(tmp_path, make_tokens, monkeypatch):
    make_tokens(tmp_path / "tokens", [[12] * 20])
    digest = TokenStream(tmp_path / "tokens").digest
    data = {"tokens": "tokens", "digest": digest, "length": 12, "sequences": 1, "seed": 0}
    (tmp_path / "run.json").write_text(json.dumps({"data": data, "steps_done": 19}))
    monkeypatch.chdir(tmp_path / "tokens")
    assert trace.trace_document(tmp_path, "train-0-5") == [5, 6]  # its first id is the last target of the one before
    spans = trace._find(TokenStream(tmp_path / "tokens"), "train-0-5")
    monkeypatch.setattr(trace, "_find", lambda stream, name: [*spans, (0, 12)])
    assert trace.trace_document(tmp_path, "train-0-5") == [1, 5, 6]


def test_what_cannot_be_traced_is_told(training, tmp_path):
    train, _, _ = training
    with pytest.raises(RequestError, match="--step 0: the first step of a run is step 1"):
        trace.trace_step(train, 0)
    with pytest.raises(RequestError, match="nobody: no such document in these tokens"):
        trace.trace_document(train, "nobody")
    with pytest.raises(RequestError, match="validation-0-0: in the validation split: it is not trained on"):
        trace.trace_document(train, "validation-0-0")
    with pytest.raises(RequestError, match="no such file; a training directory has one"):
        trace.trace_step(tmp_path, 1)
    run = json.loads((train / "run.json").read_text())
    run["data"] |= {"digest": "f" * 64, "tokens": str(train.parent / "tokens")}
    (tmp_path / "run.json").write_text(json.dumps(run))
    with pytest.raises(RequestError, match="the run was trained on ffffffffffff"):
        trace.trace_step(tmp_path, 1)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(RequestError, match=r"not the run\.json of a training run"):
        trace.trace_step(tmp_path, 1)


def test_the_command(training):
    train = training[0]
    app = typer.Typer()
    app.command()(lambda: None)
    trace.register(app)
    result = CliRunner().invoke(app, ["trace", str(train), "--step", "2"])
    head, *lines = [line.split("\t") for line in result.stdout.splitlines()]
    assert head[:4] == ["sequence_in_batch", "sequence", "shard", "row"]
    assert len(lines) == len(trace.trace_step(train, 2))
    result = CliRunner().invoke(app, ["trace", str(train), "--document", "train-0-1"])
    assert [int(line) for line in result.stdout.split()] == trace.trace_document(train, "train-0-1")
    result = CliRunner().invoke(app, ["trace", str(train)])
    assert "give one of --step N and --document ID" in str(result.exception)
