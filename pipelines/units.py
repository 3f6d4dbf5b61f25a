"""Units of work: what is committed stays, what is not is done again, and nothing half-written ever looks whole.

A unit is committed when its manifest exists: one small JSON object naming its files with their sizes and sha256.
Files are written aside and renamed, and their names carry the unit's digest, so a half-done redo under other settings
never touches what an older manifest names. A digest covers the phase's version, the settings that the phase reads and
the digests of its inputs; a run keeps the units whose digest is unchanged and does the rest. Readers follow manifests
and never list folders.

Any process may die at any line. `fail_point` lets a test choose the line: GRISTMILL_FAIL_AT="step:point:count" kills
the process there, "step:point:count:group" its whole process group.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..console import RequestError

_passed: Counter[str] = Counter()


def fail_point(step: str, name: str) -> None:
    """Die here with SIGKILL if the environment says so; for drills."""
    wanted = os.environ.get("GRISTMILL_FAIL_AT")
    if wanted:
        _passed[f"{step}:{name}"] += 1
        here = f"{step}:{name}:{_passed[f'{step}:{name}']}"
        if wanted == here:
            os.kill(os.getpid(), signal.SIGKILL)
        elif wanted == f"{here}:group":
            os.killpg(0, signal.SIGKILL)


def digest_of(*parts: Any) -> str:
    """sha256 (hex) of values as canonical JSON."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def slug(name: str) -> str:
    """A file name for a unit: readable, safe, and as unique as the name itself."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", name)[-80:].lstrip(".-")
    return safe if safe == name else f"{safe or 'unit'}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"


@dataclass(frozen=True)
class Unit:
    """One piece of work. It travels to workers as JSON, so everything in it is plain."""

    step: str  # which function does it: phases.STEPS
    name: str
    root: str  # the run directory
    digest: str
    number: int = 0  # its place among the units of its step
    size: int = 0  # bytes of input: the largest are handed out first
    settings: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, Any] = field(default_factory=dict)

    @property
    def file_stem(self) -> str:
        return f"{slug(self.name)}-{self.digest[:12]}"

    @property
    def manifest_path(self) -> Path:
        return Path(self.root, "work", "manifests", self.step, f"{slug(self.name)}.json")

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @staticmethod
    def from_json(text: str) -> Unit:
        return Unit(**json.loads(text))


def make_unit(step: str, version: int, root: str, name: str, settings: dict[str, Any], reads: Any, **more: Any) -> Unit:
    """A unit whose digest covers the step's version, its settings and what it reads."""
    return Unit(step, name, root, digest_of(step, version, name, settings, reads), settings=settings, **more)


@dataclass(frozen=True)
class Manifest:
    """What a committed unit left behind."""

    digest: str
    files: dict[str, dict[str, Any]]  # path relative to the run directory -> bytes, sha256, index (exchange files)
    counts: dict[str, Any]

    def only(self, folder: str) -> str | None:
        """The one file of this manifest in `folder`, relative to the run directory; None when there is none."""
        found = [name for name in self.files if name.startswith(folder + "/")]
        return found[0] if found else None

    @property
    def sha256(self) -> str:
        return digest_of(self.digest, self.files, self.counts)


def manifest(unit: Unit) -> Manifest | None:
    """The manifest of a unit, whatever its digest."""
    try:
        return Manifest(**json.loads(unit.manifest_path.read_text()))
    except FileNotFoundError:
        return None


def committed(unit: Unit) -> Manifest | None:
    """The manifest of a unit if it is committed under its present digest and its files are there."""
    found = manifest(unit)
    if found is None or found.digest != unit.digest:
        return None
    for name, facts in found.files.items():
        try:
            if os.stat(os.path.join(unit.root, name)).st_size != facts["bytes"]:
                return None
        except FileNotFoundError:
            return None
    return found


def require(unit: Unit) -> Manifest:
    """The manifest of a unit that must be committed by now."""
    found = committed(unit)
    if found is None:
        raise RuntimeError(f"unit {unit.step}/{unit.name} is not committed")
    return found


class Commit:
    """The files of one unit on their way: `file` gives a place to write, `finish` makes all of them count at once."""

    def __init__(self, unit: Unit):
        self.unit, self.root = unit, Path(unit.root)
        self.paths: dict[str, Path] = {}  # final name -> temporary path
        self.indexes: dict[str, Any] = {}

    def file(self, folder: str, suffix: str) -> str:
        """Where to write the unit's file for `folder` (relative to the run directory); one file a folder."""
        final = f"{folder}/{self.unit.file_stem}{suffix}"
        path = self.root / "work" / "tmp" / uuid.uuid4().hex
        self.paths[final] = path
        fail_point(self.unit.step, "open")
        return str(path)

    def index(self, folder: str, index: Any) -> None:
        """Keep the index of the exchange file written for `folder` in the manifest."""
        self.indexes[next(name for name in self.paths if name.rpartition("/")[0] == folder)] = index

    def adopt(self, name: str, index: Any) -> None:
        """Count an exchange file that already stands under its final name (a reducer of a shuffle wrote it)."""
        self.paths[name] = self.root / name
        self.indexes[name] = index

    def finish(self, counts: dict[str, Any]) -> None:
        """Rename the files, then write the manifest: from here on the unit is done."""
        files = {}
        for name, path in self.paths.items():
            fail_point(self.unit.step, "written")
            size, digest = file_digest(path)
            final = self.root / name
            if final != path:
                final.parent.mkdir(parents=True, exist_ok=True)
                os.replace(path, final)
            fail_point(self.unit.step, "renamed")
            files[name] = {"bytes": size, "sha256": digest}
            if name in self.indexes:
                files[name]["index"] = self.indexes[name]
        write_json(self.unit, self.unit.manifest_path, {"digest": self.unit.digest, "files": files, "counts": counts})
        fail_point(self.unit.step, "committed")
        journal(self.unit, "commit")
        progress(done=1)

    def __enter__(self) -> Commit:
        journal(self.unit, "start")
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            for name, path in self.paths.items():
                if path != self.root / name:
                    path.unlink(missing_ok=True)


_hears: Callable[[int, int], None] | None = None


def on_progress(call: Callable[[int, int], None] | None) -> None:
    """Who hears, in this process, of (documents done, units done)."""
    global _hears
    _hears = call


def progress(documents: int = 0, done: int = 0) -> None:
    """Tell of work done. It is also the sign of life that the supervisor waits for, so call it in every long loop."""
    if _hears is not None:
        _hears(documents, done)


def write_json(unit: Unit, path: Path, value: Any) -> None:
    """Write aside, then rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(unit.root, "work", "tmp", uuid.uuid4().hex)
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    with open(aside, "w") as file:
        file.write(text[: len(text) // 2])
        file.flush()
        fail_point(unit.step, "manifest")
        file.write(text[len(text) // 2 :])
    fail_point(unit.step, "manifest_written")
    os.replace(aside, path)


def file_digest(path: str | Path) -> tuple[int, str]:
    """(bytes, sha256 hex) of a file."""
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return file.tell(), digest


def journal(unit: Unit, event: str) -> None:
    """One line a start and a commit: which process did what, when. The report's timings and the drills read it."""
    cpu = time.process_time()
    _append(unit, "journal", [event, unit.step, unit.name, os.getpid(), round(time.time(), 3), round(cpu, 3)])


def note_costs(unit: Unit, costs: dict[str, Any]) -> None:
    """Keep what a unit's work cost, beside the manifests: times differ from run to run, and manifests must not."""
    _append(unit, "costs", [unit.name, unit.digest, costs])


def noted_costs(root: str | Path, units: Iterable[Unit]) -> list[dict[str, Any]]:
    """What `note_costs` kept of these units, as they stand now; what a cleared work/ took with it is missing."""
    digests = {unit.name: unit.digest for unit in units}
    try:
        lines = Path(root, "work", "costs.jsonl").read_text().splitlines()
    except FileNotFoundError:
        return []
    found = {name: costs for name, digest, costs in map(json.loads, lines) if digests.get(name) == digest}
    return [found[name] for name in sorted(found)]


def _append(unit: Unit, name: str, line: list) -> None:
    descriptor = os.open(Path(unit.root, "work", f"{name}.jsonl"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, (json.dumps(line) + "\n").encode())
    finally:
        os.close(descriptor)


class Lock:
    """One run at a time in a directory: an advisory lock that dies with its process."""

    def __init__(self, root: str | Path):
        self.path = Path(root, ".lock")

    def __enter__(self) -> Lock:
        self.file = open(self.path, "w")
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.file.close()
            raise RequestError(f"{self.path.parent}: another run is working in this directory") from None
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()


def prepare(root: str | Path) -> None:
    """Make the run directory ready; what a dead run left half-written goes."""
    work = Path(root, "work")
    work.mkdir(parents=True, exist_ok=True)
    work.chmod(0o700)
    shutil.rmtree(work / "tmp", ignore_errors=True)
    (work / "tmp").mkdir()


def remove_orphans(root: str | Path, keep: Iterable[str], folders: Iterable[str]) -> list[str]:
    """Remove the files of `folders` that no manifest names; empty folders go as well. Returns what went."""
    kept, gone = set(keep), []
    for folder in folders:
        base = Path(root, folder)
        if not base.is_dir():
            continue
        for path in sorted(base.rglob("*"), reverse=True):
            name = path.relative_to(root).as_posix()
            if path.is_dir():
                if not any(path.iterdir()):
                    path.rmdir()
            elif name not in kept:
                path.unlink()
                gone.append(name)
        if not any(base.iterdir()):
            base.rmdir()
    return gone
