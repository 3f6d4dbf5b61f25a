"""`gristmill filter` and `gristmill filter --from RUN`: the same ledger as a fresh run, from signals alone."""

from __future__ import annotations

import gzip
import itertools
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from gristmill.console import RequestError
from gristmill.document import LEDGER
from gristmill.pipelines import driver
from gristmill.pipelines.refilter import changed, filters_alone, refilter

RULES = """
quality:
  gopher_repetition: {}
  c4: {dialect: tfds}
  gopher_quality: {}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory, shared_data) -> Path:
    """A folder with input of two files, damaged lines among it, and a recipe."""
    folder = tmp_path_factory.mktemp("refilter")
    texts = []
    for path in sorted((shared_data / "quality").glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            rows = [json.loads(line) for line in itertools.islice(lines, 60)]
        texts += [row["text"] for row in rows if row.get("text")]
    texts += ["{ lorem ipsum", "", "one", "A sentence of javascript words is here.\n" * 9]
    (folder / "in").mkdir()
    half = len(texts) // 2
    for name, part in (("a", texts[:half]), ("b", texts[half:])):
        rows = [json.dumps({"id": f"{name}{i}", "text": text}) for i, text in enumerate(part)]
        rows.insert(3, "[]")
        (folder / "in" / f"{name}.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (folder / "rules.yaml").write_text(f"input: {{paths: [{folder}/in]}}\noutput: x\nlanguage: {{keep: [en]}}{RULES}")
    return folder


def make(place: Path, output: str, *overrides: str) -> dict[str, Any]:
    return driver.run(filters_alone(str(place / "rules.yaml"), [f"output={place / output}", *overrides]))


@pytest.fixture(scope="module")
def measured(place) -> Path:
    """A run that measured every rule on every document."""
    make(place, "measured", "all_signals=true")
    return place / "measured"


@pytest.fixture(scope="module")
def short(place) -> Path:
    """A run that measured a document up to the rule that dropped it."""
    make(place, "short")
    return place / "short"


def ledger(run: Path) -> list[str]:
    files = json.loads((run / "run.json").read_text())["files"]
    tables = [pq.read_table(run / name).cast(LEDGER) for name in files if name.startswith("ledger/")]
    return sorted(map(str, pa.concat_tables(tables).to_pylist()))


CHANGES = {
    "nothing": (),
    "stricter": ("quality.gopher_quality.min_words=120", "quality.c4.min_sentences=12"),
    "looser": ("quality.gopher_repetition.max_top_2_gram=0.9", "quality.gopher_quality.min_stop_words=0"),
    "both, and one off": (
        "quality.gopher_quality.min_mean_word_length=4.2",
        "quality.gopher_repetition.max_top_3_gram=",
        "quality.c4.min_sentences=1",
    ),
    "another order": ("quality.order=[c4, gopher_quality, gopher_repetition]",),
    "a rule left out": ("quality.gopher_repetition=",),
    "shortest text": ("corpus.min_characters=700",),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_the_ledger_is_that_of_a_fresh_run(place, measured, change, request):
    name = request.node.callspec.id.replace(" ", "-")
    fresh = make(place, f"fresh-{name}", *change)
    again = refilter(measured, changed(measured, change, str(place / f"again-{name}")))
    assert ledger(place / f"again-{name}") == ledger(place / f"fresh-{name}")
    for what in ("records", "dropped", "edited", "documents", "languages"):
        assert again["counts"][what] == fresh["counts"][what], what
    if change:
        assert ledger(place / f"again-{name}") != ledger(measured)
    assert (place / f"again-{name}" / "report.html").stat().st_size > 1000


def test_the_input_has_something_for_every_case(place, measured):
    counts = json.loads((measured / "run.json").read_text())["counts"]
    assert counts["edited"].get("quality/c4_lines", 0) > 10
    assert {name.split("/")[0] for name in counts["dropped"]} >= {"read", "language", "quality"}
    assert counts["documents"] > 20


def test_no_text_is_read(place, measured):
    """With nothing left but signals and ledger, and by the bytes that the process reads."""
    bare = place / "bare"
    shutil.copytree(measured, bare)
    for folder in ("documents", "rejected"):
        shutil.rmtree(bare / folder, ignore_errors=True)
    code = (
        "import sys; from gristmill.pipelines.refilter import changed, refilter\n"
        "def read():\n"
        "    return int(next(l for l in open('/proc/self/io') if l.startswith('rchar')).split()[1])\n"
        "run, out = sys.argv[1:]\n"
        "change = ['quality.gopher_quality.min_words=200']\n"
        "refilter(run, changed(run, change, out + '1'))\n"  # imports and compiled code are read by now
        "before = read(); refilter(run, changed(run, change, out + '2')); print(read() - before)\n"
    )
    command = [sys.executable, "-c", code, str(bare), str(place / "counted")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert ledger(place / "counted2") == ledger(place / "counted1") != ledger(measured)
    allowed = sum(p.stat().st_size for f in ("signals", "ledger") for p in (measured / f).iterdir())
    text = sum(p.stat().st_size for p in (place / "in").iterdir())
    page = 3 * ((place / "counted2" / "report.html").stat().st_size + 40_000)  # the report's template, run.json
    assert int(done.stdout) < 2.2 * allowed + page  # the ledgers, old and new, are read once more for the report
    assert int(done.stdout) < text / 2


def test_what_was_not_measured_is_an_error(place, short):
    looser = changed(short, ["quality.gopher_repetition="], str(place / "cannot"))
    with pytest.raises(RequestError, match=r"documents that would pass now were not measured by every rule.*all-sig"):
        refilter(short, looser)
    stricter = ["quality.gopher_quality.min_words=300"]
    refilter(short, changed(short, stricter, str(place / "can")))
    make(place, "can-fresh", *stricter)
    assert ledger(place / "can") == ledger(place / "can-fresh")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (["quality.gopher_quality.stop_words=[the]"], "quality.gopher_quality.stop_words: changes what is measured"),
        (["quality.c4.dialect=datatrove"], "quality.c4.dialect: changes what is measured"),
        (["quality.fineweb={}"], "quality.fineweb: not measured in the run"),
        (["language.min_score=0.1"], "language: differs from the recipe of the run"),
        (["scrub={}"], "its recipe has scrub, which need the text again"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_a_change_that_signals_do_not_tell_is_refused(place, measured, change, said):
    with pytest.raises(RequestError) as told:
        refilter(measured, changed(measured, change, str(place / "refused")))
    assert said in str(told.value)


def test_the_command(place, measured):
    def gristmill(*arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "gristmill", "filter", *arguments]
        return subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=300)

    done = gristmill("--recipe", "rules.yaml", "--input", "in", "--output", "by-command", "--all-signals")
    assert done.returncode == 0, done.stderr
    assert ledger(place / "by-command") == ledger(measured)
    done = gristmill("--from", "by-command", "--output", "by-command-2", "--set", "quality.gopher_quality.min_words=90")
    assert done.returncode == 0, done.stderr
    assert "quality/gopher_min_words" in done.stdout
    assert ledger(place / "by-command-2") != ledger(measured)
    for wrong in (
        ["--output", "x"],
        ["--from", "by-command"],
        ["--from", "by-command", "--input", "in", "--output", "x"],
    ):
        done = gristmill(*wrong)
        assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr
