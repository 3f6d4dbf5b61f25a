"""The training directory: what it is called inside, the lock on it, and run.json, which says what the run is.

A run is resumed by the same command on the same directory. run.json keeps the configuration that the run began with; a
command that would learn something else, or from something else, is refused with the keys that differ. The lock is the
kernel's (flock), so a killed run leaves none behind.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

from .. import __version__
from ..config import Settings
from ..console import RequestError
from .settings import RESUMABLE


def write_json(path: Path, value: Any) -> None:
    """Write aside, flush to the disk, rename: a reader sees the old file or the new one, whole."""
    aside = path.with_name(path.name + ".tmp")
    with open(aside, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=2, ensure_ascii=False, allow_nan=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(aside, path)


class Lock:
    """Sole use of a training directory, created if need be, until the context ends or the process does.

    Raises RequestError where another process has it.
    """

    def __init__(self, directory: Path):
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / "lock"
        self.file = open(path, "a+", encoding="utf-8")  # noqa: SIM115 (open for as long as the lock is held)
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.file.seek(0)
            holder = self.file.read().strip() or "another process"
            self.file.close()
            raise RequestError(
                f"{directory}: {holder} is training here; wait for it or choose another --output"
            ) from None
        self.file.truncate(0)
        self.file.write(f"process {os.getpid()} on {platform.node()}")
        self.file.flush()

    def __enter__(self) -> Lock:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()


class TrainingDirectory:
    """Paths inside a training directory, and its run.json."""

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.run_file = self.path / "run.json"
        self.metrics = self.path / "metrics.jsonl"
        self.checkpoints = self.path / "checkpoints"
        self.samples = self.path / "samples"

    def read_run(self) -> dict | None:
        """run.json, or None where no run has begun."""
        try:
            return json.loads(self.run_file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise RequestError(f"{self.run_file}: not readable as JSON: {error}") from None

    def begin(self, settings: Settings, data: dict, seeds: dict, details: dict) -> dict:
        """Start a run here or go on with the one that is here: its run.json.

        Raises RequestError where the run that is here learned something else or from other tokens.
        """
        config = json.loads(settings.model_dump_json())
        run = self.read_run()
        if run is not None:
            differing = differences(run["config"], config)
            if run["data"]["digest"] != data["digest"]:
                was, now = run["data"]["digest"][:12], data["digest"][:12]
                differing.append(f"data.tokens: the run has read tokens of digest {was}, {data['tokens']} has {now}")
            if differing:
                lines = "\n".join(f"  {line}" for line in differing)
                raise RequestError(
                    f"{self.path}: cannot go on with this run, its configuration differs:\n{lines}\n"
                    "Put these back, or choose another --output to start a new run."
                )
        run = {"steps_done": 0} | (run or {}) | {"config": config, "versions": versions(), "data": data, "seeds": seeds}
        run |= details
        write_json(self.run_file, run)
        return run

    def progress(self, run: dict, steps: int, consumed: int) -> None:
        """Note in run.json how far the run has come."""
        run |= {"steps_done": steps, "sequences_consumed": consumed}
        write_json(self.run_file, run)


def differences(was: dict, now: dict, prefix: str = "") -> list[str]:
    """`key: was A, now B` for every key that differs and that a resumed run may not change."""
    lines = []
    for key in sorted(was.keys() | now.keys()):
        path = prefix + key
        a, b = was.get(key), now.get(key)
        if path in RESUMABLE or a == b:
            continue
        if isinstance(a, dict) and isinstance(b, dict):
            lines += differences(a, b, path + ".")
        else:
            lines.append(f"{path}: was {json.dumps(a)}, now {json.dumps(b)}")
    return lines


def versions() -> dict[str, str]:
    """What computes: the versions that a bit-exact repetition needs."""
    import numpy
    import torch

    return {
        "gristmill": __version__,
        "python": sys.version.split()[0],
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "platform": platform.platform(),
    }
