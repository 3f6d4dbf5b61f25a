"""What a run tells of itself: explain, the report, the data card, run.json."""

from __future__ import annotations

import html.parser
import json
import re
from collections import Counter
from fnmatch import fnmatch
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from gristmill.console import RequestError
from gristmill.pipelines.explain import MOST, explain
from gristmill.pipelines.report.build import _cheapest
from road_archives import prose


@pytest.fixture(scope="session")
def ledger(undisturbed: Path) -> list[dict]:
    """All rows, edits included."""
    names = json.loads((undisturbed / "run.json").read_text())["files"]
    return [
        row for name in names if name.startswith("ledger/") for row in pq.read_table(undisturbed / name).to_pylist()
    ]


def told(run: Path, name: str) -> list[str]:
    return list(explain(run, name))


def one(ledger: list[dict], **wanted: str) -> dict:
    """The first row with these values."""
    return next(row for row in ledger if all(row[k] == v for k, v in wanted.items()))


# -- explain ---------------------------------------------------------------------------------------------------------


def test_one_record_by_each_of_its_names(undisturbed, ledger):
    row = one(ledger, rule="kept", id="speech-1")
    place = f"{row['source']}:{row['record']}"
    account = told(undisturbed, "speech-1")
    assert account == told(undisturbed, row["key"].hex()) == told(undisturbed, place)
    assert account[:3] == [place, "  id   speech-1", f"  key  {row['key'].hex()}"]
    assert account[3] == "  keep corpus/kept  (version 1)"


def test_the_tokens_of_a_kept_document(undisturbed, ledger):
    """The shard and row that it names hold the document's tokens."""
    for row in [r for r in ledger if r["rule"] == "kept"][::25]:
        (line,) = [x for x in told(undisturbed, row["key"].hex()) if "tokens:" in x]
        split, file, at, count = re.fullmatch(r" +tokens: (\w+), (\S+), row (\d+), ([\d,]+) tokens", line).groups()
        assert file.startswith(split)
        with pa.memory_map(str(undisturbed / "tokens" / file)) as source:
            stored = pa.ipc.open_file(source).read_all().slice(int(at), 1).to_pylist()[0]
        assert stored["key"] == row["key"]
        assert len(stored["tokens"]) == int(count.replace(",", ""))


def test_every_rule_can_be_explained(undisturbed, ledger):
    """One record of each rule: its edits first, then why it was dropped, with value and threshold."""
    seen = set()
    for row in ledger:
        rule = f"{row['action']} {row['stage']}/{row['rule']}"
        if rule in seen:
            continue
        seen.add(rule)
        account = told(undisturbed, f"{row['source']}:{row['record']}")
        (line,) = [x for x in account if x.startswith(f"  {rule} ")]
        if row["value"] is not None:
            assert f"  value {row['value']:g}" in line
        if row["threshold"] is not None:
            assert f"  threshold {row['threshold']:g}" in line
        actions = [x.split()[0] for x in account if re.match(r"  (keep|drop|edit) ", x)]
        assert actions == sorted(actions, key=lambda a: a != "edit")
        assert Counter(actions)["keep"] + Counter(actions)["drop"] == 1
    assert len(seen) > 35


@pytest.mark.parametrize("rule", ["exact_duplicate", "near_duplicate"])
def test_the_twin_that_stays(undisturbed, ledger, rule):
    for row in [r for r in ledger if r["rule"] == rule][:10]:
        account = told(undisturbed, f"{row['source']}:{row['record']}")
        (line,) = [x for x in account if "the one that stays" in x]
        kept = bytes.fromhex(json.loads(row["detail"])["kept"])
        twins = [r for r in ledger if r["key"] == kept and r["action"] != "edit"]
        source, record, action = re.fullmatch(r" +the one that stays: (\S+):(\d+)  id .*  \((\w+)\)", line).groups()
        assert (source, int(record), action) in [(t["source"], t["record"], t["action"]) for t in twins]
        if rule == "near_duplicate":
            assert row["value"] >= row["threshold"] == 0.8


def test_one_id_of_many_records(undisturbed, ledger):
    """Published corpora repeat ids: every record of that id is told."""
    rows = [r for r in ledger if r["id"] == "everybody" and r["action"] != "edit"]
    assert len(rows) == 10
    account = told(undisturbed, "everybody")
    assert [x for x in account if not x.startswith(" ")] == [
        f"{r['source']}:{r['record']}" for r in sorted(rows, key=lambda r: (r["source"], r["record"]))
    ]


def test_what_deduplication_did(run, tmp_path):
    """Equal addresses, lines and passages cut out, and the document of an earlier run that stays."""
    texts = {name: prose(i, 120) for i, name in enumerate(("a", "b", "c"))}
    notice, passage = "This line stands at the foot of every page.", prose(50, 60)
    (tmp_path / "old.jsonl").write_text(json.dumps({"id": "old\x1b[31m", "text": texts["a"], "url": "https://o.org/"}))
    records = [
        {"id": "again", "text": texts["a"], "url": "https://n.org/1"},
        {"id": "first", "text": f"{texts['b']}\n{notice}", "url": "https://n.org/2", "date": "2001-01-01"},
        {"id": "cut", "text": f"{texts['c']}\n{notice}\n{passage}", "url": "https://n.org/3", "date": "2001-01-02"},
        {"id": "same", "text": "Another text of this address.", "url": "https://n.org/3", "date": "2001-01-03"},
        {"id": "whole", "text": f"{passage} {prose(60)}", "url": "https://n.org/4", "date": "2001-01-01"},
    ]
    (tmp_path / "new.jsonl").write_text("\n".join(map(json.dumps, records)))
    off = dict.fromkeys(("extract", "language", "quality", "scrub", "tokenizer"))
    dedup = {"keep": "earliest", "url": {}}

    def road(name: str, **more) -> Path:
        paths = [str(tmp_path / f"{name}.jsonl")]
        run({**off, "input": {"paths": paths}, "output": str(tmp_path / name), "dedup": {**dedup, **more}})
        return tmp_path / name

    old = road("old", index=True)
    new = road("new", against=[str(old)], paragraphs={"unit": "line"}, substring={"min_bytes": 200})
    account = {name: told(new, name) for name in ("again", "same", "cut")}
    (line,) = [x.strip() for x in account["again"] if "stays" in x]
    assert re.fullmatch(r"the one that stays: a document of the earlier run with index [0-9a-f]{12}  id old.*", line)
    assert line.endswith(r"old\x1b[31m")
    assert "  drop dedup/same_url" in "\n".join(account["same"])
    assert "       the one that stays: new.jsonl:2  id cut  (keep)" in account["same"]
    assert "       lines cut that stand elsewhere: 1, numbers 2" in account["cut"]
    at = account["cut"].index("       where the longest of them stays: new.jsonl:4  id whole  (keep)")
    assert re.fullmatch(r" +passages cut that stand elsewhere: 1, \d+ bytes", account["cut"][at - 1])


def test_very_many_records_of_one_id(run, tmp_path):
    lines = [json.dumps({"id": "same", "text": prose(i)}) for i in range(MOST + 7)]
    (tmp_path / "x.jsonl").write_text("\n".join(lines))
    recipe = {"input": {"paths": [str(tmp_path / "x.jsonl")]}, "output": str(tmp_path / "run")}
    run({**recipe, "language": None, "quality": None, "scrub": None, "tokenizer": None})
    account = told(tmp_path / "run", "same")
    assert sum(not x.startswith((" ", "...")) for x in account) == MOST
    assert account[-1] == "... and 7 more records of this name"
    assert not any("tokens" in x for x in account)


def test_what_rules_cost(undisturbed):
    """The report prices each rule, and names the order that would be cheapest where it is another one."""
    costs = json.loads((undisturbed / "run.json").read_text())["costs"]
    assert list(costs) == ["quality/gopher_repetition", "quality/gopher_quality"]
    first, second = costs.values()
    assert first["measured"] - first["dropped"] == second["measured"] > 0
    assert min(first["cpu_seconds"], first["dropped"], second["dropped"]) > 0
    page = (undisturbed / "report.html").read_text()
    assert "Cost of the rules" in page
    assert f"{first['measured']:,}" in page
    prices = {
        "s/dear": {"cpu_seconds": 9.0, "measured": 100, "dropped": 90},
        "s/idle": {"cpu_seconds": 0.1, "measured": 100, "dropped": 0},
        "s/cheap": {"cpu_seconds": 0.1, "measured": 100, "dropped": 5},
        "other/alone": {"cpu_seconds": 1.0, "measured": 1, "dropped": 1},
    }
    assert _cheapest(prices) == "s/cheap, s/dear, s/idle"
    assert _cheapest({name: prices[name] for name in ("s/cheap", "s/dear", "s/idle", "other/alone")}) is None


@pytest.mark.parametrize("name", ["no-such-id", "0" * 32, "part-0.jsonl:999999", "part-0.jsonl:x", "", ":", "1"])
def test_unknown_names(undisturbed, name):
    with pytest.raises(RequestError, match=r"no record of .* has this id, key or source:record"):
        told(undisturbed, name)


def test_not_a_run(tmp_path):
    with pytest.raises(RequestError, match="not a run directory"):
        told(tmp_path, "x")
    (tmp_path / "run.json").write_text('{"complete": false}')
    with pytest.raises(RequestError, match="the run is not whole; `gristmill run` goes on with it"):
        told(tmp_path, "x")


# -- the report --------------------------------------------------------------------------------------------------------

HOSTILE = [
    "<script>alert(1)</script>",
    "</pre><img src=http://evil.example/x onerror=alert(1)>",
    '"><iframe src="//evil.example">',
    "{{ 7 * 7 }} {% for x in y %} {# #}",
    "<!-- ]]> --><svg/onload=alert(1)>",
    "&lt;b&gt; &amp; &#60;i&#62;",
]


class Page(html.parser.HTMLParser):
    """The elements and attributes of a page, and the texts of its <pre>."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str | None]] = []
        self.pre: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == [], "every element is closed"

    def handle_starttag(self, tag, attrs):
        self.tags[tag] += 1
        self.attributes += attrs
        if tag == "pre":
            self.pre.append("")
        if tag not in ("meta", "link", "br", "img", "!doctype"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data
        if "pre" in self.open:
            self.pre[-1] += data


def self_contained(page: Page, text: str) -> None:
    allowed = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "table", "tr", "td", "th", "div", "i"}
    assert page.tags.keys() <= allowed | {"b", "code", "pre", "details", "summary"}
    assert not {name for name, _ in page.attributes if name.startswith("on")}
    assert not {name for name, _ in page.attributes} & {"src", "href", "action", "data", "srcset", "poster"}
    assert "url(" not in text.lower()
    assert "@import" not in text
    policy = [value for name, value in page.attributes if name == "content" and "default-src" in value]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'"]


def test_the_report_tells_everything(undisturbed, ledger):
    text = (undisturbed / "report.html").read_text()
    page = Page(text)
    self_contained(page, text)
    counts = json.loads((undisturbed / "run.json").read_text())["counts"]
    for action, table in (("dropped", counts["dropped"]), ("changed", counts["edited"])):
        assert table
        for rule, n in table.items():
            assert re.search(rf"{re.escape(rule)}\s+{action}\s+{n:,}", page.text), rule
    assert f"{counts['records']:,}" in page.text
    assert f"{counts['documents']:,}" in page.text
    for stage, n in Counter(r["stage"] for r in ledger if r["action"] == "drop").items():
        assert re.search(rf"dropped by {stage}\s*{n:,}", page.text), stage
    assert f"{counts['tokens']['train']:,}" in page.text
    for language in list(counts["languages"])[:5]:
        assert language in page.text
    assert len(page.pre) > 30, "examples of what was dropped"
    assert all(len(pre) <= 600 for pre in page.pre[:-1])


@pytest.fixture(scope="session")
def hostile(run, tmp_path_factory) -> Path:
    """A run over texts, names and fields that would like to be markup."""
    folder = tmp_path_factory.mktemp("hostile")
    rows = [{"id": h, "text": f"{h} {prose(i, 5)}", "language": h, "url": h} for i, h in enumerate(HOSTILE)]
    rows += [{"id": f"{h}{k}", "text": f"{h} {prose(90 + i, 80)} {h}"} for i, h in enumerate(HOSTILE) for k in range(3)]
    (folder / "<b>in.jsonl").write_text("\n".join(json.dumps(r) for r in rows))
    value = {
        "input": {"paths": [str(folder / "<b>in.jsonl")]},
        "output": str(folder / "<i>run"),
        "language": {"keep": ["en"], "min_score": 0},
        "tokenizer": None,
        "rejected": "all",
    }
    run(value)
    return folder / "<i>run"


def test_hostile_texts_are_shown_and_nothing_else(hostile, monkeypatch):
    from gristmill.config import validate
    from gristmill.pipelines.driver import load_facts
    from gristmill.pipelines.recipe import Recipe
    from gristmill.pipelines.report import build

    monkeypatch.setattr(build, "EXAMPLES", 50)  # of a rule: so that each text is among them
    facts = load_facts(hostile)
    text = build.build(str(hostile), validate(Recipe, facts["recipe"], "run.json"), facts)
    page = Page(text)
    self_contained(page, text)
    shown = "".join(page.pre)
    for h in HOSTILE:
        assert h in shown, "each is shown as it was written"
    assert "<b>in.jsonl:0" in page.text
    assert "49 {%" not in page.text


def test_the_report_can_be_written_again(undisturbed, tmp_path, monkeypatch, capsys):
    import shutil
    import sys

    from gristmill import console
    from gristmill.__main__ import app

    copy = tmp_path / undisturbed.name
    shutil.copytree(undisturbed, copy, ignore=shutil.ignore_patterns("work"))
    before = (copy / "report.html").read_text()
    (copy / "report.html").unlink()
    monkeypatch.setattr(sys, "argv", ["gristmill", "report", str(copy)])
    assert console.run(lambda: app(standalone_mode=True)) == 0
    assert capsys.readouterr().out == f"{copy}/report.html\n"
    assert (copy / "report.html").read_text() == before


# -- the data card -----------------------------------------------------------------------------------------------------


def test_the_data_card(undisturbed):
    """Its header is YAML whose pattern names exactly the Parquet files, as `datasets` reads it."""
    card = (undisturbed / "documents" / "README.md").read_text()
    _, header, body = card.split("---\n", 2)
    meta = yaml.safe_load(header)
    (config,) = meta["configs"]
    files = sorted(p.name for p in (undisturbed / "documents").iterdir())
    matched = [name for name in files if fnmatch(name, config["data_files"])]
    assert matched == [name for name in files if name.endswith(".parquet")]
    assert matched
    assert (config["config_name"], set(files) - set(matched)) == ("default", {"README.md"})
    assert {"en", "de"} <= set(meta["language"])
    assert all(re.fullmatch("[a-z]{2,3}", code) for code in meta["language"])
    counts = json.loads((undisturbed / "run.json").read_text())["counts"]
    assert f"{counts['documents']:,} documents" in body
    for rule, n in counts["dropped"].items():
        assert f"| {rule} | {n:,} |" in body
    schemas = {pq.read_schema(undisturbed / "documents" / name).remove_metadata() for name in matched}
    assert len(schemas) == 1, "files of one table have one schema"


def test_the_data_card_of_hostile_languages(hostile):
    _, header, _ = (hostile / "documents" / "README.md").read_text().split("---\n", 2)
    assert set(yaml.safe_load(header).get("language", [])) <= {"en"}


# -- run.json ----------------------------------------------------------------------------------------------------------


def test_run_json(undisturbed, ledger):
    facts = json.loads((undisturbed / "run.json").read_text())
    assert facts["recipe"]["seed"] == 0
    assert {"python", "gristmill", "apache-beam", "pyarrow", "numpy"} <= facts["versions"].keys()
    assert facts["machine"]["cpus"] >= 1
    steps = "documents exact candidates components shingles verify corpus tokenizer encode shards"
    assert list(facts["seconds"]) == steps.split()
    counts = facts["counts"]
    terminal = [row for row in ledger if row["action"] != "edit"]
    assert counts["records"] == len(terminal)
    assert counts["dropped"] == dict(Counter(f"{r['stage']}/{r['rule']}" for r in terminal if r["action"] == "drop"))
    assert counts["edited"] == dict(Counter(f"{r['stage']}/{r['rule']}" for r in ledger if r["action"] == "edit"))
    for name, about in facts["files"].items():
        assert (undisturbed / name).stat().st_size == about["bytes"]
