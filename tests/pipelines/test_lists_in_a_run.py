"""Lists, addresses and evaluation sets in a run: named in the ledger, read again when a file changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from gristmill.console import RequestError
from gristmill.document import LEDGER
from gristmill.pipelines import driver
from gristmill.pipelines.refilter import changed, filters_alone, refilter

ITEM = "Natalia sold clips to forty eight of her friends in April and then she sold half as many clips in May"
PROSE = (
    "The mill by the river grinds what the farmers bring and the miller keeps an account of every sack that he gets."
)
DOCUMENTS = [
    {"id": "kept", "text": PROSE, "url": "https://good.example/a"},
    {"id": "asked to go", "text": PROSE + " One.", "url": "https://good.example/b"},
    {"id": "listed", "text": PROSE + " Two.", "url": "http://www.Good.example:80/c#part"},
    {"id": "blocked", "text": PROSE + " Three.", "url": "https://sub.bad.example/d"},
    {"id": "contaminated", "text": f"{PROSE} {ITEM.upper()}! {PROSE}", "url": "https://good.example/e"},
    {"id": "short and contaminated", "text": f"{ITEM}.", "url": "https://good.example/f"},
    {"id": "short", "text": "too short", "url": None},
]


@pytest.fixture
def place(tmp_path) -> Path:
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(d) + "\n" for d in DOCUMENTS))
    (tmp_path / "removal.txt").write_text("asked to go\nsomebody else\n")
    (tmp_path / "robots.txt").write_text("https://www.good.example/c\n")
    (tmp_path / "domains").write_text("# adult\nbad.example\n")
    (tmp_path / "tests.jsonl").write_text(json.dumps({"id": "q7", "question": ITEM}) + "\n")
    recipe = {
        "input": {"paths": [str(tmp_path / "in.jsonl")]},
        "output": "x",
        "drop": {"ids": str(tmp_path / "removal.txt"), "urls": str(tmp_path / "robots.txt")},
        "address": {"domains": str(tmp_path / "domains")},
        "language": None,
        "quality": {"gopher_quality": {"min_words": 22, "min_stop_words": 1}},
        "decontaminate": {"sets": {"gsm8k": {"paths": str(tmp_path / "tests.jsonl"), "fields": ["question"]}}},
        "rejected": "none",
        "keep_work": True,
    }
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe))
    return tmp_path


def run(place: Path, *overrides: str, output: str = "run") -> dict[str, dict[str, Any]]:
    """id -> terminal row of a run."""
    driver.run(filters_alone(str(place / "recipe.yaml"), [f"output={place / output}", *overrides]))
    return terminal(place / output)


def terminal(run: Path) -> dict[str, dict[str, Any]]:
    files = json.loads((run / "run.json").read_text())["files"]
    tables = [pq.read_table(run / name).cast(LEDGER) for name in files if name.startswith("ledger/")]
    return {r["id"]: r for r in pa.concat_tables(tables).to_pylist() if r["action"] != "edit"}


def test_each_is_dropped_by_its_stage(place):
    rows = run(place)
    told = {name: (row["stage"], row["action"]) for name, row in rows.items()}
    assert told == {
        "kept": ("corpus", "keep"),
        "asked to go": ("drop", "drop"),
        "listed": ("drop", "drop"),
        "blocked": ("address", "drop"),
        "contaminated": ("decontaminate", "drop"),
        "short and contaminated": ("quality", "drop"),
        "short": ("quality", "drop"),
    }
    assert (rows["asked to go"]["rule"], rows["listed"]["rule"]) == ("ids:removal", "urls:robots")
    detail = json.loads(rows["contaminated"]["detail"])
    assert (detail["set"], detail["item"]) == ("gsm8k", "q7")
    assert "natalia" not in str(rows).lower()


def test_a_changed_list_is_read_again(place):
    assert run(place)["kept"]["action"] == "keep"
    (place / "removal.txt").write_text("kept\n")
    rows = run(place)
    assert (rows["kept"]["stage"], rows["asked to go"]["action"]) == ("drop", "keep")
    (place / "tests.jsonl").write_text(json.dumps({"id": "q8", "question": PROSE}) + "\n")
    assert run(place)["asked to go"]["stage"] == "decontaminate"


@pytest.mark.parametrize("name", ["removal.txt", "robots.txt", "domains", "tests.jsonl"])
def test_a_missing_file_ends_it_before_any_work(place, name):
    (place / name).unlink()
    with pytest.raises(RequestError, match=name):
        run(place)
    assert not (place / "run").exists()


def test_an_evaluation_set_without_the_field_ends_it_before_any_work(place):
    (place / "tests.jsonl").write_text(json.dumps({"id": "q7", "answer": ITEM}) + "\n")
    with pytest.raises(RequestError, match="question"):
        run(place)
    assert not (place / "run" / "run.json").exists()


def test_what_a_rule_dropped_is_measured_by_the_next_stage_too(place):
    """With all_signals the verdicts of a later stage can be told of documents that an earlier one no longer drops."""
    run(place, "all_signals=true", output="all")
    looser = ["quality.gopher_quality.min_words=1"]
    fresh = run(place, *looser, "all_signals=true", output="fresh")
    refilter(place / "all", changed(place / "all", looser, str(place / "again")))
    assert terminal(place / "again") == fresh
    assert fresh["short and contaminated"]["stage"] == "decontaminate"
    run(place, output="some")
    with pytest.raises(RequestError, match="1 documents that would pass now were not measured"):
        refilter(place / "some", changed(place / "some", looser, str(place / "cannot")))


def test_items_too_short_to_be_found_are_told(place, capsys):
    run(place)
    assert "not looked for" not in capsys.readouterr().err
    (place / "tests.jsonl").write_text("".join(json.dumps({"question": q}) + "\n" for q in (ITEM, "how many", "why")))
    run(place)
    assert "decontaminate: 2 texts of fewer than 8 words are not looked for" in capsys.readouterr().err


def test_spans_are_cut_and_told(place):
    rows = run(place, "decontaminate.action=cut")
    assert rows["contaminated"]["action"] == "keep"
    files = json.loads((place / "run" / "run.json").read_text())["files"]
    (name,) = (f for f in files if f.startswith("documents/") and f.endswith(".parquet"))
    texts = dict(zip(*(pq.read_table(place / "run" / name)[c].to_pylist() for c in ("id", "text")), strict=True))
    assert "natalia" not in texts["contaminated"].lower()
    assert texts["contaminated"].count("miller") == 2
