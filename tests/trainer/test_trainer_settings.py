"""The configurations that ship, the reference of the keys, and a whole `gristmill train` with its trace."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from gristmill.config import find, load, reference, validate
from gristmill.console import RequestError
from gristmill.trainer import commands, meters
from gristmill.trainer.compat import check_torch
from gristmill.trainer.model.config import ModelConfig
from gristmill.trainer.model.decoder import Decoder
from gristmill.trainer.model.size import parameters
from gristmill.trainer.settings import RESUMABLE, TrainSettings

SHIPPED = sorted(path.stem for path in commands.RECIPES.glob("*.yaml"))


@pytest.mark.parametrize("name", SHIPPED)
def test_what_ships_is_valid_once_it_has_tokens(name: str) -> None:
    settings = load(TrainSettings, commands.RECIPES / f"{name}.yaml", ["data.tokens=somewhere"])
    assert settings.schedule.warmup < settings.schedule.steps
    with pytest.raises(RequestError, match=r"data\.tokens: this key is required"):
        load(TrainSettings, commands.RECIPES / f"{name}.yaml")


def test_the_size_of_gpt2_is_that_of_gpt2() -> None:
    settings = load(TrainSettings, commands.RECIPES / "gpt2-124m.yaml", ["data.tokens=somewhere"])
    config = ModelConfig(**dict(settings.model), vocabulary=50257, length=1024)
    with torch.device("meta"):
        assert parameters(Decoder(config)) == pytest.approx(124e6, rel=0.01)
    assert settings.batch.sequences * settings.data.length == 524_288
    assert settings.schedule.steps * settings.batch.sequences * settings.data.length == pytest.approx(10e9, rel=1e-3)


def test_every_key_is_described() -> None:
    rows = [line for line in reference(TrainSettings).splitlines()[2:] if line]
    assert len(rows) > 40
    assert [row for row in rows if row.rstrip().endswith("|  |")] == []


def test_what_a_resumed_run_may_change_exists(config: dict) -> None:
    keys = json.loads(validate(TrainSettings, config, "test").model_dump_json())
    for path in RESUMABLE:
        node = keys
        for part in path.split("."):
            assert part in node, path
            node = node[part]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"modle": {}}, r"modle: unknown key; did you mean `model`\?"),
        ({"optimizer": {"lr": "fast"}}, r'optimizer\.lr: found "fast"; expected a valid number'),
        ({"optimizer": {"betas": [0.9, 1.0]}}, r"betas \[0.9, 1.0\] must lie in \[0, 1\)"),
        ({"precision": "fp8"}, r'precision: found "fp8"; expected'),
        ({"model": {"dim": 33, "layers": 1, "heads": 4}}, r"dim 33 is not a multiple of heads 4"),
    ],
)
def test_mistakes_are_named(config: dict, change: dict, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        validate(TrainSettings, config | change, "test")


def test_a_configuration_is_a_file_or_ships(tmp_path: Path) -> None:
    assert find("tiny", commands.RECIPES) == commands.RECIPES / "tiny.yaml"
    mine = tmp_path / "mine.yaml"
    mine.write_text("{}")
    assert find(str(mine), commands.RECIPES) == mine
    with pytest.raises(RequestError, match=r"absent: no such file, nor a configuration that ships \(gpt2-124m, tiny\)"):
        find("absent", commands.RECIPES)


def test_train_then_trace_from_the_command_line(config: dict, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(config))
    run = tmp_path / "run"
    train = [sys.executable, "-m", "gristmill", "train", str(file), "--set", "schedule.steps=6", "--output", str(run)]
    done = subprocess.run(train, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "done: 6 steps" in done.stderr
    assert json.loads((run / "run.json").read_text())["data"]["sequences"] == 8
    assert [record["step"] for record in meters.read(run / "metrics.jsonl") if "loss" in record] == [1, 2, 3, 4, 5, 6]
    assert list((run / "tensorboard").glob("events.*"))
    traced = subprocess.run(
        [sys.executable, "-m", "gristmill", "trace", str(run), "--step", "6"], capture_output=True, text=True
    )
    assert traced.returncode == 0, traced.stderr
    assert "mill.jsonl" in traced.stdout
    assert "8 sequences" in traced.stderr


def test_an_old_torch_is_refused_by_name() -> None:
    for version in ("2.11.0", "2.13.0+cpu", "3.0.0a0+git1234"):
        check_torch(version)
    check_torch()
    with pytest.raises(RequestError, match=r"torch 2\.9\.1\+cu128 is installed; .* needs 2\.11 or newer"):
        check_torch("2.9.1+cu128")


def test_commands_are_light() -> None:
    code = "import sys, gristmill.trainer.commands as c; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
