"""The public transforms in a user's own pipeline give what `gristmill run` gives, for any bundles and batches."""

from __future__ import annotations

import json
import re
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import road_engines
import road_inputs
import yaml
from apache_beam.options.pipeline_options import PipelineOptions
from road_results import TERMINAL, difference, results, token_rows

README = road_engines.ROOT / "README.md"
IN_MEMORY = ["--direct_running_mode=in_memory"]
THREADS = ["--direct_running_mode=multi_threading", "--direct_num_workers=3"]


@pytest.fixture(scope="module")
def recipe_value(undisturbed, plain_input, tmp_path_factory) -> dict:
    """The recipe that the transforms' parameters amount to, with the tokeniser of the undisturbed run."""
    value = road_inputs.recipe([plain_input], tmp_path_factory.mktemp("same") / "run")
    return value | {
        "tokenizer": {"path": str(undisturbed / "tokens" / "tokenizer.json")},
        "corpus": {"min_characters": 1},
    }


@pytest.fixture(scope="module")
def same(recipe_value, run) -> dict:
    """What `gristmill run` gives for it, in the shape that `_results` gives."""
    run(recipe_value)
    found = results(Path(recipe_value["output"]))
    return {
        "documents": found["documents"],
        "terminal": [row for row in found["terminal"] if row[3] == "drop"],
        "edits": found["edits"],
        "train": found["tokens of train"],
        "validation": found["tokens of validation"],
    }


def _results(folder: Path) -> dict:
    """Documents, account and tokens that a pipeline of `_go` left."""
    names = [*TERMINAL, "source", "record"]
    rows = {
        tuple(v.hex() if isinstance(v, bytes) else v for v in row)
        for path in (folder / "ledger").glob("*.parquet")
        for row in zip(*(pq.read_table(path, columns=names)[c].to_pylist() for c in names), strict=True)
    }
    account = sorted((row[: len(TERMINAL)] for row in rows), key=repr)
    documents = []
    for path in (folder / "documents").iterdir():
        with pa.ipc.open_stream(path) as reader:
            table = reader.read_all()
        documents += zip((key.hex() for key in table["key"].to_pylist()), table["text"].to_pylist(), strict=True)
    return {
        "documents": sorted(documents),
        "terminal": [row for row in account if row[3] == "drop"],
        "edits": [row for row in account if row[3] == "edit"],
        **token_rows(folder / "tokens"),
    }


def _recipe(value: dict):
    from gristmill.config import validate
    from gristmill.pipelines.recipe import Recipe

    return validate(Recipe, value, "test")


def _go(folder: Path, value: dict, options: list[str], begin: beam.PTransform | None = None) -> dict:
    """The pipeline of the docstring of beam/transforms.py; `begin` instead of its reader."""
    from gristmill.pipelines.beam.engine import pipeline
    from gristmill.pipelines.beam.transforms import CleanDocuments, Deduplicate, ReadDocuments, WriteTokens

    ledger, recipe = str(folder / "ledger"), _recipe(value)
    read = ReadDocuments(recipe.input.paths, max_record_bytes=recipe.input.max_record_bytes, ledger=ledger)
    p = pipeline("local", options)
    survivors = (
        p
        | (begin or read)
        | "probe" >> beam.ParDo(road_engines.Probe()).with_output_types(pa.RecordBatch)
        | CleanDocuments(recipe, ledger=ledger)
        | Deduplicate(str(folder / "work"), minhash=recipe.dedup.minhash, ledger=ledger)
    )
    survivors | "keep" >> beam.Map(road_engines.keep, str(folder / "documents"))
    survivors | WriteTokens(str(folder / "tokens"), recipe.tokenizer.path, shards=3, validation=0.1)
    assert road_engines.complaints(p) == []
    road_engines.bundles.clear()
    p.run().wait_until_finish()
    return _results(folder)


@pytest.mark.parametrize(
    "options",
    [IN_MEMORY, [*IN_MEMORY, "--direct_runner_bundle_repeat=1"], THREADS],
    ids=["in memory", "bundles twice", "threads"],
)
def test_the_same_as_a_run(options, recipe_value, same, tmp_path):
    found = _go(tmp_path, recipe_value, options)
    assert difference(same, found) == ""
    assert len(road_engines.bundles) >= (3 if options == THREADS else 1)


def test_the_pipeline_of_the_readme(recipe_value, same, plain_input, tmp_path):
    """The lines of the README as they stand there, but for the names of files: what it says is what one gets."""
    block = next(code for code in re.findall(r"```python\n(.*?)```", README.read_text(), re.S) if "Deduplicate" in code)
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe_value, sort_keys=False))
    for name, path in {
        "recipe.yaml": tmp_path / "recipe.yaml",
        "crawl/*.warc.gz": f"{plain_input}/*",
        "/shared/": f"{tmp_path}/",
        "tokenizer.json": recipe_value["tokenizer"]["path"],
    }.items():
        assert f'"{name}' in block, name
        block = block.replace(f'"{name}', f'"{path}')
    options = PipelineOptions(["--runner=FnApiRunner", *THREADS])
    exec(compile(block, "README.md", "exec"), {"options": options})
    found = token_rows(tmp_path / "tokens")
    rows = [sorted(tokens["train"] + tokens["validation"]) for tokens in (same, found)]
    assert rows[0] == rows[1], "the split differs, and nothing else"
    account = [row for path in (tmp_path / "ledger").iterdir() for row in pq.read_table(path).to_pylist()]
    near = {(row["key"].hex(), row["value"]) for row in account if row["rule"] == "near_duplicate"}
    assert near == {(row[0], row[4]) for row in same["terminal"] if row[2] == "near_duplicate"}


def test_the_tokens_are_a_corpus(recipe_value, same, tmp_path):
    """What WriteTokens leaves passes `gristmill tokens verify`, whatever was in the folder before."""
    from gristmill.tokenize.manifest import Manifest, verify

    _go(tmp_path, recipe_value, IN_MEMORY)
    assert verify(tmp_path / "tokens") == []
    rows = sum(shard.rows for _, shard in Manifest.read(tmp_path / "tokens").shards())
    assert rows == len(same["documents"])
    assert difference(same, _go(tmp_path, recipe_value, THREADS)) == "", "a second time into the same folders"


@pytest.mark.parametrize("cut", [7, 100_000], ids=["small batches", "one batch of more rows than a file"])
def test_other_cuts(cut, recipe_value, same, tmp_path, monkeypatch):
    """Batches of a user's own, in another order: first in one place, then shuffled to three workers."""
    from gristmill.pipelines.beam import transforms
    from gristmill.pipelines.readers import inputs

    if cut > 1000:
        monkeypatch.setattr(transforms, "ROWS", 64)
    options = {"text_field": "text", "id_field": "id", "max_record_bytes": road_inputs.MAX_RECORD_BYTES}
    units = inputs.units(recipe_value["input"]["paths"], None, options)
    table = pa.Table.from_batches([part.batch for unit in units for part in inputs.read(unit)]).combine_chunks()
    table = table.take(pa.array(range(len(table) - 1, -1, -1)))
    batches = table.combine_chunks().to_batches(cut)
    found = _go(tmp_path, recipe_value, THREADS, begin=road_engines.Batches(batches))
    kept = [row for row in same["terminal"] if row[1] != "read"]
    assert difference(same | {"terminal": kept}, found) == ""
    assert len(road_engines.bundles) >= 3


def test_a_batch_that_comes_twice_counts_once(recipe_value, tmp_path):
    """Also where documents name no source, so that the two are the same in every byte."""
    from gristmill.document import DOCUMENT, make_key
    from gristmill.pipelines.beam.engine import pipeline
    from gristmill.pipelines.beam.transforms import Deduplicate

    texts = [f"{number} mills grind the grain of {number} farms beside the river" for number in range(20)] * 2
    columns = {"text": texts, "key": [make_key(None, text, {}) for text in texts], "id": texts, "metadata": ["{}"] * 40}
    arrays = [pa.array(columns.get(f.name, [None] * 40), f.type) for f in DOCUMENT]
    batch = pa.RecordBatch.from_arrays(arrays, schema=DOCUMENT)
    p = pipeline("local", THREADS)
    survivors = p | road_engines.Batches([batch, batch]) | Deduplicate(str(tmp_path / "work"))
    survivors | beam.Map(road_engines.keep, str(tmp_path / "documents"))
    p.run().wait_until_finish()
    kept = []
    for path in (tmp_path / "documents").iterdir():
        with pa.ipc.open_stream(path) as reader:
            kept += reader.read_all()["text"].to_pylist()
    assert sorted(kept) == sorted(set(texts))


def test_without_exact_or_near(recipe_value, same, tmp_path):
    """Each half of Deduplicate on its own, and neither."""
    from gristmill.dedup.settings import ExactSettings, MinHashSettings
    from gristmill.pipelines.beam.engine import pipeline
    from gristmill.pipelines.beam.transforms import CleanDocuments, Deduplicate, ReadDocuments

    recipe = _recipe(recipe_value)
    kept = {}
    for exact in (None, ExactSettings()):
        for minhash in (None, MinHashSettings(**road_inputs.NEAR)):
            folder = tmp_path / f"{exact is None}-{minhash is None}"
            p = pipeline("local", IN_MEMORY)
            read = ReadDocuments(recipe.input.paths, max_record_bytes=recipe.input.max_record_bytes)
            survivors = (
                p | read | CleanDocuments(recipe) | Deduplicate(str(folder / "work"), exact=exact, minhash=minhash)
            )
            survivors | beam.Map(road_engines.keep, str(folder / "documents"))
            p.run().wait_until_finish()
            paths = (folder / "documents").iterdir()
            kept[exact is None, minhash is None] = sum(len(pa.ipc.open_stream(path).read_all()) for path in paths)
    dropped = {rule: sum(row[2] == rule for row in same["terminal"]) for rule in ("exact_duplicate", "near_duplicate")}
    whole = len(same["documents"]) + sum(dropped.values())
    assert kept[False, False] == len(same["documents"])
    assert kept[False, True] == len(same["documents"]) + dropped["near_duplicate"]
    assert kept[True, True] == whole
    assert kept[True, False] == len(same["documents"]), "equal texts are near as well"


def test_damaged_ids_are_scrubbed(tmp_path):
    """The reader knows no recipe; its account holds no address all the same."""
    from gristmill.pipelines.beam.engine import pipeline
    from gristmill.pipelines.beam.transforms import ReadDocuments

    head = b"WARC/1.0\r\nWARC-Type: response\r\nWARC-Record-ID: <urn:jane.doe@example.org>\r\n"
    head += b"WARC-Target-URI: http://example.org/\r\nContent-Type: application/http; msgtype=response\r\n"
    body = b"HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nno"
    path = tmp_path / "one.warc"
    path.write_bytes(head + f"Content-Length: {len(body)}\r\n\r\n".encode() + body + b"\r\n\r\n")
    p = pipeline("local", IN_MEMORY)
    p | ReadDocuments([str(path)], ledger=str(tmp_path / "ledger"))
    p.run().wait_until_finish()
    rows = [row for file in (tmp_path / "ledger").iterdir() for row in pq.read_table(file).to_pylist()]
    assert [row["rule"] for row in rows] == ["http_status"]
    assert "jane.doe" not in json.dumps(rows, default=str)
    assert "<EMAIL>" in rows[0]["id"] or "EMAIL" in rows[0]["id"]
