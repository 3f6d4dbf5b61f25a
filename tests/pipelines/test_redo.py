"""What a second run does again: what depends on a change and nothing else; and a change that was never finished.

Each test begins with a copy of a whole run that kept its work; the journal counts the units that were started.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from pathlib import Path

import pytest
import road_inputs
from road_drills import KILLED, STEPS, forked, log_of
from road_results import difference, every_file, files, results

AFTER_CORPUS = {"tokenizer", "encode", "shards"}
ALL = set(STEPS)


@pytest.fixture
def copied(plain_input, undisturbed, tmp_path):
    """The recipe of a copy of the undisturbed run, over a copy of its input that keeps the times of its files."""
    shutil.copytree(plain_input, tmp_path / "in")
    value = road_inputs.recipe([tmp_path / "in"], tmp_path / "run")
    shutil.copytree(undisturbed, tmp_path / "run")
    return value


@pytest.fixture
def again(run):
    """Run a recipe; which units that started, by step."""

    def go(value: dict, **options) -> Counter[str]:
        path = Path(value["output"], "work", "journal.jsonl")
        before = len(path.read_text().splitlines())
        run(value, **options)
        lines = [json.loads(line) for line in path.read_text().splitlines()[before:]]
        return Counter(step for event, step, *_ in lines if event == "start")

    return go


def test_nothing(copied, again, undisturbed):
    """A run that is whole does nothing, wherever it lies by now; and so where run.json alone is lost."""
    before = every_file(undisturbed)
    assert again(copied) == {}
    Path(copied["output"], "run.json").unlink()
    assert again(copied) == {}
    assert every_file(Path(copied["output"])) == before


CHANGES = {
    "dedup.minhash.threshold": ({"dedup": {"minhash": {"threshold": 0.95}}}, {"verify", "corpus", *AFTER_CORPUS}),
    # other permutations find the same duplicates here, so the tokens of what stays are there
    "dedup.minhash.seed": ({"dedup": {"minhash": road_inputs.NEAR | {"seed": 5}}}, ALL - {"encode", "shards"}),
    # and so with other passes and partitions
    "dedup.memory_bytes": (
        {"dedup": {"minhash": road_inputs.NEAR, "memory_bytes": 1 << 20}},
        ALL - {"documents", "exact", "encode", "shards"},
    ),
    "quality.min_words": ({"quality": road_inputs.quality(min_words=170)}, ALL),
    "corpus.min_characters": ({"corpus": {"min_characters": 1030}}, {"corpus", *AFTER_CORPUS}),
    "tokenizer.vocabulary": ({"tokenizer": {"vocabulary": 700, "sample_bytes": 200_000}}, AFTER_CORPUS),
    "tokens.validation": ({"tokens": {"shard_tokens": 30_000, "validation": 0.3}}, {"encode", "shards"}),
    "tokens.shard_tokens": ({"tokens": {"shard_tokens": 9_000, "validation": 0.1}}, {"shards"}),
    "no tokens": ({"tokenizer": None}, set()),
}


SLOW = {"dedup.minhash.seed", "dedup.memory_bytes", "tokenizer.vocabulary", "corpus.min_characters"}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in CHANGES]
)
def test_a_changed_setting(name, copied, again, run, tmp_path):
    """Steps that do not read it stay; the results are those of a new run, and nothing of the old settings is left."""
    change, steps = CHANGES[name]
    value = copied | change
    assert set(again(value)) == steps
    fresh = value | {"output": str(tmp_path / "fresh")}
    run(fresh)
    assert difference(results(tmp_path / "fresh"), results(tmp_path / "run")) == ""
    assert every_file(tmp_path / "run") == every_file(tmp_path / "fresh")


def test_a_file_added_removed_and_touched(copied, again, run, good_records, tmp_path):
    """Of the first pass only the unit of that file is done, though the numbers of the others change."""
    folder = tmp_path / "in"
    units = len(list(folder.iterdir()))

    def compare(name: str) -> None:
        run(copied | {"output": str(tmp_path / name)})
        assert every_file(tmp_path / "run") == every_file(tmp_path / name)

    extra = [record | {"text": record["text"].upper()} for record in good_records[:40]]
    road_inputs.write_lines(folder, [road_inputs.lines_of(extra + good_records[40:60])], "a-first-{}.jsonl".format)
    assert again(copied)["documents"] == 1
    compare("added")
    (folder / "part-1.jsonl").unlink()
    started = again(copied)
    assert started["documents"] == 0
    assert started["corpus"] == units
    compare("removed")
    os.utime(folder / "part-0.jsonl", ns=(0, 0))
    assert again(copied)["documents"] == 1
    compare("touched")


def test_a_result_lost(copied, again, undisturbed, tmp_path):
    """A file that run.json names is missing or cut: its unit is done again, to the same bytes."""
    run = tmp_path / "run"
    next((run / "documents").glob("*.parquet")).unlink()
    shard = next((run / "tokens").glob("train-*.arrow"))
    shard.write_bytes(shard.read_bytes()[:-8])
    assert again(copied) == {"corpus": 1, "shards": 1}
    assert every_file(run) == every_file(undisturbed)


def test_work_is_not_kept_unless_asked(copied, again, undisturbed, run, tmp_path):
    """Without keep_work a whole run holds no work/; a changed recipe then begins anew."""
    value = copied | {"keep_work": False}
    run(value)
    assert not (tmp_path / "run" / "work").exists()
    assert files(tmp_path / "run") == files(undisturbed)
    run(value | {"corpus": {"min_characters": 700}})
    run(value)
    assert not (tmp_path / "run" / "work").exists()
    assert files(tmp_path / "run") == files(undisturbed)


# -- A, then B killed, then A ----------------------------------------------------------------------------------------

OTHER = {  # where B dies -> what B changes, so that this step has other files to write
    "documents:renamed:3": {"quality": road_inputs.quality(min_words=60)},
    "exact:block:1": {"quality": road_inputs.quality(min_words=60)},
    "candidates:block:2": {"dedup": {"minhash": road_inputs.NEAR, "memory_bytes": 1 << 20}},
    "candidates:renamed:2": {"dedup": {"minhash": road_inputs.NEAR, "memory_bytes": 1 << 20}},
    "components:renamed:1": {"dedup": {"minhash": road_inputs.NEAR, "memory_bytes": 1 << 20}},
    "shingles:renamed:1": {"dedup": {"minhash": road_inputs.NEAR, "memory_bytes": 1 << 20}},
    "verify:renamed:2": {"dedup": {"minhash": {"threshold": 0.95}}},
    "corpus:renamed:2": {"corpus": {"min_characters": 700}},
    "tokenizer:renamed:1": {"tokenizer": {"vocabulary": 700, "sample_bytes": 200_000}},
    "encode:renamed:2": {"tokens": {"shard_tokens": 30_000, "validation": 0.3}},
    "shards:renamed:2": {"tokens": {"shard_tokens": 9_000, "validation": 0.1}},
    "shards:committed:1": {"tokens": {"shard_tokens": 9_000, "validation": 0.1}},
}


@pytest.fixture(scope="module")
def light(lines, tmp_path_factory):
    """A whole run without models to load, and its recipe: B is run by fork."""
    folder = tmp_path_factory.mktemp("light")
    road_inputs.write_lines(folder / "in", road_inputs.cut(lines, 4))
    value = road_inputs.recipe([folder / "in"], folder / "run", language=None, scrub=None)
    assert forked(value) == 0, log_of(value)
    return value


@pytest.mark.parametrize("point", OTHER)
def test_other_settings_killed_between_a_rename_and_its_manifest(point, light, tmp_path):
    """A again gives A's bytes and leaves nothing of B: B's files have names of their own."""
    whole = Path(light["output"])
    shutil.copytree(whole, tmp_path / "run")
    value = light | {"output": str(tmp_path / "run")}
    assert forked(value | OTHER[point], point) == KILLED, log_of(value)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["complete"] is False
    assert forked(value) == 0, log_of(value)
    assert every_file(tmp_path / "run") == every_file(whole)


def test_other_settings_killed_after_the_work_was_removed(light, tmp_path):
    """The same where A kept no work: what A left in documents/ is neither used nor mixed with B's."""
    shutil.copytree(Path(light["output"]), tmp_path / "run")
    value = light | {"output": str(tmp_path / "run"), "keep_work": False}
    assert forked(value) == 0, log_of(value)
    assert not (tmp_path / "run" / "work").exists()
    change = {"quality": road_inputs.quality(min_words=60)}
    for point in ("documents:renamed:3", "corpus:renamed:2", "shards:renamed:1"):
        assert forked(value | change, point) == KILLED, log_of(value)
    assert forked(value) == 0, log_of(value)
    assert files(tmp_path / "run") == files(Path(light["output"]))
