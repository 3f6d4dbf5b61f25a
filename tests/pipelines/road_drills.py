"""Runs that are killed: commands in process groups of their own, by fork for speed or as a user starts them.

A forked one comes out of a process that has imported everything, which saves two seconds each.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import yaml
from road_results import journal

KILLED = -signal.SIGKILL
STEPS = (
    "documents",
    "exact",
    "candidates",
    "components",
    "shingles",
    "verify",
    "corpus",
    "tokenizer",
    "encode",
    "shards",
)


def recipe_file(value: dict) -> Path:
    """The recipe beside its run directory."""
    path = Path(value["output"]).with_suffix(".yaml")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(value, sort_keys=False))
    return path


@functools.cache
def _server() -> subprocess.Popen:
    """See road_forks; it ends when this process does."""
    command = [sys.executable, str(Path(__file__).with_name("road_forks.py"))]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )


def forked(value: dict, fail_at: str = "", kill_after: float | None = None) -> int:
    """Exit code of `gristmill run` by one process, killed at a fail point or after so many seconds."""
    path, server = recipe_file(value), _server()
    environment = {"GRISTMILL_FAIL_AT": fail_at, "TMPDIR": str(path.parent)}
    command = {"arguments": ["run", str(path)], "environment": environment, "log": str(path.with_suffix(".log"))}
    server.stdin.write(json.dumps(command) + "\n")
    server.stdin.flush()
    process = int(server.stdout.readline())
    if kill_after is not None:
        time.sleep(kill_after)
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    return int(server.stdout.readline())


def log_of(value: dict) -> str:
    """What the forked commands of a recipe said."""
    return recipe_file(value).with_suffix(".log").read_text()


@contextlib.contextmanager
def started(value: dict, workers: int, **environment: str) -> Iterator[subprocess.Popen]:
    """`gristmill run` as a user starts it, the leader of its own process group; whatever is left of it is killed."""
    path = recipe_file(value)
    command = [sys.executable, "-m", "gristmill", "run", str(path), "--workers", str(workers)]
    with subprocess.Popen(
        command,
        env=dict(os.environ, TMPDIR=str(path.parent), **environment),
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def finished(process: subprocess.Popen, timeout: float = 120) -> tuple[int, str]:
    """(exit code, stderr) of a command that ends by itself."""
    _, errors = process.communicate(timeout=timeout)
    return process.returncode, errors


def group_is_gone(group: int, seconds: float = 2.0) -> bool:
    """Whether nobody is left of a process group within so many seconds; the dead that nobody waited for are gone."""
    end = time.monotonic() + seconds
    while living := members(group):
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return not living


def members(group: int) -> list[int]:
    """The living processes of a group."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                state, _, process_group, *_ = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(process_group) == group and state not in "ZX":
                    found.append(int(entry.name))
    return found


def until(condition, seconds: float = 60):
    """The first true value of `condition()`; a drill that never gets there fails."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "what the drill waits for did not happen"
        time.sleep(0.01)
    return value


def starts(run: Path) -> list[list]:
    """The journal's lines of starts so far: [event, step, unit, process, ...]."""
    path = run / "work" / "journal.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [line for line in map(json.loads, lines) if line[0] == "start"]


def committed(run: Path) -> set[tuple[str, str]]:
    """(step, unit) of all that is committed: the manifest exists, whether or not the journal came to say so."""
    names = {path.relative_to(run / "work" / "manifests") for path in (run / "work" / "manifests").rglob("*.json")}
    known = {(step, unit) for step, unit in journal(run, "start")} if names else set()
    from gristmill.pipelines.units import slug

    return {(step, unit) for step, unit in known if Path(step, f"{slug(unit)}.json") in names}
