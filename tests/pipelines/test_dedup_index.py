"""The index: a new crawl against earlier ones, without their text."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import dedup_inputs
import pyarrow as pa
import pytest
from gristmill.console import RequestError
from road_drills import KILLED, forked, log_of
from road_results import difference, every_file, results

KINDS = {
    "star": {"minhash": {"large_cluster": 3}},
    "components": {"minhash": {"cluster": "components"}},
    "estimated": {"minhash": {"verify": "signatures", "permutations": 128}},
    "exact and url": {"minhash": None, "url": {}, "exact": {"form": "text"}},
    "everything": {"minhash": {"threshold": 0.6, "bands": 20, "rows": 5}, "url": {}},
}


@pytest.fixture
def crawls(tmp_path) -> tuple[Path, Path]:
    old, new = dedup_inputs.two_crawls()
    return dedup_inputs.write(tmp_path / "old", old), dedup_inputs.write(tmp_path / "new", new, files=3)


@pytest.mark.parametrize("kind", KINDS)
def test_against_an_index_is_as_one_run_over_both(kind, crawls, run, tmp_path):
    """Of the new crawl goes what one run over both would drop of it if the earliest stays; the old text is gone."""
    old, new = crawls
    dedup = {"keep": "earliest", "index": True, **KINDS[kind]}
    run(dedup_inputs.recipe([old], tmp_path / "a", **dedup))
    run(dedup_inputs.recipe([old, new], tmp_path / "both", **dedup))
    shutil.rmtree(tmp_path / "a" / "documents")
    old.rename(tmp_path / "elsewhere")
    told = run(dedup_inputs.recipe([new], tmp_path / "b", **dedup, against=[str(tmp_path / "a")]))

    new_ids = {f"d{i}" for i in range(150, 300)}
    expected = dedup_inputs.kept(tmp_path / "both") & new_ids
    assert dedup_inputs.kept(tmp_path / "b") == expected
    assert 20 < len(expected) < 130

    rows = {row["id"]: row for row in dedup_inputs.ledger(tmp_path / "b") if row["action"] == "drop"}
    both = {row["id"]: row for row in dedup_inputs.ledger(tmp_path / "both") if row["action"] == "drop"}
    by_old = [row for row in rows.values() if "index" in row["detail"]]
    assert len(by_old) > 10
    for row in by_old:
        assert row["detail"]["id"] not in new_ids
        assert (row["rule"], row["value"]) == (both[row["id"]]["rule"], both[row["id"]]["value"])
        if kind != "components":  # there the survivor of the cluster may be one that only the old crawl connects
            assert row["detail"]["kept"] == both[row["id"]]["detail"]["kept"]
    size = told["counts"]["dedup"]["index"]
    assert size["documents"] == 150
    assert size["bytes_a_million"] == round(size["bytes"] / 150 * 1e6) > 0


def test_of_three_crawls(run, tmp_path):
    """A third against both indexes, each of which holds its own documents alone."""
    first, second = dedup_inputs.two_crawls(1)
    third, _ = dedup_inputs.two_crawls(1)
    third = [record | {"id": f"again-{record['id']}"} for record in third[:40]] + [
        record | {"id": f"again-{record['id']}"} for record in second[:40]
    ]
    places = [dedup_inputs.write(tmp_path / f"in-{i}", records) for i, records in enumerate((first, second, third))]
    done: list[str] = []
    for i, place in enumerate(places):
        run(dedup_inputs.recipe([place], tmp_path / f"run-{i}", index=True, against=done))
        done.append(str(tmp_path / f"run-{i}"))
    assert dedup_inputs.kept(tmp_path / "run-2") == set()
    runs = {row["detail"]["index"] for row in dedup_inputs.ledger(tmp_path / "run-2") if row["action"] == "drop"}
    assert len(runs) == 2


def test_what_an_index_holds(crawls, run, tmp_path):
    """Every document, kept or removed, with the key of the one that stayed, and its own shingles, sorted."""
    old, _ = crawls
    run(dedup_inputs.recipe([old], tmp_path / "a", index=True))
    tables = []
    for path in sorted((tmp_path / "a" / "dedup" / "index").glob("*.arrow")):
        with pa.OSFile(str(path)) as file:
            tables.append(pa.ipc.open_file(file).read_all())
    rows = {row["id"]: row for row in pa.concat_tables(tables).to_pylist()}
    assert len(rows) == 150
    assert {name for name, row in rows.items() if row["removed_by"] is None} == dedup_inputs.kept(tmp_path / "a")
    by_key = {row["key"]: row for row in rows.values()}
    for row in rows.values():
        assert (row["removed_by"] is None) == (row["cluster"] == row["key"])
        assert row["cluster"] in by_key
        assert row["shingles"] == sorted(set(row["shingles"]))
        assert len(row["shingles"]) == 76
    for dropped in (row for row in dedup_inputs.ledger(tmp_path / "a") if row["action"] == "drop"):
        assert rows[dropped["id"]]["cluster"].hex() == dropped["detail"]["kept"]
        assert rows[dropped["id"]]["removed_by"] == dropped["rule"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"minhash": {"seed": 5}}, "dedup.minhash.seed is 1 there and 5 here"),
        ({"minhash": {"ngram": 4}}, "dedup.minhash.ngram is 5 there and 4 here"),
        ({"minhash": {"verify": "signatures"}}, 'dedup.verify is "exact" there and "signatures" here'),
        ({"exact": {"form": "ccnet"}}, 'dedup.exact is "raw" there and "ccnet" here'),
        ({"url": {}}, "dedup.url is false there and true here"),
    ],
)
def test_an_index_of_other_settings_is_refused(change, told, crawls, run, tmp_path):
    old, new = crawls
    run(dedup_inputs.recipe([old], tmp_path / "a", index=True))
    with pytest.raises(RequestError, match="an index of other settings") as error:
        run(dedup_inputs.recipe([new], tmp_path / "b", against=[str(tmp_path / "a")], **change))
    assert told in str(error.value)
    assert not (tmp_path / "b").exists()


def test_what_does_not_matter_to_an_index_may_differ(crawls, run, tmp_path):
    """Thresholds, clusters and who stays."""
    old, new = crawls
    run(dedup_inputs.recipe([old], tmp_path / "a", index=True))
    other = {"keep": "earliest", "minhash": {"threshold": 0.9, "cluster": "components"}, "memory_bytes": 1 << 20}
    facts = run(dedup_inputs.recipe([new], tmp_path / "b", against=[str(tmp_path / "a")], **other))
    assert facts["complete"]


def test_a_run_without_an_index_is_refused(crawls, run, tmp_path):
    old, new = crawls
    run(dedup_inputs.recipe([old], tmp_path / "a"))
    with pytest.raises(RequestError, match=r"no run with an index .*dedup\.index: true"):
        run(dedup_inputs.recipe([new], tmp_path / "b", against=[str(tmp_path / "a")]))
    run(dedup_inputs.recipe([old], tmp_path / "a", index=True))
    next((tmp_path / "a" / "dedup" / "index").glob("*.arrow")).unlink()
    with pytest.raises(RequestError, match="part of the index, and missing"):
        run(dedup_inputs.recipe([new], tmp_path / "b", against=[str(tmp_path / "a")]))


def test_another_index_is_another_run(crawls, run, tmp_path):
    """What an index holds is part of what a run depends on: the same command notices that it has changed."""
    old, new = crawls
    value = dedup_inputs.recipe([new], tmp_path / "b", against=[str(tmp_path / "a")])
    empty = dedup_inputs.write(tmp_path / "empty", [{"text": "alone"}], files=1)
    run(dedup_inputs.recipe([empty], tmp_path / "a", index=True))
    run(value)
    before = dedup_inputs.kept(tmp_path / "b")
    run(dedup_inputs.recipe([old], tmp_path / "a", index=True))
    run(value)
    assert dedup_inputs.kept(tmp_path / "b") < before
    facts = json.loads((tmp_path / "b" / "run.json").read_text())
    assert facts["complete"]


KILLS = ("urls_sieve:written:1", "urls:block:1", "exact_sieve:renamed:1", "shingles:renamed:4", "index:written:2")


def test_killed_in_every_step(crawls, run, tmp_path):
    """Against an index a run dies in each step that the drills of the road do not have, goes on, and all is as ever."""
    old, new = crawls
    bloom = {"expected": 1000}
    dedup = {"keep": "earliest", "index": True, "url": {"bloom": bloom}, "exact": {"bloom": bloom}}
    run(dedup_inputs.recipe([old], tmp_path / "a", **dedup))
    dedup |= {"against": [str(tmp_path / "a")], "memory_bytes": 1 << 20}
    whole, value = (dedup_inputs.recipe([new], tmp_path / name, **dedup) for name in ("whole", "killed"))
    run(whole)
    for point in KILLS:
        assert forked(value, point) == KILLED, f"{point} was not reached: {log_of(value)}"
    assert forked(value) == 0, log_of(value)
    assert difference(results(tmp_path / "whole"), results(tmp_path / "killed")) == ""
    assert every_file(tmp_path / "whole") == every_file(tmp_path / "killed")
