"""A loss that is not finite costs one step on every rank; ten in a row end the run; nothing else is touched."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import ranks
import torch
from gristmill.console import WorkError
from gristmill.trainer import checkpoint, meters
from gristmill.trainer.optimizers.adamw import adamw, load_named_state, named_state, step_unless
from gristmill.trainer.optimizers.cosine import cosine
from gristmill.trainer.run import train


def test_a_step_with_a_nan_on_one_of_two_ranks_is_skipped_by_both(config: dict, tmp_path: Path) -> None:
    config |= {"checkpoint": {"every": 5, "keep": 4}, "precision": "fp64"}
    ranks.run(config, tmp_path, ranks=2, bend="nan_in_steps", argument=([5, 6, 12], 1))
    records = [r for r in meters.read(tmp_path / "metrics.jsonl") if "loss" in r]
    assert [r["step"] for r in records if r["loss"] is None] == [6, 7, 13]
    assert [r["skipped"] for r in records][-1] == 3
    assert all(bool(p.isfinite().all()) for p in ranks.weights(tmp_path).values())
    steps = [value for name, value in ranks.weights(tmp_path).items() if name.endswith("/step")]
    assert {float(step) for step in steps} == {17.0}  # the moments count only the steps that were made
    assert checkpoint.newest(tmp_path / "checkpoints").state["guard"] == {"in_a_row": 0, "skipped": 3}


def test_the_skipped_step_changes_no_bit(config: dict, tmp_path: Path) -> None:
    config |= {"schedule": {"steps": 6, "warmup": 4}, "checkpoint": {"every": 1, "keep": 9}}
    ranks.run(config, tmp_path, bend="nan_in_steps", argument=([4], 0))
    before, after = ranks.weights(tmp_path, 4), ranks.weights(tmp_path, 5)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not torch.equal(after["embedding.weight"], ranks.weights(tmp_path, 6)["embedding.weight"])


def test_ten_in_a_row_end_the_run_also_across_a_resume(
    config: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config |= {"checkpoint": {"every": 8}}
    monkeypatch.setattr("gristmill.trainer.loop.Trainer.step", ranks.loop.Trainer.step)  # put back what is bent below
    ranks.nan_in_steps((list(range(3, 20)), 0))
    with pytest.raises(WorkError, match="not finite in 10 steps in a row, up to step 13"):
        train(ranks.settings(config), tmp_path)
    assert checkpoint.newest(tmp_path / "checkpoints").state["guard"] == {"in_a_row": 5, "skipped": 5}
    with pytest.raises(WorkError, match="up to step 13"):  # five more after the checkpoint of step 8, not ten
        train(ranks.settings(config), tmp_path)
    monkeypatch.undo()
    train(ranks.settings(config), tmp_path)
    assert checkpoint.newest(tmp_path / "checkpoints").state["guard"] == {"in_a_row": 0, "skipped": 5}


def test_bfloat16_products_train_and_write(config: dict, tmp_path: Path) -> None:
    config |= {"precision": "bf16", "samples": {"every": 20, "prompts": ["the mill"], "tokens": 20}}
    train(ranks.settings(config), tmp_path)
    losses = ranks.losses(tmp_path)
    assert losses[-1] < losses[0] - 0.2
    weights = ranks.weights(tmp_path)
    assert {value.dtype for value in weights.values()} == {torch.float32}
    config |= {"precision": "fp32", "checkpoint": {"every": 20}}
    train(ranks.settings(config), tmp_path / "fp32")
    assert losses == pytest.approx(ranks.losses(tmp_path / "fp32"), abs=0.02)


def test_adamw_decays_matrices_only_and_keeps_its_state_by_name() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.LayerNorm(4))
    optimizer = adamw(model, lr=0.1, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.5)
    decayed = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert [decayed[id(p)] for p in model.parameters()] == [0.5, 0.0, 0.0, 0.0]
    good, bad = torch.tensor(False), torch.tensor(True)
    for flag in (good, bad, good):
        model(torch.ones(2, 3)).square().sum().backward()
        step_unless(optimizer, flag)
        optimizer.zero_grad()
    state = named_state(model, optimizer)
    assert sorted({name.rpartition("/")[2] for name in state}) == ["exp_avg", "exp_avg_sq", "step"]
    assert float(state["0.weight/step"]) == 2.0
    other = adamw(model, lr=0.1, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.5)
    load_named_state(model, other, state)
    assert all(torch.equal(value, named_state(model, other)[name]) for name, value in state.items())


def test_the_cosine() -> None:
    rates = [cosine(step, peak=2.0, warmup=4, steps=24, floor=0.1) for step in range(30)]
    assert rates[:4] == [0.5, 1.0, 1.5, 2.0]
    assert rates[13] == pytest.approx(2.0 * (0.1 + 0.9 * 0.5))  # half-way down
    assert rates[23:] == pytest.approx([0.2] * 7)
    assert all(a > b for a, b in itertools.pairwise(rates[3:24]))
    assert [cosine(step, 1.0, 0, 1, 0.0) for step in (0, 1)] == pytest.approx([0.0, 0.0])
