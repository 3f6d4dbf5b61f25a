"""Equal texts and equal addresses in a run: against groups that were planted, with and without a Bloom filter."""

from __future__ import annotations

import json
import random
import unicodedata
from pathlib import Path
from typing import Any

import dedup_inputs
import pytest
from road_drills import KILLED, forked, log_of
from road_results import difference, every_file, journal, results

RULES = {"url": "same_url", "exact": "exact_duplicate"}
SIEVE = {"expected": 200, "rate": 0.01}
SMALL = {"expected": 3, "rate": 0.01}


def spelled(text: str, form: str) -> str:
    """What texts have in common that are equal in a form, by unicodedata and str."""
    if form == "raw":
        return text
    text = unicodedata.normalize("NFD", text).lower()
    if form == "ccnet":
        kept = ("0" if c.isdigit() else " " if c.isspace() else c for c in text if not unicodedata.combining(c))
        text = "".join(c for c in kept if not unicodedata.category(c).startswith("P"))
    return " ".join(text.split())


def texts(seed: int = 0) -> list[dict[str, Any]]:
    """Records of 60 texts, each in several spellings, dealt with one another."""
    draw, found = random.Random(seed), []
    for i in range(60):
        text = dedup_inputs.text(draw, 12) + " café"
        same = [text, text, text.upper(), text.replace(" ", "\n\t"), text + "!", text.replace("w1", "w7")]
        same += [unicodedata.normalize("NFD", text), text.replace("é", "e"), f"“{text.title()}”"]
        found += [{"text": one} for one in draw.sample(same, 1 if i % 3 == 0 else draw.randint(2, 9))]
    draw.shuffle(found)
    return [{"id": f"d{i}", **record} for i, record in enumerate(found)]


def addresses(seed: int = 0) -> list[dict[str, Any]]:
    """Records with addresses in several spellings, and some with none; `page` says which are one. No two texts equal"""
    draw, found = random.Random(seed), []
    for i in range(60):
        host, path = f"Site-{i % 5}.Example", f"/Page/{i}?view=1"
        same = [f"http://{host}{path}", f"HTTP://{host.lower()}:80{path}", f"http://{host}.{path}#part", host + path]
        chosen = draw.sample(same, 1 if i % 3 == 0 else draw.randint(2, 4))
        found += [{"page": f"{i}", "url": url} for url in chosen]
        found.append({"page": f"{i}, safe", "url": f"https://{host}{path}"})
        found.append({"page": f"{i}, lower", "url": f"http://{host}{path.lower()}"})
    found += [{"page": f"none {i}", "url": url} for i, url in enumerate([None, ""] * 6)]
    draw.shuffle(found)
    return [{"id": f"d{i}", "text": dedup_inputs.text(draw, 8 + i % 9), **record} for i, record in enumerate(found)]


def recipe(folder: Path, output: Path, **dedup: Any) -> dict[str, Any]:
    return dedup_inputs.recipe([folder], output, **{"exact": None, "minhash": None, **dedup}) | {"keep_work": True}


def check(run: Path, records: list[dict[str, Any]], groups: list[str], rule: str) -> int:
    """Of each group the longest stays, then the smallest key; the ledger names it. How many are dropped."""
    ledger = {row["id"]: row for row in dedup_inputs.ledger(run)}
    best: dict[str, tuple] = {}
    for record, group in zip(records, groups, strict=True):
        claim = (-len(record["text"]), ledger[record["id"]]["key"], record["id"])
        best[group] = min(best.get(group, claim), claim)
    stay = {name for *_, name in best.values()}
    assert dedup_inputs.kept(run) == stay
    for record, group in zip(records, groups, strict=True):
        row = ledger[record["id"]]
        if record["id"] not in stay:
            assert (row["rule"], row["action"], row["value"], row["threshold"]) == (rule, "drop", 1.0, 1.0)
            assert row["detail"] == {"kept": best[group][1].hex()}
    return len(records) - len(stay)


def counts_of(run: Path, step: str) -> dict[str, Any]:
    return json.loads((run / "run.json").read_text())["counts"]["dedup"][step]


@pytest.mark.parametrize("bloom", [None, SIEVE, SMALL])
@pytest.mark.parametrize("form", ["raw", "text", "ccnet"])
def test_equal_texts(form, bloom, run, tmp_path):
    records = texts()
    groups = [spelled(record["text"], form) for record in records]
    run(recipe(dedup_inputs.write(tmp_path / "in", records, 3), tmp_path / "run", exact={"form": form, "bloom": bloom}))
    dropped = check(tmp_path / "run", records, groups, "exact_duplicate")
    assert dropped > {"raw": 10, "text": 80, "ccnet": 180}[form]
    told = counts_of(tmp_path / "run", "exact")
    once = sum(groups.count(group) == 1 for group in groups)
    assert told["dropped"] == dropped
    assert told["compared"] == len(records) - once + told["compared_for_nothing"]
    if bloom is None:
        assert told["compared_for_nothing"] == once


@pytest.mark.parametrize("bloom", [None, SIEVE, SMALL])
def test_equal_addresses(bloom, run, tmp_path):
    """Canonical ones; who has none stays, and so does one of another scheme or letter case."""
    records = addresses()
    folder = dedup_inputs.write(tmp_path / "in", records, 3)
    run(recipe(folder, tmp_path / "run", url={"bloom": bloom}))
    assert check(tmp_path / "run", records, [record["page"] for record in records], "same_url") > 60
    told = counts_of(tmp_path / "run", "urls")
    assert told["compared"] < len(records) - 11


def test_addresses_first_then_texts(run, tmp_path):
    """One that fell to its address takes no part in what follows: its equal in text stays."""
    records = [
        {"id": "long", "text": "the longer text of the two", "url": "http://a.example/"},
        {"id": "short", "text": "short text", "url": "http://a.example/#x"},
        {"id": "other", "text": "short text", "url": "http://b.example/"},
    ]
    folder = dedup_inputs.write(tmp_path / "in", records)
    for name, bloom in (("all", None), ("sieved", {"expected": 10})):
        run(recipe(folder, tmp_path / name, url={"bloom": bloom}, exact={"bloom": bloom}))
        assert dedup_inputs.kept(tmp_path / name) == {"long", "other"}


@pytest.mark.parametrize("kind", ["url", "exact"])
def test_the_rate_that_is_told(kind, run, tmp_path, capsys):
    """A filter of the right size meets the rate asked for; one far too small tells the truth and names the setting."""
    records = [{"id": f"{i}", "text": f"the text of page {i}", "url": f"a.example/{i}"} for i in range(4000)]
    for record in records[:1000]:
        other = {"exact": {"url": None}, "url": {"text": record["text"] + " again"}}[kind]
        records.append({**record, **other, "id": f"twin {record['id']}"})
    folder = dedup_inputs.write(tmp_path / "in", records, 2)
    name = {"url": "urls"}.get(kind, kind)
    blooms = {"all": None, "right": {"expected": 4000, "rate": 0.05, "expected_repeated": 1000}}
    blooms |= {"wrong": {"expected": 40}, "uneven": {"expected": 4000, "expected_repeated": 100}}
    for size, bloom in blooms.items():
        run(recipe(folder, tmp_path / size, **{kind: {"bloom": bloom}}, memory_bytes=1 << 20))
        assert difference(results(tmp_path / size), results(tmp_path / "all")) == ""
        said = capsys.readouterr().err
        if bloom is None:
            assert counts_of(tmp_path / size, name)["dropped"] == 1000
            assert said == ""
            continue
        told = counts_of(tmp_path / size, name)
        assert told["bloom"]["asked_rate"] == bloom.get("rate", 0.001)
        true = told["compared_for_nothing"] / 3000
        rate = told["bloom"]["false_positive_rate"]
        assert true < rate + 5 * (rate / 3000) ** 0.5
        assert told["bloom"]["hashes"] == 5000
        assert told["bloom"]["bytes"] < 40_000
        setting = {"right": None, "wrong": "expected", "uneven": "expected_repeated"}[size]
        assert [*told["bloom"]["too_low"]] == ([] if setting is None else [setting])
        if setting is None:
            assert said == ""
            assert true < 0.1
            assert told["bloom"]["different"] > 3900
        else:
            assert said.startswith(f"dedup.{kind}.bloom.{setting} is too low")
    assert counts_of(tmp_path / "wrong", name)["compared"] > 4900  # it sieved nothing out
    passes = [[step for step, _ in journal(tmp_path / size, "commit")].count(name) for size in blooms]
    assert passes == [2, 1, 2, 2]


def test_a_filter_in_front_of_an_index(run, tmp_path):
    """What occurs once here and once there occurs twice."""
    old, new = dedup_inputs.two_crawls()
    before, after = dedup_inputs.write(tmp_path / "old", old), dedup_inputs.write(tmp_path / "new", new)
    found = {}
    for name, bloom in (("all", None), ("sieved", SIEVE)):
        dedup = {"url": {"bloom": bloom}, "exact": {"bloom": bloom}, "index": True, "keep": "earliest"}
        run(recipe(before, tmp_path / f"{name}-old", **dedup))
        run(recipe(after, tmp_path / name, **dedup, against=[str(tmp_path / f"{name}-old")]))
        found[name] = [row for row in dedup_inputs.ledger(tmp_path / name) if row["action"] == "drop"]
    by_old = [row for row in found["all"] if "index" in row["detail"]]
    assert {row["rule"] for row in by_old} == set(RULES.values())
    told = [[(row["id"], row["rule"], row["detail"]["kept"]) for row in rows] for rows in found.values()]
    assert sorted(told[0]) == sorted(told[1])


def test_neither_files_nor_workers_matter(run, tmp_path):
    records = texts() + [{**record, "id": f"a {record['id']}"} for record in addresses()]
    both = {"url": {"bloom": SIEVE}, "exact": {"bloom": SIEVE, "form": "ccnet"}}
    run(recipe(dedup_inputs.write(tmp_path / "a", records, 2), tmp_path / "run", **both))
    expected = results(tmp_path / "run")
    random.Random(1).shuffle(records)
    folder = dedup_inputs.write(tmp_path / "b", records, 5)
    run(recipe(folder, tmp_path / "two", **both, memory_bytes=1 << 20), workers=2)
    assert difference(results(tmp_path / "two"), expected) == ""


STEPS = ("urls_sieve", "urls", "exact_sieve", "exact")


def test_killed_in_every_step(tmp_path):
    """One run that dies in each of the steps, and goes on."""
    records = texts() + [{**record, "id": f"a {record['id']}"} for record in addresses()]
    folder = dedup_inputs.write(tmp_path / "in", records, 3)
    both = {"url": {"bloom": SIEVE}, "exact": {"bloom": SIEVE, "form": "text"}}
    whole, value = (recipe(folder, tmp_path / name / "run", **both) for name in ("whole", "killed"))
    assert forked(whole) == 0, log_of(whole)
    assert {step for step, _ in journal(Path(whole["output"]), "commit")} >= set(STEPS)
    for step, point in zip(STEPS, ("written", "block", "manifest_written", "renamed"), strict=True):
        assert forked(value, f"{step}:{point}:1") == KILLED, f"{step}:{point} was not reached: {log_of(value)}"
    assert forked(value) == 0, log_of(value)
    assert every_file(Path(value["output"])) == every_file(Path(whole["output"]))
