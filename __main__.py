"""The table of contents of the command line; each room brings its own `commands.py`."""

from __future__ import annotations

import contextlib
import os
import signal
import sys

import typer

from . import __version__, console
from .dedup import commands as dedup
from .filters import commands as filters
from .pipelines import commands as pipelines
from .tokenize import commands as tokenize
from .trainer import commands as trainer

app = typer.Typer(
    name="gristmill",
    help="Raw text to tokenised corpora and on to trained models, with an account of every document.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def version() -> None:
    """Print the version."""
    print(__version__)


for room in (pipelines, filters, dedup, tokenize, trainer):
    room.register(app)


def main() -> None:
    """The console script: run a command, end with its exit code."""
    code = console.run(lambda: app(standalone_mode=True))
    if code == console.INTERRUPTED:  # at once: taking the interpreter down takes a second where models are loaded
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        os._exit(code)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the work is over: there is nothing left to interrupt
    sys.exit(code)


if __name__ == "__main__":
    main()
