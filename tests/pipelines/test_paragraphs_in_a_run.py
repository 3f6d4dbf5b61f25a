"""Repeated lines and paragraphs in a run: against plain Python and against the function in memory, killed or not."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import dedup_inputs
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from gristmill.dedup.paragraph_settings import ParagraphSettings
from gristmill.dedup.paragraphs import deduplicate
from gristmill.dedup.survivors import survivor_rank
from gristmill.document import words_to_keys
from gristmill.pipelines.duplicates import paragraphs
from road_drills import KILLED, forked, log_of
from road_results import difference, every_file, journal, results

RULE = "repeated_paragraphs"
LOOSE = {"normalise": "raw", "min_characters": 0}  # what plain Python below does
STEPS = (
    *("paragraph_hashes", "paragraph_sieve", "paragraph_occurrences", "paragraph_keep", "paragraph_drops"),
    *("paragraph_occurrences_again", "paragraph_keep_again", "paragraphs"),
)


def made(count: int = 90, seed: int = 0) -> list[dict[str, Any]]:
    """Records of lines that many share, in paragraphs; some of nothing else, some equal in every field but the id."""
    draw = random.Random(seed)
    common = [" ".join(draw.choices(["mill", "Řeka", "sack", "grain", "12", "wheel"], k=1 + i % 9)) for i in range(40)]
    found = []
    for i in range(count):
        text, name = "The sacks\n", "".join("abcdefghij"[int(digit)] for digit in str(i))
        for k in range(draw.randint(1, 12)):
            own = f"Line {'abcdefghijkl'[k]} of the account of miller {name} {'x' * draw.randint(0, 30)}"
            line = draw.choice([*common, "-----"]) if draw.random() < (0.95 if i % 6 == 0 else 0.3) else own
            text += line + draw.choice(["\n", "\n\n", "\n \n"])
        found.append({"id": f"d{i}", "text": text + "The end"})
    return found + [{"id": f"copy-{i}", "text": found[i]["text"]} for i in range(0, count, 9)]


def recipe(folder: Path, output: Path, settings: dict[str, Any], **dedup: Any) -> dict[str, Any]:
    dedup = {"exact": None, "minhash": None, "paragraphs": settings, **dedup}
    return dedup_inputs.recipe([folder], output, **dedup) | {"corpus": {"min_characters": 1}, "keep_work": True}


def texts_of(run: Path) -> dict[str, str]:
    """id -> text of documents/."""
    tables = [pq.read_table(path) for path in (run / "documents").glob("*.parquet")]
    return {name: text for t in tables for name, text in zip(*(t[c].to_pylist() for c in ("id", "text")), strict=True)}


def counts_of(run: Path) -> dict[str, Any]:
    return json.loads((run / "run.json").read_text())["counts"]["dedup"]["paragraphs"]


def rows_of(run: Path) -> dict[str, tuple[str, float, float, dict[str, Any]]]:
    """id -> (action, value, threshold, detail) of the rows of the rule."""
    rows = [row for row in dedup_inputs.ledger(run) if row["rule"] == RULE]
    assert len({row["id"] for row in rows}) == len(rows)
    return {row["id"]: (row["action"], row["value"], row["threshold"], row["detail"]) for row in rows}


def keys_of(run: Path) -> dict[str, bytes]:
    return {row["id"]: row["key"] for row in dedup_inputs.ledger(run)}


# -- against plain Python ---------------------------------------------------------------------------------------------


def by_strings(
    texts: dict[str, str], keys: dict[str, bytes], most: float
) -> tuple[dict[str, str], dict[str, set[int]]]:
    """(id -> text that is left of those that stay, id -> lines that go) where equal lines are equal strings."""

    def going(claimants: dict[str, str]) -> dict[str, set[int]]:
        first: dict[str, tuple] = {}
        for name, text in claimants.items():
            for n, line in enumerate(text.split("\n")):
                claim = (-len(text), keys[name], n)
                first[line] = min(first.get(line, claim), claim)
        return {
            name: {
                n
                for n, line in enumerate(text.split("\n"))
                if line.strip() and first.get(line, ()) != (-len(text), keys[name], n)
            }
            for name, text in claimants.items()
        }

    def share(text: str, gone: set[int]) -> float:
        sizes = [len(line) if line.strip() else 0 for line in text.split("\n")]
        return sum(sizes[n] for n in gone) / sum(sizes)

    once = going(texts)
    dropped = {name for name, gone in once.items() if share(texts[name], gone) > most or share(texts[name], gone) == 1}
    again = going({name: text for name, text in texts.items() if name not in dropped})
    left = {
        name: "\n".join(line for n, line in enumerate(texts[name].split("\n")) if n not in gone)
        for name, gone in again.items()
    }
    return left, {name: gone for name, gone in (once | again).items() if gone}


@pytest.mark.parametrize("most", [1.0, 0.6, 0.3])
def test_it_is_what_plain_python_does(most, run, tmp_path, monkeypatch):
    """Over several files, with more partitions than slots and fewer; with and without a filter that is too small."""
    monkeypatch.setattr(paragraphs, "MERGE_COPIES", 300)
    records = made()
    texts = {record["id"]: record["text"] for record in records}
    folder = dedup_inputs.write(tmp_path / "in", records, 3)
    ranges = {}
    for name, bloom, size in (("all", None, 256), ("sieved", {"expected": 30, "rate": 0.2}, 2)):
        monkeypatch.setattr(paragraphs, "PARAGRAPH_BYTES", size)
        run(recipe(folder, tmp_path / name, LOOSE | {"max_removed": most, "bloom": bloom}, memory_bytes=1 << 20))
        keys = keys_of(tmp_path / name)
        left, gone = by_strings(texts, keys, most)
        assert texts_of(tmp_path / name) == left
        rows = rows_of(tmp_path / name)
        assert {i: {n - 1 for n in detail["lines"]} for i, (_, _, _, detail) in rows.items()} == gone
        assert {i for i, (action, *_) in rows.items() if action == "drop"} == texts.keys() - left.keys()
        counts = counts_of(tmp_path / name)
        assert counts["removed"] == sum(map(len, gone.values()))
        assert (counts["edited"], counts["dropped"]) == (len(gone) - len(texts) + len(left), len(texts) - len(left))
        assert counts["second_round"] == (most < 1)
        everything = [line for text in texts.values() for line in text.split("\n") if line.strip()]
        once = sum(everything.count(line) == 1 for line in everything)
        assert counts["paragraphs"] == len(everything)
        if bloom is None:
            assert (counts["compared"], counts["compared_for_nothing"]) == (len(everything), once)
        else:
            assert counts["compared"] == len(everything) - once + counts["compared_for_nothing"]
        partitions = [step for step, _ in journal(tmp_path / name, "commit")].count("paragraph_keep")
        ranges[name] = paragraphs.slots(sum(len(text.encode()) for text in texts.values()), 1 << 20), partitions
    assert ranges == {"all": (2, 8), "sieved": (256, 4)}
    assert len(texts) > len(left) > 10
    assert len(gone) > 40


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"bloom": {"expected": 500, "rate": 0.01}, "max_removed": 0.5},
        {"unit": "paragraph", "normalise": "text", "min_words": 2, "share_of": "words", "max_removed": 0.3},
    ],
)
def test_it_is_what_the_function_in_memory_does(settings, run, tmp_path):
    records = made(seed=1)
    run(recipe(dedup_inputs.write(tmp_path / "in", records, 4), tmp_path / "run", settings))
    keys = keys_of(tmp_path / "run")
    words = np.frombuffer(b"".join(keys[r["id"]] for r in records), ">u8").reshape(-1, 2).astype(np.uint64)
    texts = pa.array([r["text"] for r in records], pa.large_string())
    batch = pa.RecordBatch.from_arrays([words_to_keys(words), texts], ["key", "text"])
    options = ParagraphSettings(**settings)
    found = deduplicate([batch], options, survivor_rank)
    (made_of,) = found.edits
    left, rows = texts_of(tmp_path / "run"), rows_of(tmp_path / "run")
    assert len(rows) > 30
    for i, record in enumerate(records):
        mine = made_of.rows == i
        data = record["text"].encode()
        for start, end in sorted(zip(made_of.starts[mine], made_of.ends[mine], strict=True), reverse=True):
            data = data[:start] + data[end:]
        assert left.get(record["id"]) == (None if made_of.drop[i] else data.decode())
        told = ("drop" if made_of.drop[i] else "edit", made_of.share[i], options.max_removed)
        expected = (*told, json.loads(made_of.details[i])) if made_of.removed[i] else None
        assert rows.get(record["id"]) == expected
    counts = counts_of(tmp_path / "run")
    assert counts["removed"] == made_of.removed.sum()
    assert (counts["paragraphs"], counts["compared"]) == (found.paragraphs, found.compared)
    assert counts["compared_for_nothing"] == found.compared_for_nothing
    if options.bloom is not None:
        told = counts["bloom"]
        assert told["asked_rate"] == 0.01
        assert found.false_positive_rate < told["false_positive_rate"] + 0.02
        assert told["hashes"] == counts["paragraphs"]
        assert told["bytes"] > 0


def test_only_documents_that_are_left_have_a_claim(run, tmp_path):
    """What the steps before dropped neither keeps a line from others nor loses one; later ones see the cut text."""
    records = made(seed=2)
    folder = dedup_inputs.write(tmp_path / "in", records, 3)
    run(recipe(folder, tmp_path / "run", LOOSE, exact={}, minhash={"threshold": 0.5}))
    ledger = dedup_inputs.ledger(tmp_path / "run")
    before = {row["id"] for row in ledger if row["rule"] in ("exact_duplicate", "near_duplicate")}
    texts = {record["id"]: record["text"] for record in records if record["id"] not in before}
    left, gone = by_strings(texts, keys_of(tmp_path / "run"), 1.0)
    assert texts_of(tmp_path / "run") == left
    assert rows_of(tmp_path / "run").keys() == gone.keys()
    assert len(before) >= 9


def test_nothing_to_compare(run, tmp_path):
    """No paragraph long enough in one run, no document left for the step in the other."""
    folder = dedup_inputs.write(tmp_path / "in", [{"id": "a", "text": "short"}, {"id": "b", "text": "short"}])
    run(recipe(folder, tmp_path / "short", {"bloom": {"expected": 1}, "max_removed": 0.5}))
    assert texts_of(tmp_path / "short") == {"a": "short", "b": "short"}
    assert counts_of(tmp_path / "short")["paragraphs"] == 0
    assert not counts_of(tmp_path / "short")["second_round"]
    value = recipe(folder, tmp_path / "none", {})
    run(value | {"quality": {"gopher_quality": {"min_words": 2}}})
    assert texts_of(tmp_path / "none") == {}


# -- nothing else matters ---------------------------------------------------------------------------------------------


def test_neither_files_nor_workers_matter(run, tmp_path):
    records = made(seed=3)
    settings = {"min_characters": 5, "max_removed": 0.6}
    run(recipe(dedup_inputs.write(tmp_path / "a", records, 2), tmp_path / "run", settings))
    expected = results(tmp_path / "run")
    assert len(expected["edits"]) > 30
    random.Random(1).shuffle(records)
    folder = dedup_inputs.write(tmp_path / "b", records, 5)
    filtered = settings | {"bloom": {"expected": 400, "rate": 0.05}}
    for name, value, workers in (("two", settings, 2), ("sieved", filtered, 1)):
        run(recipe(folder, tmp_path / name, value, memory_bytes=1 << 20), workers=workers)
        assert difference(results(tmp_path / name), expected) == ""


# -- killed -----------------------------------------------------------------------------------------------------------

DRILL = {"bloom": {"expected": 400, "rate": 0.05}, "max_removed": 0.6, "min_characters": 5}


@pytest.fixture(scope="module")
def drill(tmp_path_factory):
    """(folder -> recipe, the undisturbed run)."""
    folder = dedup_inputs.write(tmp_path_factory.mktemp("drill") / "in", made(60, seed=4), 3)

    def value(place: Path) -> dict[str, Any]:
        return recipe(folder, place / "run", DRILL)

    whole = value(tmp_path_factory.mktemp("whole"))
    assert forked(whole) == 0, log_of(whole)
    run = Path(whole["output"])
    assert {step for step, _ in journal(run, "commit")} >= set(STEPS)
    return value, run


def test_killed_in_every_step(drill, tmp_path):
    """One run that dies in each of the steps, at one point or another, and goes on."""
    recipe_in, whole = drill
    value, points = recipe_in(tmp_path), ("written", "renamed", "manifest", "committed")
    for number, step in enumerate(STEPS):
        point = f"{step}:{points[number % len(points)]}:1"
        assert forked(value, point) == KILLED, f"{point} was not reached: {log_of(value)}"
    assert forked(value) == 0, log_of(value)
    assert every_file(Path(value["output"])) == every_file(whole)


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS)
def test_killed_at_every_point(step, drill, tmp_path):
    recipe_in, whole = drill
    manifests = [json.loads(path.read_text()) for path in (whole / "work" / "manifests" / step).iterdir()]
    times = dict.fromkeys(("open", "written", "renamed"), sum(len(manifest["files"]) for manifest in manifests))
    times |= dict.fromkeys(("manifest_written", "committed"), len(manifests))
    times["manifest"] = len(manifests) + 1  # the step's own file
    for number, point in enumerate(f"{step}:{name}:{n}" for name, most in times.items() for n in {1, most}):
        value = recipe_in(tmp_path / str(number))
        assert forked(value, point) == KILLED, f"{point} was not reached: {log_of(value)}"
        assert forked(value) == 0, log_of(value)
        assert every_file(Path(value["output"])) == every_file(whole)
