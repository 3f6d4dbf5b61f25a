"""Work on one machine: a supervisor hands chunks of units to processes, each an in-process pipeline.

The parent knows no Beam and does no work; a child asks for the next chunk when it is done. A child that dies costs its
uncommitted units one attempt and is replaced; a child that gives no sign of life is killed and counts as dead. Once any
unit has been lost, chunks are of one unit, so that a unit that kills its worker is named. Processes are spawned, not
forked (gRPC's threads do not survive a fork), and die with their parent.
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
from typing import Any

from ..console import WorkError, as_known
from .units import Unit, committed

ATTEMPTS = 3
CHUNK = 4  # units a pipeline: one costs a tenth of a second of its own
SILENCE = float(os.environ.get("GRISTMILL_STALL_SECONDS", 1800))  # without a sign of life a worker counts as dead


def supervise(units: list[Unit], workers: int, progress: Callable[[int, int], None]) -> None:
    """Do all units in `workers` processes. `progress` hears of (documents done, units done).

    Raises WorkError when a unit fails or its worker died ATTEMPTS times.
    """
    context = mp.get_context("spawn")
    todo = sorted(units, key=lambda unit: (-unit.size, unit.number))
    lost: Counter[str] = Counter()
    children: dict[Any, dict[str, Any]] = {}

    def start() -> None:
        ours, theirs = context.Pipe()
        process = context.Process(target=_child, args=(theirs,), daemon=True)
        process.start()
        theirs.close()
        children[ours] = {"process": process, "units": [], "seen": time.monotonic()}

    try:
        for _ in range(min(workers, len(todo))):
            start()
        while children:
            for pipe in mp.connection.wait(list(children), 1.0):
                child = children[pipe]
                try:
                    kind, what = pipe.recv()
                except (EOFError, ConnectionResetError):
                    _bury(children, pipe, todo, lost)
                    if todo:
                        start()
                    continue
                child["seen"] = time.monotonic()
                if kind == "progress":
                    progress(*what)
                elif kind == "error":
                    raise what
                else:  # ready for the next chunk
                    share = max(1, len(todo) // (2 * workers))
                    chunk = 1 if lost else min(CHUNK, share)
                    child["units"] = [todo.pop(0) for _ in range(min(chunk, len(todo)))]
                    pipe.send([unit.to_json() for unit in child["units"]])
                    if not child["units"]:
                        child["process"].join()
                        del children[pipe]
            for child in list(children.values()):
                if time.monotonic() - child["seen"] > SILENCE:
                    child["process"].kill()
                    child["seen"] = time.monotonic()
    except BaseException:
        for child in children.values():
            child["process"].kill()
        for child in children.values():
            child["process"].join()
        raise


def _bury(children: dict, pipe: Any, todo: list[Unit], lost: Counter[str]) -> None:
    """Put what a dead child had not committed back; name the unit that killed its worker ATTEMPTS times."""
    child = children.pop(pipe)
    child["process"].join()
    missing = [unit for unit in child["units"] if committed(unit) is None]
    lost.update(f"{unit.step} {unit.name}" for unit in missing)
    killers = [name for name, times in sorted(lost.items()) if times >= ATTEMPTS]
    if killers:
        how = f"exit code {child['process'].exitcode}"
        raise WorkError(
            f"a worker died {ATTEMPTS} times ({how}) on: {', '.join(killers)};"
            " out of memory is the usual reason: try fewer --workers"
        )
    if not child["units"]:
        lost["start of a worker"] += 1
    todo[:0] = missing


def _child(pipe: Any) -> None:
    """A worker: take chunks, run each as one pipeline, until an empty chunk comes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends us
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: do not outlive a killed parent
    from ..console import quiet_libraries
    from .units import on_progress

    quiet_libraries(False)
    on_progress(lambda documents, done: pipe.send(("progress", (documents, done))))
    from .beam.engine import run_units

    pipe.send(("ready", None))
    while chunk := pipe.recv():
        try:
            run_units([Unit.from_json(text) for text in chunk])
        except BaseException as error:
            known = as_known(error)
            pipe.send(("error", known or WorkError(_place_of(error))))
            return
        pipe.send(("ready", None))


def _place_of(error: BaseException) -> str:
    """The kind of an error; its text could quote a document, so it is not shown."""
    frames, trace = [], error.__traceback__
    while trace:
        frames.append(f"{os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}")
        trace = trace.tb_next
    return f"a worker failed: {type(error).__name__} at {frames[-1] if frames else '?'} (a defect of ours)"
