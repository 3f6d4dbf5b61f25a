"""Repeated passages in a run: cuts by brute force and in memory, the ledger, any layout, deaths in every step."""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import dedup_inputs
import numpy as np
import pyarrow as pa
import pytest
from gristmill.dedup.substring import remove_repeats
from gristmill.dedup.substring_settings import SubstringSettings
from gristmill.document import key_words, words_to_keys
from gristmill.pipelines.duplicates import passages
from road_drills import KILLED, forked, log_of
from road_results import difference, every_file, results

WORDS, BYTES = {"min_words": 20}, {"min_bytes": 90}
MEMORY = 1 << 20  # the least: several partitions, and pieces of a few documents


def made(count: int = 400, seed: int = 4) -> list[dict[str, Any]]:
    """Records of random words, most of which hold passages of others, or of themselves; in three scripts.

    One is larger than a piece.
    """
    draw, found = random.Random(seed), []

    def word(letters: tuple[int, int], ends: list[str]) -> str:
        return "".join(chr(draw.randrange(*letters)) for _ in range(draw.randrange(1, 9))) + draw.choice(ends)

    scripts = [
        ((0x61, 0x7B), [" ", " ", "\n", "\n\n"]),
        ((0x430, 0x450), [" ", "\u3000"]),
        ((0x3041, 0x3090), ["。", ""]),
    ]
    texts: list[list[str]] = []
    for i in range(count):
        words = [word(*scripts[i % 3]) for _ in range(4000 if i == 50 else draw.randrange(300))]
        for _ in range(draw.choice((0, 1, 2, 3)) if texts else 0):
            other = draw.choice([*texts[-30:], words])
            start, at = draw.randrange(len(other) + 1), draw.randrange(len(words) + 1)
            words[at:at] = other[start : start + draw.randrange(150)]
        if i % 5 == 0:
            words += [f"n{k} " for k in range(40)]
        if i % 20 == 19:  # nothing of its own
            words = max(texts, key=len)[10 : 60 + i // 4]
        texts.append(words)
        found.append({"id": f"d{i}", "text": "".join(words)})
    return found


def recipe(folder: Path, output: Path, chosen: dict[str, Any], **dedup: Any) -> dict[str, Any]:
    alone = {"exact": None, "minhash": None, "memory_bytes": MEMORY, "substring": chosen}
    return dedup_inputs.recipe([folder], output, **alone | dedup) | {"keep_work": True}


@pytest.fixture(scope="module")
def records() -> list[dict[str, Any]]:
    return made()


@pytest.fixture(scope="module")
def folder(records, tmp_path_factory) -> Path:
    return dedup_inputs.write(tmp_path_factory.mktemp("passages"), records, 3)


@pytest.fixture(scope="module", params=[WORDS, BYTES], ids=["words", "bytes"])
def done(request, folder, run, tmp_path_factory) -> tuple[dict[str, Any], Path, dict[str, Any]]:
    """(settings, run directory, run.json) for words and for bytes."""
    output = tmp_path_factory.mktemp("run") / "run"
    facts = run(recipe(folder, output, request.param))
    return request.param, output, facts


def texts_of(run: Path) -> dict[str, str]:
    """key -> text of documents/."""
    return dict(results(run)["documents"])


def keys_of(folder: Path, run, tmp_path: Path) -> dict[str, str]:
    """key -> text as read."""
    run(recipe(folder, tmp_path / "as-read", WORDS, substring=None))
    return texts_of(tmp_path / "as-read")


@pytest.fixture(scope="module")
def as_read(folder, run, tmp_path_factory) -> dict[str, str]:
    return keys_of(folder, run, tmp_path_factory.mktemp("keys"))


# -- against brute force and the library -----------------------------------------------------------------------------


def in_memory(texts: dict[str, str], chosen: dict[str, Any], ranks: dict[str, int]) -> dict[str, str]:
    """key -> what `remove_repeats` leaves, those of which something is left."""
    keys = words_to_keys(np.array([[int(k[:16], 16), int(k[16:], 16)] for k in texts], np.uint64).reshape(-1, 2))
    batch = pa.RecordBatch.from_arrays([pa.array(texts.values(), pa.large_string()), keys], ["text", "key"])
    assert [k.hex() for k in keys.to_pylist()] == [*texts]
    assert (key_words(keys)[:, 0] > 0).all()
    (cut,) = remove_repeats([batch], SubstringSettings(**chosen), [np.array([ranks[k] for k in texts])]).cuts
    left = {}
    for row, (key, text) in enumerate(texts.items()):
        data, mine = bytearray(text.encode()), cut.rows == row
        for start, end in sorted(zip(cut.starts[mine].tolist(), cut.ends[mine].tolist(), strict=True), reverse=True):
            del data[start:end]
        if data.decode().strip():
            left[key] = data.decode()
    return left


def brute_force(texts: dict[str, str], chosen: dict[str, Any]) -> tuple[dict[str, list], Counter[str]]:
    """(key -> the units that stay, units cut), every run of the length looked up among all before it."""
    length = chosen.get("min_words") or chosen["min_bytes"]
    first: dict[Any, tuple[str, int]] = {}
    left, gone = {}, Counter()
    for key in sorted(texts, key=lambda k: (-len(texts[k]), k)):
        units = texts[key].split() if "min_words" in chosen else texts[key].encode()
        covered = [False] * len(units)
        for i in range(len(units) - length + 1):
            run = units[i : i + length]
            where, at = first.setdefault(tuple(run) if isinstance(run, list) else run, (key, i))
            if where != key or i >= at + length:
                covered[i : i + length] = [True] * length
        left[key] = [unit for unit, cover in zip(units, covered, strict=True) if not cover]
        gone[key] = sum(covered)
    return left, gone


def test_the_cuts_are_those_of_brute_force(done, as_read):
    chosen, output, facts = done
    left, gone = brute_force(as_read, chosen)
    found = texts_of(output)
    if "min_words" in chosen:
        assert {k: text.split() for k, text in found.items()} == {k: units for k, units in left.items() if units}
    else:  # at most a character less at each end of a cut
        for key, units in left.items():
            assert 0 <= len(found.get(key, "").encode()) - len(units) <= 4 * gone[key] / chosen["min_bytes"]
    assert sum(n > 0 for n in gone.values()) > len(as_read) / 3
    assert found == in_memory(as_read, chosen, {k: -len(text) for k, text in as_read.items()})
    counts = facts["counts"]["dedup"]["substring"]
    assert counts["refused"] == 0
    assert counts["partitions"] > 1
    assert counts["dropped"] == len(as_read) - len(found) > 0
    assert counts["bytes"] >= sum(len(text.encode()) - len(found.get(k, "").encode()) for k, text in as_read.items())


def test_it_sees_what_the_steps_before_left(folder, records, run, tmp_path):
    """Copies, edited copies and repeated lines go first; passages are those of what stays of them."""
    more = [{"id": f"copy-{i}", "text": record["text"]} for i, record in enumerate(records[:40])]
    lines = [
        {"id": f"line-{i}", "text": f"a line that stands here and there\n{r['text']}"} for i, r in enumerate(records)
    ]
    source = dedup_inputs.write(tmp_path / "in", [*records, *more, *lines[100:160]], 4)
    before = {"exact": {"form": "text"}, "minhash": {"threshold": 0.8}, "paragraphs": {"min_characters": 30}}
    run(recipe(source, tmp_path / "before", WORDS, substring=None, **before))
    run(recipe(source, tmp_path / "with", WORDS, **before))
    run(recipe(source, tmp_path / "read", WORDS, substring=None))
    ranks = {k: -len(text) for k, text in texts_of(tmp_path / "read").items()}
    standing = texts_of(tmp_path / "before")
    rules = Counter(row[2] for row in (*results(tmp_path / "with")["terminal"], *results(tmp_path / "with")["edits"]))
    assert len(ranks) > len(standing)
    assert {"exact_duplicate", "near_duplicate", "repeated_paragraphs", "repeated_passages"} <= rules.keys()
    assert texts_of(tmp_path / "with") == in_memory(standing, WORDS, ranks) != standing


@pytest.mark.parametrize("chosen", [WORDS, BYTES], ids=["words", "bytes"])
def test_nothing_repeated_and_nothing_at_all(chosen, run, tmp_path):
    draw = random.Random(1)
    lone = [{"id": f"d{i}", "text": dedup_inputs.text(draw)} for i in range(30)] + [{"id": "e", "text": "x"}]
    facts = run(recipe(dedup_inputs.write(tmp_path / "lone", lone), tmp_path / "one", chosen))
    counts = facts["counts"]["dedup"]["substring"]
    assert counts["anchors"] > 30
    assert {counts[name] for name in ("windows", "claims", "refused", "edited", "dropped", "bytes")} == {0}
    assert counts["most_copied"] == []
    assert facts["counts"]["documents"] == 31
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "0.jsonl").write_text("no record\n")
    facts = run(recipe(tmp_path / "none", tmp_path / "two", chosen))
    assert (facts["counts"]["documents"], facts["counts"]["dedup"]["substring"]["anchors"]) == (0, 0)


def test_a_clash_of_hashes_cuts_nothing(run, tmp_path):
    """From 1,024 letters on a Thue-Morse text and its complement have one polynomial hash modulo 2^64."""
    first = "".join("ab"[bin(i).count("1") % 2] for i in range(1024))
    second = first.translate(str.maketrans("ab", "ba"))
    said = [{"id": f"d{i}", "text": text} for i, text in enumerate((first, second, "prose " * 300, "prose " * 300))]
    facts = run(recipe(dedup_inputs.write(tmp_path / "in", said), tmp_path / "run", {"min_bytes": 1024}))
    counts = facts["counts"]["dedup"]["substring"]
    assert (counts["refused"], counts["dropped"]) == (1, 1)
    assert sorted(texts_of(tmp_path / "run").values()) == sorted({first, second, "prose " * 300})


# -- the ledger and the report ---------------------------------------------------------------------------------------


def test_the_ledger_says_what_was_cut(done, as_read):
    chosen, output, facts = done
    found = texts_of(output)
    rows = [row for row in dedup_inputs.ledger(output) if row["rule"] == "repeated_passages"]
    cut = {row["key"].hex(): row for row in rows}
    assert len(cut) == len(rows) > 50
    assert {key for key, text in as_read.items() if found.get(key) != text} == cut.keys()
    for key, row in cut.items():
        before, removed = as_read[key].encode(), row["detail"]["bytes"]
        assert row["action"] == ("edit" if key in found else "drop")
        assert row["detail"].keys() == {"passages", "bytes", "kept"}
        assert row["value"] == removed / len(before)
        assert row["threshold"] is None
        if key in found:
            assert removed == len(before) - len(found[key].encode())
            assert stands_in(as_read[key], found[key], row["detail"], as_read[row["detail"]["kept"]], chosen)
        other = row["detail"]["kept"]
        assert (-len(as_read[other]), other) <= (-len(as_read[key]), key)
    counts = facts["counts"]["dedup"]["substring"]
    actions = Counter(row["action"] for row in rows)
    assert (counts["edited"], counts["dropped"]) == (actions["edit"], actions["drop"])
    assert counts["bytes"] == sum(row["detail"]["bytes"] for row in rows)
    terminal = Counter((row["source"], row["record"]) for row in dedup_inputs.ledger(output) if row["action"] != "edit")
    assert len(terminal) == len(as_read)
    assert set(terminal.values()) == {1}


def stands_in(before: str, after: str, detail: dict[str, Any], other: str, chosen: dict[str, Any]) -> bool:
    """Whether what was cut, where it is one passage, begins with what stands in another text."""
    if detail["passages"] > 1:
        return True
    if "min_words" not in chosen:
        before, after, other = before.encode(), after.encode(), other.encode()
        at = next((i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), len(after))
        return before[at : at + chosen["min_bytes"] - 8] in other
    one, left = before.split(), after.split()
    at = next((i for i, (a, b) in enumerate(zip(one, left, strict=False)) if a != b), len(left))
    return f" {' '.join(one[at : at + chosen['min_words'] - 1])} " in f" {' '.join(other.split())} "


def test_the_report_names_boilerplate_by_keys(done, as_read):
    """The notice of forty words is what is copied most."""
    chosen, _, facts = done
    copied = facts["counts"]["dedup"]["substring"]["most_copied"]
    assert copied == sorted(copied, key=lambda one: (-one[0], *one[1:]))
    copies, key, unit = copied[0]
    text = as_read[key]
    behind = text.split()[unit:] if "min_words" in chosen else text.encode()[unit:].decode(errors="ignore").split()
    assert "n39" in behind[:60]
    assert copies >= 30


# -- order -----------------------------------------------------------------------------------------------------------


def told(run: Path) -> dict[str, Any]:
    """What run.json says of the passages, but for how the work was divided."""
    counts = json.loads((run / "run.json").read_text())["counts"]["dedup"]["substring"]
    return {name: count for name, count in counts.items() if name != "partitions"}


def test_no_layout_and_no_memory_changes_what_stays(done, records, run, tmp_path, monkeypatch):
    chosen, output, _ = done
    shuffled = random.Random(9).sample(records, len(records))
    layouts = {
        "seven": (dedup_inputs.write(tmp_path / "seven", shuffled, 7), 64 << 20, 1),
        "two-workers": (dedup_inputs.write(tmp_path / "two", records[::-1], 2), MEMORY, 2),
    }
    for name, (source, memory, workers) in layouts.items():
        if workers == 1:  # others are not asked
            monkeypatch.setattr(passages, "ASKED_ROWS_BITS", 4)
            monkeypatch.setattr(passages, "PIECES", 2)
        run(recipe(source, tmp_path / f"run-{name}", chosen, memory_bytes=memory), workers=workers)
        assert difference(results(output), results(tmp_path / f"run-{name}")) == "", name
        assert told(output) == told(tmp_path / f"run-{name}"), name


# -- deaths ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def drilled(folder, tmp_path_factory) -> Path:
    """The undisturbed run of the drills, in words, by one process."""
    value = recipe(folder, tmp_path_factory.mktemp("drilled") / "run", WORDS)
    assert forked(value) == 0, log_of(value)
    return Path(value["output"])


def same(found: Path, wanted: Path) -> None:
    mine, theirs = every_file(found), every_file(wanted)
    assert mine.keys() == theirs.keys()
    assert [name for name in theirs if mine[name] != theirs[name]] == []


def test_killed_in_each_step(folder, drilled, tmp_path):
    """One run dies in every step, each time elsewhere in it; each time it goes on, and at last it is whole."""
    value = recipe(folder, tmp_path / "run", WORDS)
    points = ("open:1", "renamed:1", "manifest:2", "written:2", "committed:1", "manifest_written:2", "renamed:2")
    for step, point in zip(passages.READS, points, strict=True):
        assert forked(value, f"{step}:{point}") == KILLED, f"{step}:{point} was not reached: {log_of(value)}"
    assert forked(value) == 0, log_of(value)
    same(tmp_path / "run", drilled)


@pytest.mark.slow
@pytest.mark.parametrize("step", passages.READS)
def test_every_fail_point(step, folder, drilled, tmp_path):
    begun = recipe(folder, tmp_path / "begun" / "run", WORDS)
    assert forked(begun, f"{step}:open:1") == KILLED
    points = ("open:1", "open:2", "written:1", "renamed:1", "manifest:1", "manifest_written:2", "committed:1")
    for number, point in enumerate(points):
        value = recipe(folder, tmp_path / str(number) / "run", WORDS)
        shutil.copytree(begun["output"], value["output"])
        assert forked(value, f"{step}:{point}") == KILLED, f"{point} was not reached: {log_of(value)}"
        assert forked(value) == 0, log_of(value)
        same(Path(value["output"]), drilled)
