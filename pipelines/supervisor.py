"""Work on one machine: a supervisor hands chunks of units to processes, each an in-process pipeline.

The parent knows no Beam and does no work; a child asks for the next chunk when it is done, and stays for the next
step. A child that dies costs its uncommitted units one attempt and is replaced; a child that gives no sign of life is
killed and counts as dead. Once any unit has been lost, chunks are of one unit, so that a unit that kills its worker
is named. Processes are spawned, not forked (gRPC's threads do not survive a fork), and die with their parent.
"""

from __future__ import annotations

import ctypes
import multiprocessing as mp
import multiprocessing.connection
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..console import WorkError, as_known, place_of
from .units import Unit, committed

ATTEMPTS = 3
CHUNK = 4  # units a pipeline: one costs a tenth of a second of its own
SILENCE = float(os.environ.get("GRISTMILL_STALL_SECONDS", 1800))  # without a sign of life a worker counts as dead


@dataclass
class _Child:
    """A worker process: what it was given, whether it waits for more, when it was last heard."""

    process: Any
    units: list[Unit] = field(default_factory=list)
    waits: bool = False
    seen: float = field(default_factory=time.monotonic)


class Pool:
    """Worker processes for the steps of a run. Use it as a context manager; leaving it ends them all at once."""

    def __init__(self, workers: int):
        self.workers = workers
        self.context = mp.get_context("spawn")
        self.children: dict[Any, _Child] = {}  # by our end of the pipe

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        for child in self.children.values():
            child.process.kill()
        for child in self.children.values():
            child.process.join()
        self.children.clear()

    def do(self, units: list[Unit], progress: Callable[[int, int], None]) -> None:
        """Do all units of a step. `progress` hears of (documents done, units done).

        Raises WorkError when a unit fails or its worker died ATTEMPTS times; the pool is of no use after that.
        """
        todo = sorted(units, key=lambda unit: (-unit.size, unit.number))
        lost: Counter[str] = Counter()
        while len(self.children) < min(self.workers, len(todo)):
            self._start()
        for pipe, child in self.children.items():
            if child.waits:
                self._give(pipe, child, todo, lost)
        while todo or any(child.units for child in self.children.values()):
            for pipe in mp.connection.wait(list(self.children), 1.0):
                child = self.children[pipe]
                try:
                    kind, what = pipe.recv()
                except (EOFError, ConnectionResetError):
                    self._bury(pipe, todo, lost)
                    if todo:
                        self._start()
                    continue
                child.seen = time.monotonic()
                if kind == "progress":
                    progress(*what)
                elif kind == "error":
                    raise what
                else:
                    child.units, child.waits = [], True
                    self._give(pipe, child, todo, lost)
            for child in self.children.values():
                if child.units and time.monotonic() - child.seen > SILENCE:
                    child.process.kill()  # its pipe ends, and with it the wait above
                    child.seen = time.monotonic()

    def _start(self) -> None:
        ours, theirs = self.context.Pipe()
        process = self.context.Process(target=_work, args=(theirs,), daemon=True)
        # Ctrl-C reaches the whole process group; a child born with it blocked dies of us, and not with a traceback
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        self.children[ours] = _Child(process)

    def _give(self, pipe: Any, child: _Child, todo: list[Unit], lost: Counter[str]) -> None:
        """The next chunk to a child that waits: smaller towards the end, one unit where one is under suspicion."""
        if not todo:
            return
        chunk = 1 if lost else max(1, min(CHUNK, len(todo) // (2 * self.workers)))
        child.units, child.waits, child.seen = [todo.pop(0) for _ in range(chunk)], False, time.monotonic()
        pipe.send([unit.to_json() for unit in child.units])

    def _bury(self, pipe: Any, todo: list[Unit], lost: Counter[str]) -> None:
        """Put what a dead child had not committed back; name the unit that killed its worker ATTEMPTS times."""
        child = self.children.pop(pipe)
        child.process.join()
        missing = [unit for unit in child.units if committed(unit) is None]
        lost.update(f"{unit.step} {unit.name}" for unit in missing)
        if not child.units:
            lost["the start of a worker"] += 1
        killers = [name for name, times in sorted(lost.items()) if times >= ATTEMPTS]
        if killers:
            raise WorkError(
                f"a worker died {ATTEMPTS} times (exit code {child.process.exitcode}) on: {', '.join(killers)};"
                " out of memory is the usual reason: try fewer --workers"
            )
        todo[:0] = missing


def _work(pipe: Any) -> None:
    """A worker's life: take chunks, run each as one pipeline, until the pipe ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: do not outlive a killed parent
    from ..console import quiet_libraries
    from .units import on_progress

    quiet_libraries(False)
    on_progress(lambda documents, done: pipe.send(("progress", (documents, done))))
    from .beam.engine import run_units

    pipe.send(("ready", None))
    while True:
        try:
            chunk = pipe.recv()
        except EOFError:
            return
        try:
            run_units([Unit.from_json(text) for text in chunk])
        except BaseException as error:
            pipe.send(("error", as_known(error) or WorkError(f"a worker failed: {place_of(error)}")))
            return
        pipe.send(("ready", None))
