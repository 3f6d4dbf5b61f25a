"""What a run tells of itself: one JSON object a line in metrics.jsonl, and TensorBoard's files where it is installed.

The file is part of the run's state. A resumed run first removes the lines of steps that were done after its checkpoint
and are about to be done again, so each step stands in it once.
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
from pathlib import Path
from typing import Any


class Metrics:
    """Append records; every record has a `step`. With `path` None (ranks that only compute) nothing is written."""

    def __init__(self, path: Path | None, steps_done: int):
        self.file = self.board = None
        if path is None:
            return
        _forget_after(path, steps_done)
        self.file = open(path, "a", encoding="utf-8")  # noqa: SIM115 (open for as long as the run lasts)
        if importlib.util.find_spec("tensorboard") is not None:
            from torch.utils.tensorboard import SummaryWriter

            self.board = SummaryWriter(str(path.parent / "tensorboard"), purge_step=steps_done + 1)

    def write(self, record: dict[str, Any]) -> None:
        """One line, with the system at once; numbers also to TensorBoard. NaN, which JSON lacks, is null."""
        if self.file is None:
            return
        record = {name: value if _is_json(value) else None for name, value in record.items()}
        self.file.write(json.dumps(record) + "\n")
        self.file.flush()
        if self.board is not None:
            for name, value in record.items():
                if name != "step" and isinstance(value, (int, float)):
                    self.board.add_scalar(name, value, record["step"])

    def settle(self) -> None:
        """Have what was written on the disk, before a checkpoint says that it is."""
        if self.file is not None:
            os.fsync(self.file.fileno())
        if self.board is not None:
            self.board.flush()

    def close(self) -> None:
        """No more records."""
        if self.file is not None:
            self.file.close()
        if self.board is not None:
            self.board.close()


def read(path: Path) -> list[dict[str, Any]]:
    """The whole records of a metrics.jsonl; a line that a killed process left half written is none."""
    if not path.exists():
        return []
    records = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            records.append(json.loads(line))
        except ValueError:
            continue
    return records


def _is_json(value: Any) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def _forget_after(path: Path, step: int) -> None:
    kept = [record for record in read(path) if record["step"] <= step]
    aside = path.with_name(path.name + ".tmp")
    aside.write_text("".join(json.dumps(record) + "\n" for record in kept), encoding="utf-8")
    os.replace(aside, path)
