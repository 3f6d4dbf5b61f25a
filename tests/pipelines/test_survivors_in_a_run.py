"""Who stays: the longest, the earliest, the one of the best source or of the highest signal; by stars or by chains."""

from __future__ import annotations

import itertools
import json
import random
from collections import defaultdict
from pathlib import Path

import dedup_inputs
import pyarrow.parquet as pq
import pytest
from gristmill.console import RequestError
from gristmill.dedup.settings import DedupSettings, SourcePriority


@pytest.fixture
def copies(tmp_path) -> Path:
    """Groups of three copies of a text with other dates, in two sources, and others that are alone."""
    draw = random.Random(1)
    best, rest = [], []
    for group in range(12):
        said = dedup_inputs.text(draw)
        days = draw.sample(range(1, 29), 3)
        for copy, day in enumerate(days):
            record = {"id": f"{group}-{copy}", "text": said, "date": f"2024-05-{day:02d}"}
            if copy == 0 and group % 3 == 0:
                del record["date"]
            (best if copy == group % 3 and group % 2 else rest).append(record)
    dedup_inputs.write(tmp_path / "in" / "books", best, files=1)
    dedup_inputs.write(tmp_path / "in" / "web", rest)
    return tmp_path / "in"


def groups(folder: Path) -> dict[str, list[tuple[str, dict]]]:
    """Group -> (source, record) of its copies, as a reader of lines sees them."""
    found = defaultdict(list)
    for path in sorted(folder.rglob("*.jsonl")):
        for line in path.read_text().splitlines():
            record = json.loads(line)
            found[record["id"].split("-")[0]].append((path.relative_to(folder).as_posix(), record))
    return found


@pytest.mark.parametrize("dedup", [{"minhash": None}, {"exact": None}], ids=["exact", "minhash"])
def test_the_earliest_stays(dedup, copies, run, tmp_path):
    run(dedup_inputs.recipe([copies], tmp_path / "run", keep="earliest", **dedup))
    expected = {min(g, key=lambda r: r[1].get("date", "9"))[1]["id"] for g in groups(copies).values()}
    assert dedup_inputs.kept(tmp_path / "run") == expected


def test_the_best_source_stays(copies, run, tmp_path):
    run(dedup_inputs.recipe([copies], tmp_path / "run", keep={"sources": ["books/*", "web/1*"]}))
    order = ("books/", "web/1", "web/0")
    stayed = dedup_inputs.kept(tmp_path / "run")
    for group in groups(copies).values():
        places = {
            record["id"]: next(i for i, o in enumerate(order) if source.startswith(o)) for source, record in group
        }
        (one,) = stayed & places.keys()
        assert places[one] == min(places.values())


def test_the_highest_signal_stays(run, tmp_path):
    """Near duplicates that differ in the share of what the rule counts."""
    draw = random.Random(2)
    records = []
    for group in range(8):
        words = dedup_inputs.text(draw, 100).split(" ")
        for copy in draw.sample(range(4), 4):
            said = words[: 100 - copy] + ["#"] * copy
            records.append({"id": f"{group}-{copy}", "text": " ".join(said)})
    folder = dedup_inputs.write(tmp_path / "in", records)
    value = dedup_inputs.recipe([folder], tmp_path / "run", keep={"signal": "gopher_hash_ratio"}, exact=None)
    off = dict.fromkeys(("min_words", "min_mean_word_length", "min_alphabetic_words", "min_stop_words"))
    value["quality"] = {"gopher_quality": {**off, "max_symbol_ratio": 1.0}}
    run(value)
    signals = {}
    for path in (tmp_path / "run" / "signals").glob("*.parquet"):
        table = pq.read_table(path)
        signals |= dict(zip(table["key"].to_pylist(), table["gopher_hash_ratio"].to_pylist(), strict=True))
    assert len(set(signals.values())) > 3
    for row in dedup_inputs.ledger(tmp_path / "run"):
        if row["action"] == "drop":
            assert row["rule"] == "near_duplicate"
            assert signals[row["key"]] <= signals[bytes.fromhex(row["detail"]["kept"])]
    assert {name.split("-")[1] for name in dedup_inputs.kept(tmp_path / "run")} == {"3"}


def test_a_signal_that_nobody_measures_is_refused(run, tmp_path):
    folder = dedup_inputs.write(tmp_path / "in", [{"text": "x"}])
    with pytest.raises(RequestError, match=r"dedup\.keep\.signal: beauty: not a signal of this recipe; it has none"):
        run(dedup_inputs.recipe([folder], tmp_path / "run", keep={"signal": "beauty"}))


def chain(length: int, draw: random.Random) -> list[str]:
    """Texts of which each shares most shingles with the next, and the ends share nothing."""
    words = dedup_inputs.text(draw, 100 + 8 * length).split(" ")
    return [" ".join(words[8 * i : 8 * i + 100 + i % 2]) for i in range(length)]


def shingles(text: str) -> set[tuple[str, ...]]:
    words = text.split(" ")
    return {tuple(words[i : i + 5]) for i in range(len(words) - 4)}


@pytest.mark.parametrize("verify", ["exact", "signatures"])
@pytest.mark.parametrize("cluster", ["star", "components"])
def test_a_chain(cluster, verify, run, tmp_path):
    """Stars remove only what is like the one that stays; of a chain joined, one stays."""
    texts = chain(12, random.Random(3))
    records = [{"id": str(i), "text": said} for i, said in enumerate(texts)]
    folder = dedup_inputs.write(tmp_path / "in", records)
    minhash = {"cluster": cluster, "verify": verify, "bands": 32, "rows": 4, "large_cluster": 2}
    facts = run(dedup_inputs.recipe([folder], tmp_path / "run", minhash=minhash))
    stayed = dedup_inputs.kept(tmp_path / "run")
    told = facts["counts"]["dedup"]["minhash"]
    if cluster == "components":
        assert len(stayed) == 1
        assert told["largest_cluster"] == 12
        assert [found[1] for found in told["large_clusters"]] == [12]
    else:
        assert 2 <= len(stayed) <= 6
        keys = {row["key"].hex(): row["id"] for row in dedup_inputs.ledger(tmp_path / "run")}
        for row in dedup_inputs.ledger(tmp_path / "run"):
            if row["action"] == "drop":
                a, b = shingles(texts[int(row["id"])]), shingles(texts[int(keys[row["detail"]["kept"]])])
                true = len(a & b) / len(a | b)
                assert row["value"] >= 0.7
                assert row["value"] == true if verify == "exact" else abs(row["value"] - true) < 0.2
    pairs = [r for p in (tmp_path / "run/dedup/pairs").glob("*.parquet") for r in pq.read_table(p).to_pylist()]
    assert pairs
    assert {row["exact"] for row in pairs} == {verify == "exact"}


def test_large_clusters_are_told_with_examples(run, tmp_path):
    draw = random.Random(4)
    one, other = dedup_inputs.text(draw, 200), dedup_inputs.text(draw, 200)
    texts = [dedup_inputs.edited(one, draw, 1) for _ in range(9)] + [
        dedup_inputs.edited(other, draw, 1) for _ in range(6)
    ]
    texts += [dedup_inputs.text(draw) for _ in range(5)]
    folder = dedup_inputs.write(tmp_path / "in", [{"id": str(i), "text": said} for i, said in enumerate(texts)])
    facts = run(dedup_inputs.recipe([folder], tmp_path / "run", minhash={"large_cluster": 6}))
    ((key, size, examples),) = facts["counts"]["dedup"]["minhash"]["large_clusters"]
    assert size == 9
    ids = {row["key"].hex(): row["id"] for row in dedup_inputs.ledger(tmp_path / "run")}
    assert ids[key] in dedup_inputs.kept(tmp_path / "run")
    assert len(examples) == 5
    assert {int(ids[name]) for name in (key, *examples)} <= set(range(9))


@pytest.mark.parametrize("layout", [1, 3, 5])
def test_the_same_for_any_layout(layout, run, tmp_path):
    """With addresses, dates, chains and an index at once: files, their order and workers decide nothing."""
    old, new = dedup_inputs.two_crawls(7, documents=100)
    for name, records in (("old", old), ("new", new)):
        dedup_inputs.write(tmp_path / "in" / name, records)
        shuffled = random.Random(layout).sample(records, len(records))
        dedup_inputs.write(tmp_path / "other" / name, shuffled, files=layout)
    results = []
    for place in ("in", "other"):
        dedup = {"keep": "earliest", "url": {}, "minhash": {"cluster": "components" if layout == 3 else "star"}}
        run(dedup_inputs.recipe([tmp_path / place / "old"], tmp_path / place / "a", **dedup, index=True))
        dedup |= {"against": [str(tmp_path / place / "a")], "memory_bytes": (1 << 20) * (1 + 255 * (place == "in"))}
        value = dedup_inputs.recipe([tmp_path / place / "new"], tmp_path / place / "b", **dedup)
        run(value, workers=1 if place == "in" or layout > 1 else 2)
        rows = [
            (row["key"], row["rule"], row["value"], (row["detail"] or {}).get("kept"), (row["detail"] or {}).get("id"))
            for row in dedup_inputs.ledger(tmp_path / place / "b")
        ]
        results.append(sorted(rows, key=repr))
    assert results[0] == results[1]
    assert len({row[1] for row in results[0]}) == 4


def test_settings_travel():
    """Every form of `keep` comes back from JSON as it went, and the hashes depend on no threshold."""
    for keep in ("longest", "earliest", {"signal": "x"}, {"sources": ["a", "b*"]}):
        made = DedupSettings.model_validate_json(json.dumps({"keep": keep}))
        assert DedupSettings.model_validate_json(made.model_dump_json()) == made
    assert isinstance(made.keep, SourcePriority)
    for a, b in itertools.pairwise(({}, {"minhash": {"threshold": 0.9}}, {"minhash": {"cluster": "components"}})):
        assert DedupSettings.model_validate(a).of_hashes() == DedupSettings.model_validate(b).of_hashes()
    other = DedupSettings.model_validate({"minhash": {"ngram": 4}})
    assert other.of_hashes() != DedupSettings().of_hashes()
