"""What the command line says and how it ends: errors, exit codes, progress, logging.

Exit codes: 0 done; 1 the work failed (and can be resumed); 2 the request was wrong. An error is one clear line with
what to do, no traceback unless `--debug`. Long work shows a bar on a terminal and plain lines elsewhere.
"""

from __future__ import annotations

import errno
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType

INTERRUPTED = 130
GOES_ON = "gristmill: interrupted; the same command goes on where it stopped"


class GristmillError(Exception):
    """An error the user is told in one line. `code` is the exit code."""

    code = 1


class WorkError(GristmillError):
    """The work failed: a full disk, a dead worker, too many bad records. What was committed stays; run it again."""


class RequestError(GristmillError):
    """The request was wrong: a bad recipe, a missing input, a run directory in use. Nothing was done."""

    code = 2


def run(main: Callable[[], None]) -> int:
    """Call `main` and turn whatever it raises into an exit code and one line on stderr."""
    debug = "--debug" in sys.argv
    if debug:
        sys.argv.remove("--debug")
    quiet_libraries(debug)
    quiet_interrupts()
    try:
        main()
    except SystemExit as stop:
        if stop.code == INTERRUPTED:  # Typer's form of Ctrl-C
            print(GOES_ON, file=sys.stderr)
        return stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
    except KeyboardInterrupt:
        print(GOES_ON, file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output went away (`| head`)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if debug:
            raise
        known = as_known(error)
        if known is None:
            print(f"gristmill: {place_of(error)}", file=sys.stderr)
            return 1
        for line in str(known).splitlines():
            print(f"gristmill: {line}", file=sys.stderr)
        return known.code
    return 0


def as_known(error: BaseException) -> GristmillError | None:
    """The GristmillError that `error` is or amounts to; None for a defect."""
    if isinstance(error, GristmillError):
        return error
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = f" while writing {error.filename}" if error.filename else ""
        return WorkError(f"the disk is full{where}; free some space and run the same command again, it goes on")
    if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EROFS):
        return WorkError(f"no permission: {error.filename or error}")
    return None


def place_of(error: BaseException) -> str:
    """The kind and place of an error of ours. Not its text, which could quote a document."""
    trace, place = error.__traceback__, "?"
    while trace:
        place = f"{os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}"
        trace = trace.tb_next
    return f"{type(error).__name__} at {place} (a defect of ours: --debug shows more)"


def quiet_libraries(debug: bool) -> None:
    """Libraries log to stderr what a user cannot act on; only their errors pass.

    Of those not Beam's account of a failed unit: the one line that the user gets says the same, and quotes no document.
    """
    logging.basicConfig(level=logging.INFO if debug else logging.ERROR, format="%(name)s: %(message)s")
    if not debug:
        for name in ("apache_beam.runners.common", "apache_beam.runners.worker"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
    logging.getLogger().addFilter(lambda record: "apitools not found" not in str(record.msg))


def quiet_interrupts() -> None:
    """Ctrl-C raises KeyboardInterrupt as ever, and no object that it left half-made complains when it is taken down."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return  # somebody else's affair, or ignored

    def interrupted(number: int, frame: FrameType | None) -> None:
        sys.unraisablehook = lambda _: None
        signal.default_int_handler(number, frame)

    signal.signal(signal.SIGINT, interrupted)


def say(text: str) -> None:
    """One line of progress or result on stderr, so that stdout stays for data."""
    print(text, file=sys.stderr, flush=True)


class Progress:
    """A bar on a terminal, a plain line at most every `every` seconds elsewhere.

    `Progress("documents", total=8)`, then `advance(1, "1,200 documents")`; use it as a context manager.
    """

    def __init__(self, title: str, total: int | None, unit: str = "units", every: float = 10.0):
        self.title, self.total, self.unit, self.every = title, total, unit, every
        self.done, self.start, self.said, self.note = 0, time.monotonic(), time.monotonic(), ""
        self.bar = None
        if sys.stderr.isatty():
            from tqdm import tqdm

            self.bar = tqdm(total=total, desc=title, unit=f" {unit}", file=sys.stderr, leave=False, dynamic_ncols=True)

    def advance(self, n: int = 0, note: str = "") -> None:
        """Count `n` more units; `note` is shown beside them."""
        self.done += n
        self.note = note or self.note
        if self.bar is not None:
            self.bar.set_postfix_str(self.note, refresh=False)
            self.bar.update(n)
        elif time.monotonic() - self.said >= self.every:
            self.said = time.monotonic()
            of = f" of {self.total:,}" if self.total is not None else ""
            say(f"{self.title}: {self.done:,}{of} {self.unit}, {self.said - self.start:.0f} s {self.note}".rstrip())

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()
