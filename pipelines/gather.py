"""Text that any machine with this package has: the raw material of `make demo`.

Docstrings of the standard library and of all installed packages, their documentation files, licences and
descriptions, and the operating system's package descriptions and documentation where there are any: tens of thousands
of real English texts, with true near-duplicates (licences, docstrings copied between classes) and real e-mail
addresses. Written as JSON lines, a source a file, sorted, so that a second call gives the same bytes.
"""

from __future__ import annotations

import ast
import gzip
import json
import os
import sysconfig
import warnings
from collections.abc import Iterator
from importlib import metadata
from itertools import takewhile
from pathlib import Path

from ..console import Progress, RequestError, say

MIN_CHARACTERS = 200
MAX_BYTES = 128 << 10  # of one file: longer ones are tables and change logs
TEXT_ENDS = (".txt", ".rst", ".md", ".txt.gz", ".rst.gz", ".md.gz")
TEXT_STARTS = ("license", "licence", "copying", "notice", "readme", "authors", "copyright")
ROWS_A_FILE = 4000


def gather(output: str | Path) -> dict[str, int]:
    """Write the texts below `output`; the number of each kind. Raises RequestError if the folder holds other things."""
    folder = Path(output)
    if folder.exists() and any(not p.name.endswith(".jsonl") for p in folder.iterdir()):
        raise RequestError(f"{folder}: holds other files; name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.jsonl"):
        old.unlink()
    counts = {}
    for kind, texts in (
        ("docstrings", _docstrings()),
        ("files", _files()),
        ("descriptions", _descriptions()),
    ):
        with Progress(f"gather {kind}", None, "texts") as bar:
            counts[kind] = _write(folder, kind, texts, bar)
    if not sum(counts.values()):
        raise RequestError("no text was found on this machine; `make demo INPUT=folder` takes your own")
    say("gathered " + ", ".join(f"{n:,} {kind}" for kind, n in counts.items()))
    return counts


def _write(folder: Path, kind: str, texts: Iterator[tuple[str, str]], bar: Progress) -> int:
    n, file = 0, None
    for name, text in texts:
        if len(text) < MIN_CHARACTERS:
            continue
        if n % ROWS_A_FILE == 0:
            if file:
                file.close()
            file = open(folder / f"{kind}-{n // ROWS_A_FILE:03d}.jsonl", "w", encoding="utf-8")  # noqa: SIM115
        file.write(json.dumps({"id": name, "text": text, "kind": kind}, ensure_ascii=False) + "\n")
        n += 1
        bar.advance(1)
    if file:
        file.close()
    return n


def _roots() -> list[Path]:
    """The standard library and the installed packages."""
    return [Path(p) for p in dict.fromkeys(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib"))]


def _walk(root: Path) -> Iterator[Path]:
    """Files below a folder in sorted order; of nested site-packages only the one named."""
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(f for f in folders if f not in ("__pycache__", "site-packages", "dist-packages"))
        for name in sorted(files):
            yield Path(folder, name)


def _docstrings() -> Iterator[tuple[str, str]]:
    for root in _roots():
        for path in _walk(root):
            if path.suffix in (".py", ".pyi"):
                try:
                    source = path.read_text(encoding="utf-8")
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        tree = ast.parse(source)
                except (OSError, ValueError, SyntaxError, RecursionError, MemoryError):
                    continue  # other encodings and deliberately broken test files
                yield from _of_tree(tree, path.relative_to(root).with_suffix("").as_posix().replace("/", "."))


def _of_tree(node: ast.AST, name: str) -> Iterator[tuple[str, str]]:
    text = ast.get_docstring(node)
    if text:
        yield name, _clean(text)
    for child in node.body:
        if isinstance(child, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            yield from _of_tree(child, f"{name}.{child.name}")


def _files() -> Iterator[tuple[str, str]]:
    places = [*_roots(), Path("/usr/share/common-licenses"), Path("/usr/share/doc")]
    for root in places:
        if not root.is_dir():
            continue
        for path in _walk(root):
            name = path.name.lower()
            known = name.endswith(TEXT_ENDS) or name.startswith(TEXT_STARTS) or root.name == "common-licenses"
            if not known:
                continue
            if text := _read(path):
                yield f"{root.name}/{path.relative_to(root).as_posix()}", text


def _read(path: Path) -> str | None:
    try:
        if path.stat().st_size > MAX_BYTES or not path.is_file():
            return None
        opened = gzip.open(path) if path.suffix == ".gz" else open(path, "rb")  # noqa: SIM115
        with opened as file:
            data = file.read(MAX_BYTES)
        return _clean(data.decode("utf-8"))
    except (OSError, EOFError, ValueError):
        return None  # unreadable, damaged or not text


def _descriptions() -> Iterator[tuple[str, str]]:
    """What packages say of themselves: of Python, and of Debian's package manager where there is one."""
    for distribution in sorted(metadata.distributions(), key=lambda d: str(d.metadata["Name"])):
        name = distribution.metadata["Name"]
        body = distribution.metadata.get_payload() or distribution.metadata["Description"]
        if isinstance(body, str):
            yield f"python/{name}", _clean(body)
    status = Path("/var/lib/dpkg/status")
    if status.exists():
        for block in status.read_text(encoding="utf-8", errors="replace").split("\n\n"):
            name = block.partition("Package: ")[2].partition("\n")[0]
            first, *lines = block.partition("\nDescription: ")[2].splitlines() or [""]
            body = [line.strip().removeprefix(".") for line in takewhile(lambda line: line.startswith(" "), lines)]
            if name and first:
                yield f"debian/{name}", _clean("\n".join([first, *body]))


def _clean(text: str) -> str:
    """Text without surrogates, NULs and carriage returns, which some sources hold."""
    return text.encode("utf-8", "ignore").decode("utf-8").replace("\0", "").replace("\r\n", "\n").strip()
