"""Checkpoints that were damaged, directories in use, and runs whose configuration has changed."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import ranks
import torch
from gristmill.console import RequestError, WorkError
from gristmill.trainer import checkpoint
from gristmill.trainer.directory import Lock
from gristmill.trainer.run import train
from safetensors.torch import load_file


@pytest.fixture(scope="module")
def trained(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole run with checkpoints at steps 15 and 20."""
    folder = tmp_path_factory.mktemp("trained")
    return ranks.run(_config(corpus), folder)


def _config(corpus: Path) -> dict:
    return {
        "data": {"tokens": str(corpus), "length": 16},
        "model": {"dim": 32, "layers": 2, "heads": 4},
        "schedule": {"steps": 20, "warmup": 4},
        "batch": {"sequences": 8},
        "checkpoint": {"every": 5},
        "validation": {"every": 20, "sequences": 9},
        "threads": 1,
    }


@pytest.fixture
def copy(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "run"))


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGE = {
    "a bit of the weights": lambda last: _flip(last / "model.safetensors"),
    "optimizer cut": lambda last: os.truncate(last / "optimizer.safetensors", 1000),
    "random state gone": lambda last: (last / "random-0.safetensors").unlink(),
    "tokenizer changed": lambda last: _flip(last / "tokenizer.json"),
    "state.json empty": lambda last: (last / "state.json").write_text(""),
    "state.json gone": lambda last: (last / "state.json").unlink(),
    "state.json a list": lambda last: (last / "state.json").write_text("[]"),
    "another format": lambda last: (last / "state.json").write_text('{"format": 99}'),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_last_checkpoint_falls_back_to_the_one_before(
    name: str, copy: Path, trained: Path, corpus: Path, capsys: pytest.CaptureFixture
) -> None:
    DAMAGE[name](copy / "checkpoints" / "step-00000020")
    train(ranks.settings(_config(corpus)), copy)
    said = capsys.readouterr().err
    assert "step-00000020: damaged" in said
    assert "falling back" in said
    assert "going on after step 15" in said
    ranks.assert_same(trained, copy)


def test_without_a_whole_checkpoint_nothing_is_begun(copy: Path, corpus: Path) -> None:
    for path in checkpoint.steps(copy / "checkpoints"):
        _flip(path / "model.safetensors")
    with pytest.raises(WorkError, match="none of its 2 checkpoints is whole"):
        train(ranks.settings(_config(corpus)), copy)


def test_a_finished_run_is_left_alone(copy: Path, trained: Path, corpus: Path, capsys: pytest.CaptureFixture) -> None:
    train(ranks.settings(_config(corpus)), copy)
    assert "done: 20 steps" in capsys.readouterr().err
    ranks.assert_same(trained, copy)


def test_more_steps_go_on_and_keep_is_kept(copy: Path, corpus: Path) -> None:
    config = _config(corpus) | {"schedule": {"steps": 24, "warmup": 4}, "checkpoint": {"every": 2, "keep": 3}}
    train(ranks.settings(config), copy)
    assert [path.name[-2:] for path in checkpoint.steps(copy / "checkpoints")] == ["24", "22", "20"]
    assert len(ranks.losses(copy)) == 24


def test_a_directory_in_use_is_refused(copy: Path, corpus: Path) -> None:
    with Lock(copy), pytest.raises(RequestError, match=f"process {os.getpid()} on .* is training here"):
        train(ranks.settings(_config(corpus)), copy)
    train(ranks.settings(_config(corpus)), copy)  # and free again


def test_what_the_first_rank_is_refused_ends_the_others_too(copy: Path, corpus: Path) -> None:
    with Lock(copy), pytest.raises(Exception, match=r"is training here|exit code 2"):
        ranks.run(_config(corpus), copy, ranks=2)


CHANGES = {
    "model.dim: was 32, now 64": {"model": {"dim": 64, "layers": 2, "heads": 4}},
    "batch.sequences: was 8, now 16": {"batch": {"sequences": 16}},
    "optimizer.lr: was 0.0003, now 0.5": {"optimizer": {"lr": 0.5}},
    "schedule.warmup: was 4, now 5": {"schedule": {"steps": 20, "warmup": 5}},
    "seed: was 0, now 1": {"seed": 1},
    'precision: was "auto", now "fp64"': {"precision": "fp64"},
}


@pytest.mark.parametrize("line", CHANGES)
def test_a_changed_configuration_is_refused_by_its_keys(line: str, copy: Path, corpus: Path) -> None:
    before = (copy / "run.json").read_text()
    with pytest.raises(RequestError, match="its configuration differs") as told:
        train(ranks.settings(_config(corpus) | CHANGES[line]), copy)
    assert [text.strip() for text in str(told.value).splitlines()[1:-1]] == [line]
    assert (copy / "run.json").read_text() == before


def test_two_changes_are_both_named(copy: Path, corpus: Path) -> None:
    config = _config(corpus) | {"seed": 4} | {"data": {"tokens": str(corpus), "length": 32}}
    with pytest.raises(RequestError, match=r"(?s)data.length: was 16, now 32.*seed: was 0, now 4"):
        train(ranks.settings(config), copy)


def test_other_tokens_are_refused_and_moved_ones_are_not(copy: Path, corpus: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(corpus, tmp_path / "moved"))
    config = _config(corpus) | {"data": {"tokens": str(moved), "length": 16}}
    train(ranks.settings(config), copy)
    assert json.loads((copy / "run.json").read_text())["data"]["tokens"] == str(moved)
    manifest = json.loads((moved / "manifest.json").read_text())
    manifest["recipe"] = "1" * 64
    (moved / "manifest.json").write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n")
    with pytest.raises(RequestError, match="the run has read tokens of digest"):
        train(ranks.settings(config), copy)


def test_a_tokeniser_that_is_not_the_corpuss_is_refused(corpus: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(corpus, tmp_path / "tokens"))
    _flip(folder / "tokenizer.json")
    config = _config(corpus) | {"data": {"tokens": str(folder), "length": 16}}
    with pytest.raises(RequestError, match="not the tokeniser that made these tokens"):
        train(ranks.settings(config), tmp_path / "run")


def test_what_may_change_may_change(copy: Path, corpus: Path) -> None:
    config = _config(corpus) | {
        "schedule": {"steps": 21, "warmup": 4},
        "batch": {"sequences": 8, "micro": 2},
        "checkpoint": {"every": 3, "keep": 1},
        "validation": {"every": 2},
        "samples": {"every": 3, "prompts": ["the"], "tokens": 2},
        "max_seconds": 1000,
        "output": str(copy),
        "threads": None,
        "deterministic": False,
    }
    train(ranks.settings(config))
    assert len(ranks.losses(copy)) == 21


def test_nothing_in_a_checkpoint_is_a_pickle(trained: Path) -> None:
    folder = trained / "checkpoints" / "step-00000020"
    for path in folder.iterdir():
        if path.suffix == ".safetensors":
            load_file(path)
        else:
            json.loads(path.read_text())


def test_a_model_of_another_shape_is_named(trained: Path, tmp_path: Path) -> None:
    last = trained / "checkpoints" / "step-00000020"
    model, _ = checkpoint.open_model(last, torch.device("cpu"))
    del model.blocks["1"]
    with pytest.raises(RequestError, match=r"weight blocks.1.attention.key.weight is only in the file"):
        checkpoint.load_weights(model, last / "model.safetensors")
    with pytest.raises(RequestError, match="neither a checkpoint nor a training directory"):
        checkpoint.open_model(tmp_path, torch.device("cpu"))
    with pytest.raises(RequestError, match="no such folder"):
        checkpoint.open_model(tmp_path / "absent", torch.device("cpu"))
