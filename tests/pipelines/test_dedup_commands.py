"""`gristmill dedup` and `--inspect`: the same as a run of deduplication alone, and its pairs with their texts."""

from __future__ import annotations

import json
import random
import re
import shutil
from pathlib import Path

import dedup_inputs
import pyarrow.parquet as pq
import pytest
from gristmill.__main__ import app
from gristmill.config import validate
from gristmill.console import RequestError
from gristmill.dedup.scurve import probability
from gristmill.pipelines import driver, pairs
from gristmill.pipelines.duplicates import findings
from gristmill.pipelines.recipe import Recipe
from road_results import difference, results
from typer.testing import CliRunner


def command(*arguments: str | Path):
    """`gristmill dedup` in this process."""
    return CliRunner().invoke(app, ["dedup", *map(str, arguments)])


@pytest.fixture(scope="module")
def crawl(tmp_path_factory) -> Path:
    """Copies and edits of each other, an address of somebody, and one text with a number in it that 90 have."""
    draw = random.Random(3)
    records = dedup_inputs.two_crawls(documents=60)[0]
    notice = dedup_inputs.text(draw, 120)
    records += [{"id": f"\x1b[2Jnotice-{i}", "text": f"{notice} page {i}"} for i in range(90)]
    records.append({"id": "mail", "text": f"Write to jane.doe@example7.org about this. {dedup_inputs.text(draw)}"})
    return dedup_inputs.write(tmp_path_factory.mktemp("crawl"), records)


@pytest.fixture(scope="module")
def done(crawl, tmp_path_factory) -> tuple[Path, str]:
    """(run, what the command printed)."""
    output = tmp_path_factory.mktemp("dedup") / "run"
    result = command(crawl, "--output", output, "--index", "--set", "dedup.minhash.large_cluster=50")
    assert result.exit_code == 0, result.output
    return output, result.stdout


def pair_rows(run: Path) -> list[dict]:
    return [row for path in (run / "dedup" / "pairs").iterdir() for row in pq.read_table(path).to_pylist()]


# -- dedup -----------------------------------------------------------------------------------------------------------


def test_it_is_a_run_of_deduplication_alone(crawl, done, run, tmp_path):
    recipe = dedup_inputs.recipe([crawl], tmp_path / "run", index=True, minhash={"large_cluster": 50})
    run(recipe)
    assert difference(results(tmp_path / "run"), results(done[0])) == ""
    texts = [
        text for path in (done[0] / "documents").glob("*.parquet") for text in pq.read_table(path)["text"].to_pylist()
    ]
    assert any("jane.doe@example7.org" in text for text in texts)  # taken as it is


def test_two_workers_do_the_same(crawl, done, tmp_path):
    options = ("--index", "--set", "dedup.minhash.large_cluster=50", "--workers", "2")
    assert command(crawl, "--output", tmp_path / "run", *options).exit_code == 0
    assert difference(results(tmp_path / "run"), results(done[0])) == ""


def test_what_it_prints(done):
    run, printed = done
    facts = json.loads((run / "run.json").read_text())
    near, exact = facts["counts"]["dedup"]["minhash"], facts["counts"]["dedup"]["exact"]
    assert "    threshold: 0.7\n" in printed
    shares = {float(j): float(share) for j, share in re.findall(r"^ +(\d\.\d{3}) +([\d.]+) %", printed, re.MULTILINE)}
    assert all(share == pytest.approx(100 * probability(j, 14, 8), abs=0.051) for j, share in shares.items())
    assert 0.7 in shares
    for count, what in (
        (exact["dropped"], f"dropped for one text, of {exact['compared']:,} compared"),
        (near["dropped"], f"dropped as near duplicates: {near['clusters']:,} clusters"),
        (near["measured"], "pairs measured, 0 not"),
        (near["large_buckets"], f"hot buckets, the largest of {near['largest_bucket']:,}"),
    ):
        assert count > 0
        assert re.search(rf"^ *{count:,} {re.escape(what)}", printed, re.MULTILINE), what
    index = facts["counts"]["dedup"]["index"]
    size = f"{index['documents']:,} documents: {index['bytes'] / 1e6:.1f} MB, {index['bytes_a_million'] / 1e9:.2f} GB"
    assert re.search(rf"^index +{re.escape(size)} a million$", printed, re.MULTILINE)


def test_large_clusters_are_a_warning_with_ids(done):
    """Of the notice: who stays and some of the others, none of which may give orders to the terminal."""
    run, printed = done
    warning = printed[printed.index("warning: ") :].splitlines()
    assert warning[0] == "warning: 1 clusters of more than 50 documents (dedup.minhash.large_cluster):"
    told = re.fullmatch(r"  (\d+) documents, of which (\S+) stays; among them (.*)", warning[1])
    assert int(told[1]) == json.loads((run / "run.json").read_text())["counts"]["dedup"]["minhash"]["largest_cluster"]
    named = [told[2], *told[3].split(", ")]
    assert len(set(named)) == 6
    assert all(re.fullmatch(r"\\x1b\[2Jnotice-\d+", name) for name in named)
    assert warning[1] in driver.summary(driver.load_facts(run))  # `gristmill run` says it as well
    assert "\x1b" not in printed


def test_documents_not_compared_are_a_warning(done):
    facts = driver.load_facts(done[0])
    assert "not compared" not in "\n".join(findings.warnings(facts))
    facts["counts"]["dedup"]["minhash"]["unmeasured"] = 1234
    (line,) = [line for line in findings.warnings(facts) if "not compared" in line]
    assert line.startswith("warning: 1,234 documents of hot buckets")


def test_derived_bands_are_said(crawl, tmp_path):
    sets = ("dedup.minhash.bands=null", "dedup.minhash.rows=null", "dedup.minhash.threshold=0.9")
    printed = command(crawl, "--output", tmp_path / "run", *(x for s in sets for x in ("--set", s))).stdout
    minhash = json.loads((tmp_path / "run" / "run.json").read_text())["recipe"]["dedup"]["minhash"]
    assert "bands and rows are derived from the threshold 0.9\n" in printed
    assert f"{minhash['bands']} bands of {minhash['rows']} rows" in printed
    assert (minhash["bands"], minhash["rows"]) != (14, 8)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "expected PATHS and --output"),
        (["in"], "expected PATHS and --output"),
        (["--inspect", "run", "--index"], "--inspect: shows what a run measured"),
        (["in", "--output", "out", "--set", "dedup.minhash.bandz=3"], "dedup.minhash.bandz"),
        (["in", "--output", "out", "--against", "nowhere"], "dedup.against: nowhere: no run with an index"),
    ],
)
def test_wrong_requests(arguments, told, crawl, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(crawl, "in")
    result = command(*arguments)
    assert isinstance(result.exception, RequestError)
    assert told in str(result.exception)
    assert not Path("out").exists()


# -- inspect ---------------------------------------------------------------------------------------------------------


def shingles(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[i : i + 5]) for i in range(max(1, len(words) - 4))}


def jaccard(a: str, b: str) -> float:
    return len(shingles(a) & shingles(b)) / len(shingles(a) | shingles(b))


def gathered(run: Path, near: float = 0.7, limit: int = 1000):
    facts = driver.load_facts(run)
    return pairs.gather(run, facts["files"], validate(Recipe, facts["recipe"], "run.json"), near, limit)


def check_texts(found) -> None:
    """The texts are those that were measured: their similarity, counted over Python sets, is the pair's."""
    assert found
    for pair, left, right in found:
        assert (left.key, right.key) == (pair["a"], pair["b"])
        assert jaccard(left.text, right.text) == pytest.approx(pair["jaccard"], abs=1e-12)


def test_every_pair_with_the_texts_that_were_measured(done):
    found = gathered(done[0])
    assert sorted((p["a"], p["b"]) for p, *_ in found) == sorted((r["a"], r["b"]) for r in pair_rows(done[0]))
    check_texts(found)


def test_texts_that_went_through_filters_and_were_scrubbed(undisturbed):
    """Of a run with everything on: some are in documents/, some in rejected/, some read again."""
    check_texts(gathered(undisturbed, 0.8))


def test_texts_read_again_are_scrubbed(run, tmp_path):
    """None are kept of the dropped, so they come from the input, without the address that stands there."""
    draw = random.Random(1)
    texts = [f"Write to jane{i}.doe@example7.org. {dedup_inputs.text(draw)}" for i in range(4)]
    records = [{"id": f"{i}-{k}", "text": f"{text} end{k}"} for i, text in enumerate(texts) for k in range(3)]
    corpus = dedup_inputs.write(tmp_path / "in", records)
    recipe = dedup_inputs.recipe([corpus], tmp_path / "run") | {"rejected": "none", "scrub": {}}
    run(recipe)
    found = gathered(tmp_path / "run")
    check_texts(found)
    assert any("drop" in (left.row["action"], right.row["action"]) for _, left, right in found)
    assert not any("jane" in member.text for _, *both in found for member in both)


def test_texts_that_were_cut_later(run, tmp_path):
    """Lines were taken out after the pairs were measured: they are read again, not taken from documents/."""
    draw = random.Random(2)
    notice = "\n".join(dedup_inputs.text(draw, 12) for _ in range(3))
    texts = [dedup_inputs.text(draw) for _ in range(6)]
    records = [{"id": f"{i}", "text": f"{text}\n{notice}"} for i, text in enumerate(texts)]
    records += [{"id": f"{i}-again", "text": f"{text} and more words here\n{notice}"} for i, text in enumerate(texts)]
    corpus = dedup_inputs.write(tmp_path / "in", records)
    run(dedup_inputs.recipe([corpus], tmp_path / "run", paragraphs={"unit": "line"}))
    facts = driver.load_facts(tmp_path / "run")
    assert facts["counts"]["edited"]
    found = gathered(tmp_path / "run")
    assert any(member.cut for _, *both in found for member in both)
    check_texts(found)


def test_which_pairs(done):
    """Half from the threshold up, the nearest first, then those below it; the rest where one kind is short."""
    measured = sorted(row["jaccard"] for row in pair_rows(done[0]))
    above, below = [j for j in measured if j >= 0.7], [j for j in measured if j < 0.7][::-1]
    assert len(above) > len(below) >= 4
    for limit, most in ((1, 1), (4, 2), (7, 4), (len(measured), len(above))):
        shown = [pair["jaccard"] for pair, *_ in gathered(done[0], 0.7, limit)]
        assert shown == above[:most] + below[: limit - most]
    shown = [pair["jaccard"] for pair, *_ in gathered(done[0], 0.0, 10)]
    assert shown == measured[:10]
    shown = [pair["jaccard"] for pair, *_ in gathered(done[0], 1.0, 10)]
    assert shown == [j for j in measured[::-1] if j < 1][:10]


def test_what_inspect_prints(done):
    run = done[0]
    printed = command("--inspect", run, "--limit", "6").stdout
    rows = {(f"{row['jaccard']:.4f}", row["a"].hex(), row["b"].hex()): row for row in pair_rows(run)}
    clusters = [row for path in (run / "dedup" / "clusters").iterdir() for row in pq.read_table(path).to_pylist()]
    stays = {row["dropped"].hex(): row["kept"].hex() for row in clusters}
    blocks = re.findall(
        r"^\d+\. Jaccard (\S+), exact; (.*); (.*)\n +left +(.*)\n +right +(.*)\n", printed, re.MULTILINE
    )
    assert len(blocks) == 6
    for similarity, bands, verdict, *both in blocks:
        keys = [re.search(r"key ([0-9a-f]{32})", line)[1] for line in both]
        row = rows[similarity, *keys]
        numbers = [band + 1 for band in range(14) if row["bands"] >> band & 1]
        assert bands == f"bands {' '.join(map(str, numbers))} of 14"
        if stays.get(keys[1]) == keys[0]:
            assert verdict == "the right one was dropped for the left"
        elif stays.get(keys[0]) == keys[1]:
            assert verdict == "the left one was dropped for the right"
        else:
            assert verdict == (
                "below the threshold 0.7" if row["jaccard"] < 0.7 else "neither was dropped for the other"
            )
        assert all(re.search(r"  [01]\.jsonl:\d+  ", line) for line in both)
    assert "[-" in printed
    assert "{+" in printed
    assert "\x1b" not in printed


def test_the_input_is_gone(crawl, tmp_path, run):
    """What the run holds is shown; of what it does not hold it is said that it is gone, and so where a file changed."""
    corpus = shutil.copytree(crawl, tmp_path / "in")
    run(dedup_inputs.recipe([corpus], tmp_path / "run") | {"rejected": "none"})
    whole = gathered(tmp_path / "run")
    assert all(member.text is not None for _, *both in whole for member in both)
    (corpus / "0.jsonl").write_text("".join(reversed((corpus / "0.jsonl").read_text().splitlines(keepends=True))))
    changed = [member for _, *both in gathered(tmp_path / "run") for member in both if member.row["action"] == "drop"]
    assert {member.text is None for member in changed} == {True, False}
    assert all((member.text is None) == member.missing.endswith("the input has changed)") for member in changed)
    assert all(member.row["source"] == "0.jsonl" for member in changed if member.text is None)
    shutil.rmtree(corpus)
    for _, *both in gathered(tmp_path / "run"):
        for member in both:
            assert (member.text is None) == (member.row["action"] == "drop")
            assert member.text is not None or "no such file" in member.missing
    gone = sum(member.text is None for _, *both in gathered(tmp_path / "run", limit=10) for member in both)
    assert command("--inspect", tmp_path / "run").stdout.count("its text is gone: ") == gone > 0


def test_documents_of_earlier_runs(tmp_path):
    """They are named, with their run; when that is gone, that is said."""
    old, new = dedup_inputs.two_crawls(documents=60)
    for name, records in (("old", old), ("new", new)):
        dedup_inputs.write(tmp_path / f"{name}-in", records)
    assert command(tmp_path / "old-in", "--output", tmp_path / "old", "--index").exit_code == 0
    assert command(tmp_path / "new-in", "--output", tmp_path / "new", "--against", tmp_path / "old").exit_code == 0
    found = [member for _, *both in gathered(tmp_path / "new") for member in both if member.row is None]
    names = {
        row["key"]: row["id"]
        for path in (tmp_path / "old" / "ledger").iterdir()
        for row in pq.read_table(path).to_pylist()
    }
    assert found
    for member in found:
        assert member.missing.startswith(f"id {names[member.key]}, of the earlier run {tmp_path / 'old'} (index ")
        assert member.text is None
    shutil.rmtree(tmp_path / "old")
    printed = command("--inspect", tmp_path / "new", "--limit", "1000").stdout
    assert printed.count("whose index is not there any more") >= len(found)


def test_estimates_are_called_so(crawl, tmp_path):
    sets = ("--set", "dedup.minhash.verify=signatures")
    assert command(crawl, "--output", tmp_path / "run", *sets).exit_code == 0
    printed = command("--inspect", tmp_path / "run", "--limit", "3").stdout
    assert printed.count("estimated from 112 minima; ") == 3


def test_a_run_that_measured_nothing(crawl, tmp_path):
    assert command(crawl, "--output", tmp_path / "run", "--set", "dedup.minhash=null").exit_code == 0
    result = command("--inspect", tmp_path / "run")
    assert "no pair was measured" in str(result.exception)
