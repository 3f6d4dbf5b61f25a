"""Replacements that need a key: consistent over files and runs, told apart by a fingerprint, the key itself nowhere."""

from __future__ import annotations

import json
import re

import dedup_inputs
import pyarrow.parquet as pq
import pytest
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
