"""What the tests of the road share: the input of `road_inputs`, and one undisturbed run over it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # so that the road_*.py beside this file can be imported by name

import road_inputs
import road_results


def run_recipe(value: dict, **options) -> dict:
    """`gristmill run` in this process."""
    from gristmill.config import validate
    from gristmill.pipelines import driver
    from gristmill.pipelines.recipe import Recipe

    return driver.run(validate(Recipe, value, "test"), **options)


@pytest.fixture(scope="session")
def run():
    return run_recipe


@pytest.fixture(scope="session")
def good_records(shared_data: Path) -> list[dict]:
    """Some 500 records: see `road_inputs.records`."""
    return road_inputs.records(shared_data)


@pytest.fixture(scope="session")
def lines(good_records: list[dict]) -> list[bytes]:
    """The lines of these and of the damaged ones."""
    return road_inputs.mixed(good_records)


@pytest.fixture(scope="session")
def plain_input(lines: list[bytes], shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The layout that the others are compared with: three files of lines, and what lies beside them."""
    folder = tmp_path_factory.mktemp("plain-input")
    road_inputs.write_lines(folder, road_inputs.cut(lines, 3))
    road_inputs.beside(folder, shared_data)
    return folder


@pytest.fixture(scope="session")
def undisturbed(plain_input: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole run over it by one process. Nobody may change it."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    run_recipe(road_inputs.recipe([plain_input], folder))
    return folder


@pytest.fixture(scope="session")
def expected(undisturbed: Path) -> road_results.Results:
    """What every other way of running must give."""
    return road_results.results(undisturbed)
