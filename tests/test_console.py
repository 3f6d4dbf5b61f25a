"""How a command ends: exit codes, one clear line, and nothing of a document in the account of a defect."""

from __future__ import annotations

import errno
import io
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest
from gristmill import console
from gristmill.console import Progress, RequestError, WorkError, as_known, place_of

SECRET = "alice.planted@example.org"


def raises(error: BaseException):
    def main() -> None:
        raise error

    return main


@pytest.fixture(autouse=True)
def _quiet(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["gristmill"])


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (RequestError("x.yaml: no such file"), 2, "gristmill: x.yaml: no such file\n"),
        (RequestError("one\ntwo"), 2, "gristmill: one\ngristmill: two\n"),
        (WorkError("a worker died"), 1, "gristmill: a worker died\n"),
        (KeyboardInterrupt(), 130, "gristmill: interrupted; the same command goes on where it stopped\n"),
        (SystemExit(130), 130, "gristmill: interrupted; the same command goes on where it stopped\n"),
        (SystemExit(), 0, ""),
        (SystemExit(0), 0, ""),
        (SystemExit(7), 7, ""),
        (SystemExit("text"), 1, ""),
    ],
    ids=repr,
)
def test_exit_codes(capsys, error, code, said):
    assert console.run(raises(error)) == code
    assert capsys.readouterr() == ("", said)


def test_success_says_nothing(capsys):
    assert console.run(lambda: None) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_one_line(capsys, number):
    assert console.run(raises(OSError(number, os.strerror(number), "run/documents/x"))) == 1
    _, said = capsys.readouterr()
    assert said == (
        "gristmill: the disk is full while writing run/documents/x; free some space and run the same command again,"
        " it goes on\n"
    )
    assert console.run(raises(OSError(number, "Error writing bytes to file"))) == 1
    assert capsys.readouterr().err.startswith("gristmill: the disk is full; free some space")


def test_no_permission_is_one_line(capsys):
    assert console.run(raises(PermissionError(errno.EACCES, "Permission denied", "run"))) == 1
    assert capsys.readouterr().err == "gristmill: no permission: run\n"


def nested() -> BaseException:
    try:
        try:
            raise ValueError(SECRET)
        except ValueError as error:
            raise RuntimeError(f"about {SECRET}") from error
    except RuntimeError as error:
        return error


def group() -> BaseException:
    error = ExceptionGroup(SECRET, [ValueError(SECRET), nested()])
    error.add_note(SECRET)
    return error


@pytest.mark.parametrize(
    "error",
    [
        ValueError(SECRET),
        UnicodeDecodeError("utf-8", SECRET.encode(), 0, 1, SECRET),
        KeyError(SECRET),
        OSError(errno.EIO, SECRET, SECRET),
        nested(),
        group(),
        type("Odd", (Exception,), {"__str__": lambda self: SECRET})(),
        MemoryError(SECRET),
    ],
    ids=lambda e: type(e).__name__,
)
def test_a_defect_never_tells_its_text(capsys, error):
    assert console.run(raises(error)) == 1
    out, said = capsys.readouterr()
    assert out == ""
    assert SECRET not in said
    kind = type(error).__name__
    assert said.startswith(f"gristmill: {kind} at test_console.py:")
    assert said.endswith("(a defect of ours: --debug shows more)\n")
    assert said.count("\n") == 1


def test_debug_shows_all(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["gristmill", "run", "--debug", "x"])
    with pytest.raises(ValueError, match=SECRET):
        console.run(raises(ValueError(SECRET)))
    assert sys.argv == ["gristmill", "run", "x"], "commands do not know --debug"


def test_known_errors():
    assert as_known(ValueError()) is None
    assert as_known(OSError(errno.EIO, "x")) is None
    error = WorkError("x")
    assert as_known(error) is error
    assert place_of(ValueError()) == "ValueError at ? (a defect of ours: --debug shows more)"


def command(tmp_path, *arguments: str, **options) -> subprocess.Popen:
    """`gristmill` as a process whose output is read."""
    full = [sys.executable, "-m", "gristmill", *arguments]
    return subprocess.Popen(full, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["version"], 0, ""),
        (["run"], 2, "Missing argument"),
        (["run", "web", "--limit", "none"], 2, "--limit"),
        (["no-such-command"], 2, "No such command"),
        (["run", "no/such/recipe.yaml"], 2, "no/such/recipe.yaml: no such file, nor a configuration that ships"),
        (["explain", ".", "x"], 2, "gristmill: .: not a run directory (it has no run.json)\n"),
        (["report", "."], 2, "gristmill: .: not a run directory (it has no run.json)\n"),
    ],
    ids=lambda x: " ".join(x) if isinstance(x, list) else "",
)
def test_the_command_line(tmp_path, arguments, code, said):
    process = command(tmp_path, *arguments)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, said in err) == (code, True), err
    assert "Traceback" not in err


def test_interrupted(tmp_path):
    """Ctrl-C in the middle of a command that waits: one line, exit code 130."""
    fifo = tmp_path / "recipe.yaml"
    os.mkfifo(fifo)
    process = command(tmp_path, "run", str(fifo))
    writer = None
    while writer is None:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.1)
        with suppress(OSError):  # until the other side waits for the file's text
            writer = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
    time.sleep(0.5)  # it reads now: a signal between the two calls would be noticed only when text comes
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    os.close(writer)
    assert process.returncode == 130, err
    assert err == "gristmill: interrupted; the same command goes on where it stopped\n"


def test_interrupted_in_a_constructor(tmp_path):
    """An object left half-made by Ctrl-C does not complain when it is taken down."""
    code = """if True:
        import os, signal
        from gristmill import console

        class Handle:
            def __init__(self):
                os.kill(os.getpid(), signal.SIGINT)
                self.pointer = 1

            def __del__(self):
                del self.pointer

        raise SystemExit(console.run(Handle))
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (130, console.GOES_ON + "\n")


def test_a_reader_that_goes_away(tmp_path):
    process = command(tmp_path, "schema", "recipe")
    process.stdout.close()
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()
    process.wait(timeout=60)


# -- progress --------------------------------------------------------------------------------------------------------


def test_progress_without_a_terminal_is_plain_lines(monkeypatch):
    said = io.StringIO()
    monkeypatch.setattr(sys, "stderr", said)
    with Progress("documents", 4, every=0.0) as bar:
        bar.advance(1, "1,000 documents")
        bar.advance(2)
    with Progress("gather", None, "texts", every=0.0) as bar:
        bar.advance(1234)
    assert said.getvalue().splitlines() == [
        "documents: 1 of 4 units, 0 s 1,000 documents",
        "documents: 3 of 4 units, 0 s 1,000 documents",
        "gather: 1,234 texts, 0 s",
    ]


def test_progress_is_not_talkative(monkeypatch):
    said = io.StringIO()
    monkeypatch.setattr(sys, "stderr", said)
    with Progress("documents", 10_000) as bar:
        for _ in range(10_000):
            bar.advance(1)
    assert said.getvalue() == ""


def test_progress_on_a_terminal_is_a_bar(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    said = Terminal()
    monkeypatch.setattr(sys, "stderr", said)
    with Progress("documents", 2) as bar:
        bar.advance(1, "note")
        bar.advance(1)
    assert "documents" in said.getvalue()
    assert "0/2" in said.getvalue()
