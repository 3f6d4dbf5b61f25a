"""`gristmill plan`: from a sample, what a full run then finds."""

from __future__ import annotations

import json
import random
import tempfile
from dataclasses import replace
from pathlib import Path

import dedup_inputs
import pytest
import yaml
from gristmill.__main__ import app
from gristmill.config import validate
from gristmill.console import RequestError
from gristmill.pipelines import driver, phases, plan
from gristmill.pipelines.recipe import Recipe
from typer.testing import CliRunner

OFF = ("extract", "language", "quality", "scrub", "tokenizer")
ENTRY = 48  # bytes of a hash of 16, a rank, a key and a handle
FOLDERS = ("dedup/index", "ledger", "signals")
SHORT = {"gopher_quality": {"min_words": 50}}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    """3,000 documents: copies, edits of others, a text with a number in it that 200 have, and some too short."""
    draw, made = random.Random(9), []
    notice = dedup_inputs.text(draw, 90)
    for i in range(3000):
        kind = draw.random()
        if i % 15 == 0:
            made.append(f"{notice} page {i}")
        elif made and kind < 0.12:
            made.append(draw.choice(made))
        elif made and kind < 0.4:
            made.append(dedup_inputs.edited(draw.choice(made), draw, draw.choice((1, 2, 3, 4))))
        else:
            made.append(dedup_inputs.text(draw, 40 if kind > 0.9 else 80))
    records = [{"id": f"d{i}", "text": text, "url": f"https://a.example/{i}"} for i, text in enumerate(made)]
    return dedup_inputs.write(tmp_path_factory.mktemp("plan"), records, files=3)


def recipe(corpus: Path, output: Path, seed: int = 0, **more) -> Recipe:
    dedup = {"index": True, "memory_bytes": 1 << 20, "minhash": {"bands": 20, "rows": 5}}
    return validate(Recipe, {**dedup_inputs.recipe([corpus], output, **dedup), "seed": seed, **more}, "test")


@pytest.fixture(scope="module")
def truth(corpus, tmp_path_factory) -> dict:
    """What a full run finds, and the bytes that cross each of its shuffles."""
    crossed: dict[str, int] = {}
    passes: dict[str, set[str]] = {}

    def counted(real):
        def map_(unit, number):
            passes.setdefault(unit.step, set()).add(unit.name)
            for block, data in real(unit, number):
                crossed[unit.step] = crossed.get(unit.step, 0) + len(data)
                yield block, data

        return map_

    with pytest.MonkeyPatch.context() as patch:
        for name, step in phases.STEPS.items():
            if step.shuffles:
                patch.setitem(phases.STEPS, name, replace(step, map=counted(step.map)))
        facts = driver.run(recipe(corpus, tmp_path_factory.mktemp("truth") / "run"))
    return {**facts["counts"], "crossed": crossed, "passes": passes, "files": facts["files"]}


def holds(estimate, number: float) -> bool:
    return estimate.low <= number <= estimate.high


def test_of_all_records_nothing_is_estimated(corpus, truth, tmp_path):
    found = plan.predict(recipe(corpus, tmp_path / "run"), 1.0)
    counts, near = truth["dedup"], truth["dedup"]["minhash"]
    assert (found.records, found.read_bytes) == (truth["records"], truth["read_bytes"])
    assert found.kept.low == found.kept.value == found.kept.high == counts["exact"]["compared"]
    assert round(found.compared.value) == counts["exact"]["compared"] - counts["exact"]["dropped"]
    assert {step: round(s.bytes.value) for step, s in found.shuffles.items()} == truth["crossed"]
    assert {step: s.passes for step, s in found.shuffles.items()} == {k: len(v) for k, v in truth["passes"].items()}
    assert round(found.pairs.pairs.value) == near["pairs"]
    assert (found.pairs.hot_buckets, found.pairs.largest.value) == (near["large_buckets"], near["largest_bucket"])


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_from_a_sample(seed, corpus, truth, tmp_path):
    found = plan.predict(recipe(corpus, tmp_path / "run", seed), 0.25)
    counts, near = truth["dedup"], truth["dedup"]["minhash"]
    assert 0.2 * found.records < found.sampled < 0.3 * found.records
    assert (found.records, found.read_bytes) == (truth["records"], truth["read_bytes"])
    assert holds(found.kept, counts["exact"]["compared"])
    assert holds(found.compared, counts["exact"]["compared"] - counts["exact"]["dropped"])
    for step, size in truth["crossed"].items():
        assert found.shuffles[step].bytes.value == pytest.approx(size, rel=0.1)
        assert holds(found.shuffles[step].bytes, size)
    assert near["pairs"] > 1000
    assert found.pairs.enough
    assert holds(found.pairs.pairs, near["pairs"])
    assert found.pairs.pairs.high < 3 * found.pairs.pairs.low
    assert holds(found.pairs.largest, near["largest_bucket"])
    assert found.pairs.hot_buckets > 0
    assert found.pairs.hot_documents == pytest.approx(200, rel=0.5)
    size = {name: sum(f["bytes"] for n, f in truth["files"].items() if n.startswith(name)) for name in FOLDERS}
    for name, of_run in zip(("index", "ledger", "signals"), FOLDERS, strict=True):
        assert found.disk[name] == pytest.approx(size[of_run], rel=0.5)
    assert found.disk["index"] == pytest.approx(size["dedup/index"], rel=0.1)


def test_filters_count(corpus, tmp_path):
    """Documents that a rule drops take part in nothing."""
    whole = plan.predict(recipe(corpus, tmp_path / "run", quality=SHORT), 1.0)
    found = plan.predict(recipe(corpus, tmp_path / "run", seed=4, quality=SHORT), 0.25)
    assert whole.kept.value < 0.97 * whole.records
    assert holds(found.kept, whole.kept.value)
    assert found.kept.high < found.records


def test_equal_addresses_and_a_sieve(corpus, tmp_path):
    """Each document has an address of its own; of texts only those that occur again pass the sieve, copies included."""
    dedup = {"url": {}, "exact": {"bloom": {"expected": 5000}}, "minhash": None}
    found = plan.predict(recipe(corpus, tmp_path / "run", dedup=dedup), 1.0)
    texts = [json.loads(line)["text"] for path in corpus.iterdir() for line in path.read_text().splitlines()]
    assert found.shuffles["urls"].bytes.value == ENTRY * len(texts)
    assert round(found.shuffles["exact"].bytes.value) == ENTRY * sum(texts.count(text) > 1 for text in texts)
    assert "candidates" not in found.shuffles
    assert found.pairs is None


def test_documents_of_earlier_runs_cross_too(corpus, truth, tmp_path, run):
    old = recipe(corpus, tmp_path / "old")
    run(old.model_dump(mode="json"))
    value = old.model_dump(mode="json") | {"output": str(tmp_path / "new")}
    value["dedup"] |= {"against": [str(tmp_path / "old")], "index": False}
    found = plan.predict(validate(Recipe, json.loads(json.dumps(value)), "test"), 1.0)
    assert found.shuffles["exact"].bytes.value == 2 * truth["crossed"]["exact"]


def test_the_command(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    value = recipe(corpus, tmp_path / "run").model_dump(mode="json", exclude_defaults=True)
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(value | dict.fromkeys(OFF)))
    result = CliRunner().invoke(app, ["plan", str(tmp_path / "recipe.yaml"), "--sample", "1%"])
    assert result.exit_code == 0, result.output
    assert "records                  3,000," in result.stdout
    assert "too few to go by" in result.stdout
    assert "shuffle candidates" in result.stdout
    assert list((tmp_path / "tmp").iterdir()) == []
    assert not (tmp_path / "run").exists()


def test_no_document_is_sampled(tmp_path):
    """The intervals say that nothing is known."""
    corpus = dedup_inputs.write(tmp_path / "in", [{"text": "one text and no more"}], files=1)
    found = plan.predict(recipe(corpus, tmp_path / "run"), 1e-6)
    assert (found.sampled, found.records) == (0, 1)
    assert (found.kept.low, found.kept.high) == (0, 1)
    assert list(plan.lines(found))


def test_what_a_run_would_refuse(corpus, tmp_path):
    value = recipe(corpus, tmp_path / "run").model_dump(mode="json")
    value["dedup"]["keep"] = {"signal": "no_such"}
    with pytest.raises(RequestError, match=r"dedup\.keep\.signal: no_such"):
        plan.predict(validate(Recipe, json.loads(json.dumps(value)), "test"), 0.5)
