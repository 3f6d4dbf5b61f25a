"""Data parallelism changes nothing but rounding: 1, 2 and 4 ranks read the same batches and learn the same weights."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import ranks
from gristmill.trainer import meters
from gristmill.trainer.loader.batches import Loader
from gristmill.trainer.loader.stream import TokenStream


@pytest.fixture(scope="module")
def one_rank(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: ranks.run(_config(corpus, name), tmp_path_factory.mktemp(f"one-{name}")) for name in ("fp64", "fp32")}


def _config(corpus: Path, precision: str) -> dict:
    return {
        "data": {"tokens": str(corpus), "length": 16},
        "model": {"dim": 32, "layers": 2, "heads": 4, "kv_heads": 2, "ffn": 48},
        "optimizer": {"lr": 3e-3, "clip": 0.5},
        "schedule": {"steps": 20, "warmup": 4},
        "batch": {"sequences": 8},
        "checkpoint": {"every": 10},
        "validation": {"every": 20},
        "precision": precision,
        "threads": 1,
    }


def _furthest(a: Path, b: Path) -> tuple[float, float]:
    """(largest difference of a loss, largest difference of a weight or moment) between two runs."""
    one, two = ranks.weights(a), ranks.weights(b)
    assert one.keys() == two.keys()
    losses = [abs(x - y) for x, y in zip(ranks.losses(a), ranks.losses(b), strict=True)]
    return max(losses), max(float((one[name].double() - two[name].double()).abs().max()) for name in one)


@pytest.mark.parametrize("world", [2, 4])
def test_float64_is_equal_to_1e_10(world: int, one_rank: dict[str, Path], corpus: Path, tmp_path: Path) -> None:
    ranks.run(_config(corpus, "fp64"), tmp_path, ranks=world)
    losses, weights = _furthest(one_rank["fp64"], tmp_path)
    assert losses < 1e-10
    assert weights < 1e-10


def test_float32_losses_are_equal_to_1e_4(one_rank: dict[str, Path], corpus: Path, tmp_path: Path) -> None:
    ranks.run(_config(corpus, "fp32"), tmp_path, ranks=2)
    assert _furthest(one_rank["fp32"], tmp_path)[0] < 1e-4


def test_micro_batches_change_only_rounding(one_rank: dict[str, Path], corpus: Path, tmp_path: Path) -> None:
    config = _config(corpus, "fp64") | {"batch": {"sequences": 8, "micro": 3}}  # 3, 3 and 2; with two ranks 3 and 1
    for world in (1, 2):
        ranks.run(config, tmp_path / str(world), ranks=world)
        assert max(_furthest(one_rank["fp64"], tmp_path / str(world))) < 1e-10


def test_bits_per_byte_do_not_depend_on_the_ranks(one_rank: dict[str, Path], corpus: Path, tmp_path: Path) -> None:
    ranks.run(_config(corpus, "fp64"), tmp_path, ranks=4)
    one, four = (
        [r["validation_bits_per_byte"] for r in meters.read(path / "metrics.jsonl") if "validation_loss" in r]
        for path in (one_rank["fp64"], tmp_path)
    )
    assert len(one) == 1
    assert one == pytest.approx(four, abs=1e-10)


def test_the_ranks_batches_are_the_one_ranks_batch(corpus: Path) -> None:
    stream = TokenStream(corpus)
    whole = Loader(stream, 16, 8, seed=0)
    shares = {world: [Loader(stream, 16, 8, 0, rank, world) for rank in range(world)] for world in (2, 4)}
    for _ in range(int(1.5 * whole.sequences) // 8):  # into the second, permuted epoch
        batch = whole.next()
        for loaders in shares.values():
            assert np.array_equal(batch, np.concatenate([loader.next() for loader in loaders]))


def test_another_number_of_ranks_takes_the_run_up(one_rank: dict[str, Path], corpus: Path, tmp_path: Path) -> None:
    for steps, world in ((10, 2), (15, 4), (20, 1)):
        config = _config(corpus, "fp64")
        if steps < 20:  # stopped there, as a killed machine would be; the schedule is that of 20 steps
            with pytest.raises(Exception, match="SIGKILL"):
                ranks.run(config | {"checkpoint": {"every": 5}}, tmp_path, world, "killed_before_step", steps)
        else:
            ranks.run(config, tmp_path, world)
    assert max(_furthest(one_rank["fp64"], tmp_path)) < 1e-10


def test_a_batch_that_the_ranks_cannot_share_is_refused(corpus: Path, tmp_path: Path) -> None:
    config = _config(corpus, "fp32") | {"batch": {"sequences": 9}}
    with pytest.raises(Exception, match=r"exit code 2|cannot be shared"):
        ranks.run(config, tmp_path, ranks=2)


def test_torchrun(one_rank: dict[str, Path], corpus: Path, tmp_path: Path) -> None:
    import yaml

    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(_config(corpus, "fp64")))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "gristmill", "train", str(file), "--output", str(tmp_path / "run")]
    done = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("2 ranks on cpu, fp64") == 1
    assert max(_furthest(one_rank["fp64"], tmp_path / "run")) < 1e-10
    assert math.isfinite(ranks.losses(tmp_path / "run")[-1])
