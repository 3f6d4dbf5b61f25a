"""The same decisions, texts and tokens for any layout of the input, any number of workers, any hash seed, any passes.

One axis is changed at a time against one undisturbed run; where the layout of the input stays, every byte does.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

import pytest
import road_inputs
import yaml
from road_engines import gristmill
from road_results import difference, files, results

# -- the comparison means something ----------------------------------------------------------------------------------


def test_everything_happens_in_the_input(undisturbed, expected):
    """Every rule and kind of personal data is hit, both deduplications find clusters, and tokens come out."""
    from gristmill.filters.quality.gopher import GopherQuality, GopherRepetition

    rules = Counter((row[1], row[2]) for row in expected["terminal"])
    for family in (GopherRepetition, GopherQuality):
        for check in family(family.Settings()).checks():
            if check.rule != "gopher_min_characters":  # what is empty has no language, and is dropped before
                assert rules["quality", check.rule] > 0, check.rule
    for rule in ("utf8", "json", "schema", "too_large", "truncated"):
        assert rules["read", rule] > 0, rule
    for name in (("language", "language"), ("language", "language_score"), ("corpus", "min_characters")):
        assert rules[name] > 0, name
    assert rules["dedup", "exact_duplicate"] >= 40
    assert rules["dedup", "near_duplicate"] >= road_inputs.BOILERPLATE + 20
    edits = Counter(row[2] for row in expected["edits"])
    kinds = ("email_address", "phone_number", "credit_card", "ip_address", "iban_code", "us_ssn")
    assert edits.keys() >= set(kinds)

    assert rules["corpus", "kept"] == len(expected["documents"]) > 150
    assert len(expected["tokens of train"]) + len(expected["tokens of validation"]) == len(expected["documents"])
    assert sum(len(tokens) for _, tokens in expected["tokens of train"]) > 50_000
    assert len(list((undisturbed / "tokens").glob("train-*.arrow"))) > 1
    languages = json.loads((undisturbed / "run.json").read_text())["counts"]["languages"]
    assert len(languages.keys() & {"en", "de", "fr", "es", "it"}) == 5

    clusters = Counter(row[0] for row in expected["clusters"])
    assert clusters.most_common(1)[0][1] >= road_inputs.BOILERPLATE - 1
    assert sum(2 <= n < 10 for n in clusters.values()) >= 3, "clusters of three and more"
    measured = [row[3] for row in expected["pairs"]]
    assert min(measured) < 0.8 <= max(measured), "candidates on both sides of the threshold"


def test_every_record_has_one_terminal_row(undisturbed, expected, lines):
    """As many as a reader of lines counts: all lines but the blank one, the pages, and of the cut file what is left."""
    import zlib

    folder = Path(json.loads((undisturbed / "run.json").read_text())["recipe"]["input"]["paths"][0])
    read = sum(len(path.read_bytes().splitlines()) for path in folder.glob("part-*.jsonl"))
    assert read == len(lines)
    left = zlib.decompressobj(31).decompress((folder / "cut.jsonl.gz").read_bytes()).count(b"\n") + 1
    pages = 1  # one response in cc-whirlwind.warc.gz
    assert len(expected["terminal"]) == read - 1 + left + pages


# -- layouts of the input --------------------------------------------------------------------------------------------


def renamed(folder, lines, good, shared_data):
    """Other names, so another order of the units."""
    road_inputs.write_lines(folder / "z" / "deep", road_inputs.cut(lines, 3)[:1], "last.{}.json".format)
    road_inputs.write_lines(folder / "a", road_inputs.cut(lines, 3)[1:], "Datei ü {}.ndjson".format)
    road_inputs.beside(folder / "m", shared_data, "0-")


def shuffled_into_seven(folder, lines, good, shared_data):
    """Other files, and another order of the records over and in them."""
    road_inputs.write_lines(folder, road_inputs.cut(random.Random(11).sample(lines, len(lines)), 7))
    road_inputs.beside(folder, shared_data)


def one_file(folder, lines, good, shared_data):
    """All lines in one file, last first."""
    road_inputs.write_lines(folder, [lines[::-1]])
    road_inputs.beside(folder, shared_data)


def packed_gz(folder, lines, good, shared_data):
    """Packed with gzip."""
    road_inputs.write_lines(folder, road_inputs.cut(lines, 2), "part-{}.jsonl.gz".format)
    road_inputs.beside(folder, shared_data)


def packed_zst(folder, lines, good, shared_data):
    """Packed with zstd."""
    road_inputs.write_lines(folder, road_inputs.cut(lines, 2), "part-{}.jsonl.zst".format)
    road_inputs.beside(folder, shared_data)


def parquet(folder, lines, good, shared_data):
    """Good records as tables with the types that pyarrow infers, timestamps among them; damaged ones stay lines."""
    half = len(good) // 2
    road_inputs.write_parquet(folder, [good[:half], good[half:]])
    road_inputs.write_lines(folder, [road_inputs.DAMAGED])
    road_inputs.beside(folder, shared_data)


@pytest.mark.parametrize("layout", [renamed, shuffled_into_seven, one_file, packed_gz, packed_zst, parquet])
def test_layout_of_the_input(layout, lines, good_records, shared_data, expected, run, tmp_path):
    layout(tmp_path / "in", lines, good_records, shared_data)
    run(road_inputs.recipe([tmp_path / "in"], tmp_path / "run"))
    assert difference(expected, results(tmp_path / "run")) == ""


def test_parquet_has_types_that_json_lacks(good_records, tmp_path):
    """The layout above is no formality: pyarrow made timestamps, structs and doubles of the fields."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    road_inputs.write_parquet(tmp_path, [good_records])
    schema = pq.read_schema(tmp_path / "table-0.parquet")
    assert pa.types.is_timestamp(schema.field("date").type)
    assert pa.types.is_timestamp(schema.field("fetched").type)
    assert pa.types.is_struct(schema.field("meta").type.field("by").type)
    assert pa.types.is_floating(schema.field("weight").type)
    assert pq.read_metadata(tmp_path / "table-0.parquet").num_row_groups > 3


# -- ways of running -------------------------------------------------------------------------------------------------


def test_passes_and_partitions(plain_input, expected, undisturbed, run, tmp_path):
    """With the least memory, several passes of the shuffle and several partitions to verify; the same pairs."""
    value = road_inputs.recipe(
        [plain_input], tmp_path / "run", dedup={"minhash": road_inputs.NEAR, "memory_bytes": 1 << 20}
    )
    run(value)
    assert difference(expected, results(tmp_path / "run")) == ""
    for step in ("candidates", "verify"):
        units = [len(list((root / "work" / "manifests" / step).iterdir())) for root in (undisturbed, tmp_path / "run")]
        assert units[0] == 1 < units[1], step


def test_replayed_bundles(plain_input, undisturbed, expected, run, tmp_path, monkeypatch):
    """The runner does every bundle twice: each unit is asked for again after it was committed."""
    from gristmill.pipelines.beam import engine

    asked: Counter[tuple[str, str]] = Counter()

    def committed(unit, real=engine.committed):
        asked[unit.manifest_path.name, unit.step] += 1
        return real(unit)

    monkeypatch.setattr(engine, "committed", committed)
    monkeypatch.setenv("GRISTMILL_BEAM_OPTIONS", "--direct_runner_bundle_repeat=1")
    run(road_inputs.recipe([plain_input], tmp_path / "run"))
    assert all(times >= 2 for (_, step), times in asked.items() if step not in ("exact", "candidates"))
    assert difference(expected, results(tmp_path / "run")) == ""
    assert files(tmp_path / "run") == files(undisturbed)


def test_sample_and_all_that_was_rejected(plain_input, lines, good_records, shared_data, run, tmp_path):
    """A sample is drawn by key, so it is the same of any layout; so is all the rejected text."""
    shuffled_into_seven(tmp_path / "in", lines, good_records, shared_data)
    for folder, name in ((plain_input, "a"), (tmp_path / "in", "b")):
        run(road_inputs.recipe([folder], tmp_path / name, rejected="all"), sample=0.6)
    found = results(tmp_path / "a")
    dropped = [row for row in found["terminal"] if row[3] == "drop" and row[1] != "read"]
    assert len(found["rejected"]) == len(dropped) > 50
    assert 150 < len(found["terminal"]) < 0.75 * len(lines)
    assert difference(found, results(tmp_path / "b")) == ""


@pytest.mark.parametrize(("workers", "hash_seed"), [(1, "1"), (2, "4242")])
def test_workers_and_hash_seeds(workers, hash_seed, plain_input, undisturbed, expected, tmp_path):
    """The command itself, in processes of its own: not only what is decided is the same, every byte is."""
    value = road_inputs.recipe([plain_input], tmp_path / "run")
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(value, sort_keys=False))
    done = gristmill("run", "recipe.yaml", "--workers", str(workers), cwd=tmp_path, PYTHONHASHSEED=hash_seed)
    assert done.returncode == 0, done.stderr
    assert difference(expected, results(tmp_path / "run")) == ""
    found, wanted = files(tmp_path / "run"), files(undisturbed)
    assert found.keys() == wanted.keys()
    assert [name for name in wanted if found[name] != wanted[name]] == []
