"""The stage `extract`: labelled pages, what it leaves alone, and pages made to cost too much."""

from __future__ import annotations

import gzip
import json
import resource
import time

import pyarrow as pa
import pytest
from gristmill.document import DOCUMENT
from gristmill.filters.extraction import Extract, ExtractSettings, resiliparse
from gristmill.filters.extraction.guard import LIMITS, page_costs
from gristmill.filters.stage import first_verdicts
from hypothesis import given, settings
from hypothesis import strategies as st

PAGE = """<!DOCTYPE html><html><head><title>Mills</title><script>if (a < b) { document.write("<p>no") }</script></head>
<body><nav><ul><li><a href="/">Home</a><li><a href="/about">About</a></ul></nav>
<main><h1>Mills</h1><p>Grain goes in &amp; flour comes out.</p><p>The miller&#39;s <b>account</b> is kept.</p>
<img src="x.png" alt="a picture"></main><footer>Imprint</footer></body></html>"""

EXTRACT = Extract(ExtractSettings())


def batch_of(rows: list[tuple[str | None, str | None]]) -> pa.RecordBatch:
    """A batch of (media, text)."""
    columns = {f.name: pa.nulls(len(rows), f.type) for f in DOCUMENT}
    columns["text"] = pa.array([text for _, text in rows], pa.large_string())
    columns["media"] = pa.array([media for media, _ in rows], pa.string())
    return pa.RecordBatch.from_pydict(columns, DOCUMENT.append(pa.field("media", pa.string())))


def verdict(page: str) -> str | None:
    drops = first_verdicts(EXTRACT(batch_of([("text/html", page)])))
    return drops[0].rule if drops else None


def test_page_becomes_its_main_text():
    outcome = EXTRACT(batch_of([("text/html", PAGE)]))
    (text,) = outcome.batch.column("text").to_pylist()
    assert list(filter(None, text.split("\n"))) == [
        "Mills",
        "Grain goes in & flour comes out.",
        "The miller's account is kept.",
    ]
    (edit,) = outcome.edits
    assert (edit.rule, list(edit.rows), list(edit.values)) == ("resiliparse", [0], [len(text) / len(PAGE)])
    assert outcome.drops == []
    assert outcome.batch.schema == batch_of([]).schema


def test_only_pages_change_and_nothing_without_text_stays():
    rows = [
        ("text/plain", "<p>kept as it is</p>"),
        ("text/html", PAGE),
        (None, "plain"),
        ("text/plain", " \n\x1c\u3000"),
    ]
    rows += [("text/html", "<html><body><script>x</script> </body></html>"), ("text/html", ""), ("text/plain", "")]
    rows += [("text/html", None), ("text/plain", None), ("text/html", "only text &lt;")]
    outcome = EXTRACT(batch_of(rows))
    (drop,) = outcome.drops
    assert (drop.rule, list(drop.rows)) == ("empty", [3, 4, 5, 6, 7, 8])
    (edit,) = outcome.edits
    assert list(edit.rows) == [1, 9]
    texts = outcome.batch.column("text").to_pylist()
    assert texts[9] == "only text <"
    for row in set(range(len(rows))) - {1, 9}:
        assert texts[row] == rows[row][1]


def pages_of(path) -> list[tuple[str, str]]:
    """(address, HTML) of every page of a WARC file."""
    from fastwarc.warc import ArchiveIterator, WarcRecordType
    from resiliparse.parse.encoding import bytes_to_str, detect_encoding

    pages = []
    with open(path, "rb") as stream:
        for record in ArchiveIterator(stream, record_types=WarcRecordType.response, parse_http=True):
            if "html" in (record.http_content_type or ""):
                data = record.reader.read()
                html = bytes_to_str(data, detect_encoding(data, from_html_meta=True))
                pages.append((record.headers.get("WARC-Target-URI"), html))
    return pages


def test_labelled_pages(shared_data):
    """Wanted and unwanted segments of 15 pages (trafilatura's own tests); lean resiliparse reached an F1 of .946."""
    with gzip.open(shared_data / "extraction" / "trafilatura-cc-truth.jsonl.gz", "rt", encoding="utf-8") as file:
        truth = {row["url"]: row for row in map(json.loads, file)}
    pages = pages_of(shared_data / "extraction" / "trafilatura-cc.warc.gz")
    outcome = EXTRACT(batch_of([("text/html", html) for _, html in pages]))
    assert len(pages) == 15
    found = missed = leaked = 0
    for (url, _), text in zip(pages, outcome.batch.column("text").to_pylist(), strict=True):
        text = " ".join(text.split())
        wanted = [" ".join(segment.split()) in text for segment in truth[url]["with"]]
        found, missed = found + sum(wanted), missed + len(wanted) - sum(wanted)
        leaked += sum(" ".join(segment.split()) in text for segment in truth[url]["without"])
    assert found + missed == 45
    assert 2 * found / (2 * found + missed + leaked) >= 0.92


def test_results_do_not_depend_on_batches_or_slices():
    rows = [
        ("text/html", PAGE),
        ("text/plain", "a"),
        ("text/html", "<div>" * 600),
        ("text/html", "<p>b"),
        (None, " "),
    ] * 3
    whole = batch_of(rows)

    def all_of(size):
        texts, verdicts, edits = [], [], []
        for start in range(0, len(rows), size):
            outcome = EXTRACT(whole.slice(start, size))
            texts += outcome.batch.column("text").to_pylist()
            verdicts += [(start + int(row), drop.rule) for drop in first_verdicts(outcome) for row in drop.rows]
            edits += [(start + int(r), v) for e in outcome.edits for r, v in zip(e.rows, e.values, strict=True)]
        return texts, sorted(verdicts), edits

    assert all_of(len(rows)) == all_of(1) == all_of(4)


def test_parser_that_fails_drops_the_page_alone(monkeypatch):
    class Panic(BaseException):
        """What a panic in compiled code raises is no Exception."""

    def failing(html):
        if html in ("bad", "worse"):
            raise Panic if html == "worse" else ValueError("secret@example.org")
        return html

    monkeypatch.setattr(resiliparse, "main_text", failing)
    outcome = EXTRACT(batch_of([("text/html", "good"), ("text/html", "bad"), ("text/html", "worse")]))
    (drop,) = outcome.drops
    assert (drop.rule, list(drop.rows)) == ("parse_error", [1, 2])
    assert drop.detail == ['{"error": "ValueError"}', '{"error": "Panic"}']
    assert list(outcome.edits[0].rows) == [0]
    monkeypatch.setattr(resiliparse, "main_text", lambda html: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        EXTRACT(batch_of([("text/html", "good")]))


HOSTILE = {
    "deep": ("too_deep", "<div>" * 100_000 + "<p>text"),
    "deep and closed": ("too_deep", "<div>" * 100_000 + "<p>text" + "</div>" * 100_000),
    "deep under other closing tags": ("too_deep", "<div></span></foo>" * 100_000),
    "deep by tags that HTML does not close": ("too_deep", "<article/>" * 100_000),
    "deep in upper case": ("too_deep", "<DIV\n>" * 100_000),
    "attributes": ("too_many_attributes", "<div " + " ".join(f"a{i}" for i in range(100_000)) + ">text"),
    "attributes with values": ("too_many_attributes", "<a " + "/".join(f"a{i}='>'" for i in range(100_000)) + ">text"),
    "misnested": ("too_many_unclosed", "<b><i></b>" * 100_000),
    "reopened": ("too_many_reopened", "<p>" + "".join(f"<font size={i}>" for i in range(1000)) + "<p>x" * 5000),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pages_are_refused_at_once(name):
    rule, page = HOSTILE[name]
    start, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcome = EXTRACT(batch_of([("text/html", page), ("text/html", PAGE)]))
    (drop,) = outcome.drops
    assert (drop.rule, list(drop.rows)) == (rule, [0])
    assert drop.threshold == dict(LIMITS)[rule] < drop.values[0]
    assert list(outcome.edits[0].rows) == [1]
    assert time.process_time() - start < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024


@pytest.mark.parametrize(
    "page",
    [
        "<html><body>" + "<p>An ordinary paragraph of a page, and another sentence.</p>\n" * 330_000,
        "<div>" + "word " * 4_000_000,
        "<!--" * 5_000_000,
        "text " + "<" * 20_000_000,
        "text " + "<a b='" * 3_400_000,
        "text <script>" + "</" * 10_000_000,
    ],
    ids=["paragraphs", "one text", "open comment", "less-than signs", "open quotes", "open script"],
)
def test_large_pages_take_bounded_time_and_memory(page):
    start, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    EXTRACT(batch_of([("text/html", page)]))
    assert time.process_time() - start < 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1024 * 1024


def cost(page: str) -> list[int]:
    return page_costs(pa.array([page], pa.large_string()))[0].tolist()


def test_scan_reads_pages_as_a_tokenizer_does():
    assert cost("<div><section></section></div><span></span>") == [2, 0, 0, 0]
    assert cost("<p>a<p>b<li>c<br><img src=x><td>") == [0, 0, 0, 1]  # closed by the next, or void
    assert cost("a < b <3 </ > <div") == [1, 0, 0, 0]
    assert cost("<!-- <div><div> --><div>") == [1, 0, 0, 0]
    assert cost("<!--><div>") == [1, 0, 0, 0]
    assert cost("<!-- a --!><div>") == [1, 0, 0, 0]
    assert cost("<?xml version='1'?><div>") == [1, 0, 0, 0]
    assert cost("<script>'<div>' </scripts> <div></SCRIPT ><div>") == [1, 0, 0, 0]
    assert cost("<svg><path d='x'/><g/></svg><path/><path/>") == [2, 0, 0, 1]  # outside an image `/` closes nothing
    assert cost("""<a b c=d e = "> f" g='h' / i=j/k =l>""") == [0, 0, 0, 6]
    assert cost("<b><b><i></b></b>") == [0, 3, 3, 0]
    assert cost("<font size=1><font size=2><p><p></font><p>") == [0, 2, 6, 1]
    assert cost("<b>" * 10 + "<p>" * 100) == [0, 10, 324, 0]  # three equal ones at most are opened again


def test_scan_of_many_pages_is_that_of_each():
    pages = ["<div>" * 5, "<b><font>", PAGE, "", None, "<div", "<script>", "<div a='"]
    stored = pa.array(["<div>" * 9, *pages], pa.string()).slice(1)
    assert page_costs(stored).tolist() == [cost(page or "") for page in pages]


MARKUP = st.lists(
    st.sampled_from(["<", ">", "</", "/>", "<!--", "-->", "'", '"', "=", " ", "div", "b", "script", "svg", "a", "é"])
)


@given(MARKUP.map("".join) | st.text())
@settings(deadline=None, max_examples=300)
def test_any_text_is_a_page(text):
    costs = cost(text)
    assert all(0 <= c <= len(text) ** 2 for c in costs)
    assert verdict(text) in (None, "empty")


@given(
    st.lists(st.sampled_from(["div", "section", "span", "b", "i", "ul", "li", "p", "/div", "/span", "/b", "/ul", "/p"]))
)
@settings(deadline=None, max_examples=200)
def test_no_tree_is_deeper_than_the_scan_allows(tags):
    """For ordinary markup the scan bounds the depth of the tree that the parser builds."""
    from resiliparse.parse.html import HTMLTree

    page = "".join(f"<{tag}>" for tag in tags)
    open_elements, unclosed, *_ = cost(page)

    def depth(node):
        return 1 + max(map(depth, node.child_nodes), default=0)

    assert depth(HTMLTree.parse(page).body) <= 3 * (open_elements + unclosed) + 3


def test_real_pages_are_far_below_the_limits(shared_data):
    names = ("web/warc/aut-example.warc.gz", "web/warc/cc-sample-2.warc.gz", "extraction/trafilatura-cc.warc.gz")
    pages = [html for name in names for _, html in pages_of(shared_data / name)]
    assert len(pages) > 100
    assert (page_costs(pa.array(pages, pa.large_string())) * 10 <= [limit for _, limit in LIMITS]).all()
