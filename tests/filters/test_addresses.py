"""The stage `address`: block lists against sets of text, words against datatrove's URLFilter."""

from __future__ import annotations

import gzip
import json
import random
import re
import sys
import types
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from gristmill.config import validate
from gristmill.console import RequestError
from gristmill.document import DOCUMENT
from gristmill.filters.addresses import AddressSettings, address_stage, build_index, inputs
from gristmill.filters.measures import hashset
from gristmill.filters.stage import first_verdicts
from gristmill.filters.urls import canonical_url
from hypothesis import given, settings
from hypothesis import strategies as st


def batch_of(urls: list) -> pa.RecordBatch:
    n = len(urls)
    columns = {f.name: pa.nulls(n, f.type) for f in DOCUMENT}
    columns |= {"url": pa.array(urls, pa.string()), "text": pa.array(["text"] * n, pa.large_string())}
    return pa.RecordBatch.from_pydict(columns, DOCUMENT)


def recipe(**options) -> AddressSettings:
    return validate(AddressSettings, options, "recipe")


def verdicts(stage, urls: list) -> list[tuple[str, dict] | None]:
    """(rule without its prefix, detail) of each document, None where it stays."""
    found: list = [None] * len(urls)
    for drop in first_verdicts(stage(batch_of(urls))):
        for row, detail in zip(drop.rows, drop.detail, strict=True):
            found[row] = (drop.rule.removeprefix("address_"), json.loads(detail))
    return found


def lines(path: str | Path) -> list[str]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return file.read().splitlines()


def ut1(folder: Path) -> Path:
    """Lists in the form of UT1."""
    for name, kind, text in (
        (
            "adult",
            "domains",
            "# comment\nbad.com\n\n*.Worse.ORG\nexämple.de\n1.2.3.4\nhttp://odd.net/\ndeep.sub.site.net\n",
        ),
        ("adult", "urls", "ok.net/bad/\nwww.ok.net/worse\nhost.io/\nask.me/?id=7\n"),
        ("gambling", "domains", "bet.com\nbad.com\nodd.org/only/this\n"),
    ):
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / kind).write_text(text)
    (folder / "adult" / "usage").write_text("black\n")
    return folder


EXPECTED = {  # address -> kind and list
    "http://bad.com": ("domain", "adult"),
    "https://A.b.bad.com:8080/x?y": ("domain", "adult"),
    "http://notbad.com/": None,
    "http://bad.com.au/": None,
    "http://x/bad.com": None,
    "http://user@bad.com./": ("domain", "adult"),
    "http://sub.worse.org/": ("domain", "adult"),
    "http://xn--exmple-cua.de/": ("domain", "adult"),
    "http://EXÄMPLE.de/": ("domain", "adult"),
    "http://1.2.3.4/": ("domain", "adult"),
    "http://9.1.2.3.4/": None,
    "http://odd.net/y": ("domain", "adult"),
    "http://sub.site.net/": None,
    "http://a.deep.sub.site.net/": ("domain", "adult"),
    "http://bet.com/": ("domain", "gambling"),
    "http://odd.org/only/this/page": ("url", "gambling"),
    "http://odd.org/only/": None,
    "http://ok.net/bad": ("url", "adult"),
    "https://www.ok.net/bad/x/y?z": ("url", "adult"),
    "http://ok.net/badder": None,
    "http://sub.ok.net/bad": None,
    "http://ok.net/worse?x": ("url", "adult"),
    "http://ok.net/%77orse": ("url", "adult"),
    "http://host.io": ("url", "adult"),
    "http://host.io/any/thing": ("url", "adult"),
    "http://a.host.io/": None,
    "http://ask.me/?id=7": ("url", "adult"),
    "http://ask.me/?id=77": None,
    "http://com/": None,
    "": None,
    "::::": None,
    "http://" + "a." * 9000 + "bad.com/": None,  # no host can be so long
    "http://ok.net/" + "a/" * 9000: None,
}


def test_what_lists_cover(tmp_path):
    made = recipe(folders=str(ut1(tmp_path / "ut1")))
    for folder in (None, tmp_path, tmp_path):
        found = verdicts(address_stage(made, folder), [*EXPECTED, None])
        assert found.pop() is None
        told = {url: f and (f[0].removeprefix("listed_"), f[1]["list"]) for url, f in zip(EXPECTED, found, strict=True)}
        assert told == EXPECTED
    assert len(list(tmp_path.glob("address-*.index"))) == 1


LABELS = st.sampled_from(["a", "b", "www", "bad", "com", "xn--4ca", "ä", "7", "_x", "WWW"])
hosts = st.lists(LABELS, min_size=1, max_size=4).map(".".join)
paths = st.lists(st.sampled_from(["", "a", "b.html", "%61", "?q=1", "?", "c?d/e", ".", "..", "%2f"]), max_size=4)
bare = st.tuples(hosts, st.just("") | paths.map(lambda p: "/" + "/".join(p))).map("".join)


@given(st.lists(hosts, max_size=8), st.lists(bare, max_size=8), st.lists(bare, min_size=1, max_size=12), st.booleans())
@settings(max_examples=100)
def test_lists_equal_sets_of_text(tmp_path_factory, domains, urls, asked, short_runs):
    folder = tmp_path_factory.mktemp("lists")
    (folder / "d").write_text("\n".join(domains), encoding="utf-8")
    (folder / "u").write_text("\n".join(urls), encoding="utf-8")
    asked = [f"http://{u}" for u in [*asked, *domains, *urls]]

    def parts(url):
        host, _, path = canonical_url(url).removeprefix("http://").partition("/")
        return host, path

    def above(path):
        cuts = [m.start() for m in re.finditer(r"[/?]", path)] + [len(path)]
        return {path[:c] for c in cuts} | {""}

    def bared(host):
        return host[4:] if host.startswith("www.") and "." in host[4:] else host

    listed = {parts(d)[0] for d in domains}
    pages = {(bared(parts(u)[0]), parts(u)[1].rstrip("/")) for u in urls}
    expected = []
    for url in asked:
        host, path = parts(url)
        whole = re.search(r"(^|\.)\d+$", host)
        suffixes = {host} if whole else {host[m.start() :] for m in re.finditer(r"(?<![^.])", host)}
        covered = any((bared(host), part) in pages for part in above(path))
        expected.append("listed_domain" if suffixes & listed else "listed_url" if covered else None)
    old, hashset.RUN = hashset.RUN, 3 if short_runs else hashset.RUN
    try:
        stage = address_stage(recipe(domains=str(folder / "d"), urls=str(folder / "u")))
    finally:
        hashset.RUN = old
    assert [f and f[0] for f in verdicts(stage, asked)] == expected


def test_samples_of_ut1_cover_themselves_and_build_in_bounded_runs(shared_data, tmp_path, monkeypatch):
    lists = shared_data / "lists"
    made = recipe(domains=str(lists / "ut1-domains-sample-part1.txt.gz"), urls=str(lists / "ut1-urls-part1.txt.gz"))
    domains, urls = lines(made.domains), lines(made.urls)
    asked = [f"http://{d}/" for d in domains[::20]]
    asked += [f"https://sub.{d}/x.html" for d in domains[::20] if not d[-1].isdigit()]
    asked_urls = [f"http://www.{u}?x=1" for u in urls[::10]]
    whole = build_index(made)
    monkeypatch.setattr(hashset, "RUN", 1000)
    stage = address_stage(made, tmp_path)
    np.testing.assert_array_equal(build_index(made, tmp_path)["keys"], whole["keys"])
    assert {f and f[0] for f in verdicts(stage, asked)} == {"listed_domain"}
    assert {f and f[0] for f in verdicts(stage, asked_urls)} <= {"listed_url", "listed_domain"}
    assert verdicts(stage, [f"http://x{d}.example/" for d in domains[::20]]) == [None] * len(domains[::20])
    assert whole.nbytes() < 11 * len(whole["keys"])


# -- words, with datatrove as the oracle ------------------------------------------------------------------------------


class Automaton:
    """As much of pyahocorasick, which is not installed, as URLFilter uses."""

    def __init__(self, *_):
        self.words = []

    def add_word(self, word, _):
        self.words += [word] if word else []

    def __len__(self):
        return len(self.words)

    def make_automaton(self):
        pass

    def iter(self, text):
        return iter([word for word in self.words if word in text])


@pytest.fixture
def url_filter(monkeypatch):
    """datatrove's filter, made of our lists; it asks no network for the list of public suffixes."""
    module = types.SimpleNamespace(Automaton=Automaton, STORE_INTS=0)
    monkeypatch.setitem(sys.modules, "ahocorasick", module)
    from datatrove.pipeline.filters import url_filter
    from tldextract import TLDExtract

    monkeypatch.setattr(url_filter.URLFilter, "_requires_dependencies", [])

    def make(**lists):
        made = url_filter.URLFilter(use_integrated_lists=False, **lists)
        made.tldextractor = TLDExtract(suffix_list_urls=(), cache_dir=None)
        return made

    return make


REASONS = {
    "domain": "listed_domain",
    "subdomain": "listed_domain",
    "url": "listed_url",
    "hard_blacklisted": "banned_words",
    "soft_blacklisted": "soft_banned_words",
    "blacklisted_subword": "banned_subwords",
}


def test_verdict_and_first_reason_equal_datatrove_s(shared_data, url_filter):
    from datatrove.data import Document

    lists = shared_data / "lists"
    names = {
        "banned_words": "banned_words",
        "soft_banned_words": "soft_banned_words",
        "banned_subwords": "banned_subwords",
    }
    words = {k: lists / f"fineweb-{v}.txt.gz" for k, v in names.items()}
    read = {k: lines(path) for k, path in words.items()}
    domain_file, url_file = lists / "ut1-domains-sample-part1.txt.gz", lists / "ut1-urls-part1.txt.gz"
    domains, pages = lines(domain_file), lines(url_file)

    rng = random.Random(3)
    urls = []
    for _ in range(6000):
        host = rng.choice(
            [
                rng.choice(domains),
                f"{rng.choice(['www', 'm', 'blog', 'a.b'])}.{rng.choice(domains)}",
                f"site{rng.randrange(99)}.{rng.choice(['com', 'co.uk', 'blogspot.com'])}",
                rng.choice(pages).partition("/")[0],
            ]
        )
        if rng.random() < 0.7:
            host = f"plain{rng.randrange(999)}.{rng.choice(['org', 'de', 'github.io'])}"
        pool = [*read["soft_banned_words"], *read["banned_words"][:20], *read["banned_subwords"], "page", "news", "en"]
        pool = [word for word in pool if "#" not in word]
        pieces = [rng.choice(pool) if rng.random() < 0.3 else rng.choice(["page", "a", "2024", "x1"]) for _ in range(4)]
        pieces = [piece.upper() if rng.random() < 0.1 else piece for piece in pieces]
        urls.append(f"http{rng.choice(['', 's'])}://{host}/" + "".join(p + rng.choice("/-_.") for p in pieces) + "html")
    theirs_made = url_filter(
        extra_domains=domains,
        extra_urls=pages,
        banned_words=read["banned_words"],
        soft_banned_words=read["soft_banned_words"],
        banned_subwords=read["banned_subwords"],
    )
    theirs = []
    for i, url in enumerate(urls):
        result = theirs_made.filter(Document(text="", id=str(i), metadata={"url": url}))
        theirs.append(None if result is True else REASONS[result[1]])
    made = recipe(
        domains=str(domain_file),
        urls=str(url_file),
        words_as="datatrove",
        **{k: {"files": [str(path)]} for k, path in words.items()},
    )
    ours = [f and f[0] for f in verdicts(address_stage(made), urls)]
    assert Counter(theirs)[None] > 500
    assert len(Counter(theirs)) == 5  # `url` never happens: the list has no schemes
    differ = [(t, o, u) for t, o, u in zip(theirs, ours, urls, strict=True) if t != o]
    # Only where a list names a domain between the registered one and the host, a number, or a page
    listed, bare_pages = set(domains), {page.rstrip("/") for page in pages}
    for _, mine, url in differ:
        host, _, path = url.partition("://")[2].partition("/")
        if mine == "listed_domain":
            between = {host[m.start() + 1 :] for m in re.finditer(r"\.", host)}
            assert between & listed or (host in listed and host[-1].isdigit()), url
        else:
            assert mine == "listed_url"
            assert any(f"{host}/{path}".startswith(page) for page in bare_pages)
    assert len(differ) < len(urls) / 10
    made = made.model_copy(update={"words_as": "canonical"})
    strict = [f and f[0] for f in verdicts(address_stage(made), urls)]
    assert [u for s, o, u in zip(strict, ours, urls, strict=True) if o and not s] == []
    assert sum(s is not None for s in strict) > sum(o is not None for o in ours)


def test_words():
    made = {"banned_words": {"words": ["Po-rn", "", "色"]}, "banned_subwords": {"words": ["xxx", "x.y.z"]}}
    stage = address_stage(recipe(**made, soft_banned_words={"words": ["hot", "big", "new"]}))
    urls = ["http://a.de/PORN", "http://a.de/porno", "http://hot.de/hot", "http://hot.de/big", "http://hot.de/a-x.X.x/"]
    urls += ["http://a.de/x/y-z", "http://a.de/%70orn", "http://new-big.de/hot", "http://a.de/", None]
    found = verdicts(stage, urls)
    assert found == [
        ("banned_words", {"words": ["porn"]}),
        None,
        None,
        ("soft_banned_words", {"words": ["big", "hot"]}),
        ("banned_subwords", {"words": ["xxx"]}),
        ("banned_subwords", {"words": ["xyz"]}),
        ("banned_words", {"words": ["porn"]}),
        ("soft_banned_words", {"words": ["big", "hot", "new"]}),
        None,
        None,
    ]
    assert verdicts(address_stage(recipe(soft_banned_words={"words": ["hot"]}, soft_word_threshold=1)), urls[2:3]) != [
        None
    ]


def test_batches_and_empty_ones_change_nothing(tmp_path):
    made = recipe(folders=str(ut1(tmp_path)), banned_subwords={"words": ["odd"]})
    stage = address_stage(made)
    urls = list(EXPECTED)
    whole = verdicts(stage, urls)
    for size in (1, 5):
        assert [v for s in range(0, len(urls), size) for v in verdicts(stage, urls[s : s + size])] == whole
    assert stage(batch_of([])).drops == []


@given(st.lists(st.text(max_size=30), max_size=5))
def test_no_address_is_too_odd(urls):
    stage = address_stage(recipe(banned_words={"words": ["a"]}, banned_subwords={"words": ["b"]}))
    verdicts(stage, urls)


def test_wrong_requests_name_key_and_path(tmp_path):
    folder = ut1(tmp_path / "ut1")
    (tmp_path / "empty").mkdir()
    (tmp_path / "w.txt").write_text("word")
    good = recipe(folders=str(folder), banned_words={"files": [str(tmp_path / "w.txt")]})
    files = [
        folder / "adult" / "domains",
        folder / "adult" / "urls",
        folder / "gambling" / "domains",
        tmp_path / "w.txt",
    ]
    assert inputs(good) == [str(file) for file in files]
    for options, match in (
        ({"folders": "gone"}, r"address\.folders: gone: no such folder"),
        ({"folders": str(tmp_path / "empty")}, r"address\.folders: .*no file `domains` or `urls`"),
        ({"domains": ["gone.txt"]}, r"address\.domains: gone\.txt: no such file"),
        ({"urls": str(tmp_path)}, r"address\.urls: .*: is a folder"),
        ({"banned_subwords": {"files": ["gone.txt"]}}, r"address\.banned_subwords\.files: gone\.txt: no such file"),
    ):
        with pytest.raises(RequestError, match=match):
            address_stage(recipe(**options))
    with pytest.raises(RequestError, match="every key is empty"):
        recipe()
    (tmp_path / "latin").write_bytes("b\xe4d.com\nok.com/\xe4\n".encode("latin-1") + "bäd.org\n".encode())
    stage = address_stage(recipe(domains=str(tmp_path / "latin")))
    assert [bool(v) for v in verdicts(stage, ["http://bäd.com", "http://bäd.org/x", "http://bad.com"])] == [
        True,
        True,
        False,
    ]
