"""A run that was killed and started again is the run that was not, to the last bit; fail points at every write."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import ranks
import torch
from torch.multiprocessing import ProcessExitedException


@pytest.fixture(scope="module")
def undisturbed(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ranks.run(_config(corpus), tmp_path_factory.mktemp("undisturbed"))


def _config(corpus: Path) -> dict:
    return {
        "data": {"tokens": str(corpus), "length": 16},
        "model": {"dim": 32, "layers": 2, "heads": 4, "kv_heads": 2, "ffn": 48},
        "optimizer": {"lr": 3e-3},
        "schedule": {"steps": 20, "warmup": 4},
        "batch": {"sequences": 8, "micro": 3},
        "checkpoint": {"every": 5},
        "validation": {"every": 7, "sequences": 9},
        "samples": {"every": 10, "prompts": ["the mill"], "tokens": 4},
        "threads": 1,
    }


def test_twenty_steps_are_ten_killed_and_ten_more(undisturbed: Path, corpus: Path, tmp_path: Path) -> None:
    config = _config(corpus) | {"checkpoint": {"every": 10}}
    with pytest.raises(ProcessExitedException, match="SIGKILL"):
        ranks.run(config, tmp_path, bend="killed_before_step", argument=13)
    assert len(ranks.losses(tmp_path)) == 13  # three that are done again
    assert json.loads((tmp_path / "run.json").read_text())["steps_done"] == 10
    ranks.run(config, tmp_path)
    ranks.assert_same(undisturbed, tmp_path)
    assert json.loads((tmp_path / "run.json").read_text())["steps_done"] == 20


def test_two_ranks_killed_resume_to_the_last_bit(corpus: Path, tmp_path: Path) -> None:
    whole = ranks.run(_config(corpus), tmp_path / "whole", ranks=2)
    with pytest.raises(ProcessExitedException):
        ranks.run(_config(corpus), tmp_path / "killed", ranks=2, bend="killed_before_step", argument=8)
    ranks.run(_config(corpus), tmp_path / "killed", ranks=2)
    ranks.assert_same(whole, tmp_path / "killed")


@pytest.mark.parametrize(
    "point",
    [
        ("_save_tensors", 0),  # nothing is in the folder yet
        ("_save_tensors", 5),  # random state and weights are
        ("write_json", 3),  # all but state.json of the second checkpoint
        ("_sync", 2),  # whole, not renamed
        ("_sync", 3),  # renamed
        ("_remove", 3),  # about to remove an old one
    ],
    ids=lambda point: f"{point[0]} {point[1]}",
)
def test_killed_while_a_checkpoint_is_written(
    point: tuple[str, int], undisturbed: Path, corpus: Path, tmp_path: Path
) -> None:
    with pytest.raises(ProcessExitedException, match="SIGKILL"):
        ranks.run(_config(corpus), tmp_path, bend="killed_in_save", argument=point)
    ranks.run(_config(corpus), tmp_path)
    ranks.assert_same(undisturbed, tmp_path)
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["step-00000015", "step-00000020"]


def test_sigterm_leaves_a_checkpoint_of_that_very_step(undisturbed: Path, corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(ProcessExitedException, match="exit code 143"):
        ranks.run(_config(corpus), tmp_path, bend="told_at_step", argument=12)
    assert json.loads((tmp_path / "run.json").read_text())["steps_done"] == 13
    ranks.run(_config(corpus), tmp_path)
    ranks.assert_same(undisturbed, tmp_path)


@pytest.mark.parametrize("step", [5, 12, 13, 18])
def test_numbers_that_come_a_step_late_change_nothing(
    step: int, undisturbed: Path, corpus: Path, tmp_path: Path
) -> None:
    """Told in step 6, 13 (a measurement follows it), 14 and 19; known when the next one is under way or at a chore."""
    with pytest.raises(ProcessExitedException, match="exit code 143"):
        ranks.run(_config(corpus), tmp_path, bend="lagging", argument=step)
    stopped = json.loads((tmp_path / "run.json").read_text())["steps_done"]
    assert stopped == {5: 7, 12: 14, 13: 14, 18: 20}[step]
    assert len(ranks.losses(tmp_path)) == stopped
    ranks.run(_config(corpus), tmp_path, bend="lagging")
    assert ranks.losses(tmp_path) == ranks.losses(undisturbed)
    a, b = ranks.weights(tmp_path), ranks.weights(undisturbed)
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_time_over_ends_cleanly_and_goes_on(undisturbed: Path, corpus: Path, tmp_path: Path) -> None:
    ranks.run(_config(corpus) | {"max_seconds": 1e-6}, tmp_path)
    assert json.loads((tmp_path / "run.json").read_text())["steps_done"] == 1
    ranks.run(_config(corpus), tmp_path)
    assert ranks.losses(tmp_path) == ranks.losses(undisturbed)
    a, b = ranks.weights(tmp_path), ranks.weights(undisturbed)
    assert all(torch.equal(a[name], b[name]) for name in a)
