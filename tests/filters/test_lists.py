"""The stage `drop`: ids and addresses of lists, exactly, by the list's name."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
import zstandard
from gristmill.config import validate
from gristmill.console import RequestError
from gristmill.document import DOCUMENT
from gristmill.filters.lists import DropSettings, drop_stage, inputs
from gristmill.filters.measures.hashset import HashSetBuilder, holds, places
from gristmill.filters.stage import first_verdicts
from hypothesis import given, settings
from hypothesis import strategies as st


def batch_of(ids: list, urls: list) -> pa.RecordBatch:
    n = len(ids)
    columns = {f.name: pa.nulls(n, f.type) for f in DOCUMENT}
    columns |= {"id": pa.array(ids, pa.string()), "url": pa.array(urls, pa.string())}
    columns["text"] = pa.array(["text"] * n, pa.large_string())
    return pa.RecordBatch.from_pydict(columns, DOCUMENT)


def recipe(**options) -> DropSettings:
    return validate(DropSettings, options, "recipe")


def verdicts(stage, ids: list, urls: list) -> dict[int, str]:
    outcome = stage(batch_of(ids, urls))
    assert all(drop.detail is None for drop in outcome.drops)
    return {int(row): drop.rule for drop in first_verdicts(outcome) for row in drop.rows}


def test_ids_are_exact_and_the_rule_names_the_list(tmp_path):
    (tmp_path / "removals.txt").write_bytes(b"\xef\xbb\xbfdoc-1\r\n\n  doc 2 \n#3\ndoc-9")
    (tmp_path / "opt-out.txt.gz").write_bytes(gzip.compress("é\ndoc-1\n".encode()))
    made = recipe(ids=[str(tmp_path / "removals.txt"), str(tmp_path / "opt-out.txt.gz")])
    ids = ["doc-1", "doc 2", "#3", "é", "doc-9", "doc-", "DOC-1", "", None, "doc-11"]
    found = verdicts(drop_stage(made, tmp_path), ids, [None] * len(ids))
    first = {0: "ids:removals", 1: "ids:removals", 2: "ids:removals", 4: "ids:removals"}
    assert found == first | {3: "ids:opt-out"}
    swapped = recipe(ids=list(reversed(made.ids)))
    assert verdicts(drop_stage(swapped), ids, [None] * len(ids)) == found | {0: "ids:opt-out"}


def test_addresses_are_compared_in_canonical_form(tmp_path):
    (tmp_path / "robots.txt.zst").write_bytes(
        zstandard.compress("# no\nExample.COM/a%7Eb#top\nhttps://ä.de:443/\n".encode())
    )
    urls = [
        "http://example.com/a~b",
        "HTTPS://example.com:443/a%7eb",
        "http://www.example.com/a~b",
        "http://example.com/a~b/",
    ]
    urls += [
        "https://xn--4ca.de",
        "http://ä.de/?",
        "http://ä.de/?x",
        None,
        "",
        "# no",
        "http://example.com/a~b?utm_source=1",
    ]

    def rows(**options):
        stage = drop_stage(recipe(urls=str(tmp_path / "robots.txt.zst"), **options), tmp_path)
        found = verdicts(stage, [None] * len(urls), urls)
        assert set(found.values()) <= {"urls:robots"}
        return set(found)

    assert rows() == {0, 1, 4, 5}
    assert rows(ignore_scheme=False) == {0, 4}
    assert rows(ignore_www=True) == {0, 1, 2, 4, 5}
    assert rows(ignore_tracking=True) == {0, 1, 4, 5, 10}


def test_lists_of_one_name_are_told_apart(tmp_path):
    for folder in "ab":
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "list.txt").write_text(folder)
    stage = drop_stage(recipe(ids=[str(tmp_path / folder / "list.txt") for folder in "ab"]))
    assert verdicts(stage, ["a", "b"], [None] * 2) == {0: "ids:list", 1: "ids:list-2"}


def test_indexes_hold_nothing_that_can_be_read_and_follow_the_list(tmp_path):
    folder = tmp_path / "work" / "indexes"
    (tmp_path / "list.txt").write_text("someone@example.com\n")
    made = recipe(ids=str(tmp_path / "list.txt"))
    assert verdicts(drop_stage(made, folder), ["someone@example.com"], [None]) == {0: "ids:list"}
    (file,) = folder.iterdir()
    assert b"someone" not in file.read_bytes()
    stamp = file.stat().st_mtime_ns
    drop_stage(made, folder)
    assert file.stat().st_mtime_ns == stamp
    (tmp_path / "list.txt").write_text("another@example.com\n")
    assert verdicts(drop_stage(made, folder), ["someone@example.com"], [None]) == {}
    file.write_bytes(b"damaged")
    (tmp_path / "list.txt").write_text("someone@example.com\n")
    assert verdicts(drop_stage(made, folder), ["someone@example.com"], [None]) == {0: "ids:list"}


def test_wrong_requests_name_key_and_path(tmp_path):
    (tmp_path / "list.txt").write_text("a")
    (tmp_path / "cut.gz").write_bytes(gzip.compress(b"a" * 100)[:-9])
    assert (
        inputs(recipe(ids=str(tmp_path / "list.txt"), urls=[str(tmp_path / "list.txt")]))
        == [str(tmp_path / "list.txt")] * 2
    )
    with pytest.raises(RequestError, match=r"drop\.ids: gone\.txt: no such file"):
        inputs(recipe(ids=[str(tmp_path / "list.txt"), "gone.txt"]))
    with pytest.raises(RequestError, match=r"drop\.urls: .*: is a folder"):
        drop_stage(recipe(urls=str(tmp_path)))
    with pytest.raises(RequestError, match=r"drop\.urls: .*cut\.gz: cannot be read"):
        drop_stage(recipe(urls=str(tmp_path / "cut.gz"))).prepare()
    with pytest.raises(RequestError, match="`ids`, `urls`"):
        recipe()
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_list_that_may_not_be_read(tmp_path):
    (tmp_path / "list.txt").write_text("a")
    (tmp_path / "list.txt").chmod(0)
    with pytest.raises(RequestError, match=r"drop\.ids: .*: cannot be read"):
        inputs(recipe(ids=str(tmp_path / "list.txt")))


def test_an_empty_list_and_an_empty_batch(tmp_path):
    (tmp_path / "list.txt").write_text("\n\n")
    stage = drop_stage(recipe(ids=str(tmp_path / "list.txt"), urls=str(tmp_path / "list.txt")), tmp_path)
    assert verdicts(stage, ["a", ""], ["http://a/", ""]) == {}
    assert stage(batch_of([], [])).drops == []


@given(st.lists(st.text(max_size=8), max_size=20), st.lists(st.text(max_size=8), max_size=20))
@settings(max_examples=40)
def test_ids_equal_a_set_of_lines(tmp_path_factory, listed, asked):
    path = tmp_path_factory.mktemp("ids") / "list.txt"
    path.write_bytes("\n".join(listed).encode())
    lines = {line.strip(b" \t\r") for line in path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")} - {b""}
    ids = asked + listed
    found = verdicts(drop_stage(recipe(ids=str(path))), ids, [None] * len(ids))
    assert set(found) == {i for i, id in enumerate(ids) if id.strip(" \t\r").encode() in lines}


def test_hash_seed_and_batch_size_change_nothing(tmp_path):
    (tmp_path / "list.txt").write_text("\n".join(f"http://example.com/{i}" for i in range(0, 300, 3)))
    code = (
        "import sys, pathlib; from gristmill.config import validate\n"
        "from gristmill.filters.lists import DropSettings, drop_stage\n"
        "drop_stage(validate(DropSettings, {'urls': sys.argv[1]}, 'r'), pathlib.Path(sys.argv[2])).prepare()\n"
    )
    files = []
    for seed in "12":
        folder = tmp_path / seed
        folder.mkdir()
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "list.txt"), str(folder)],
            check=True,
            env={"PYTHONHASHSEED": seed},
        )
        files.append(next(folder.iterdir()).read_bytes())
    assert files[0] == files[1]
    urls = [f"https://example.com/{i}" for i in range(300)]
    stage = drop_stage(recipe(urls=str(tmp_path / "list.txt")))
    for size in (300, 7, 1):
        rows = [s + r for s in range(0, 300, size) for r in verdicts(stage, urls[s : s + size], urls[s : s + size])]
        assert rows == list(range(0, 300, 3))


# -- the table under it -----------------------------------------------------------------------------------------------

hashes = st.integers(0, 2**64 - 1) | st.integers(0, 40) | st.integers(2**64 - 9, 2**64 - 1)


@given(st.lists(st.tuples(hashes, st.integers(0, 3)), max_size=80), st.integers(1, 30), st.booleans())
@settings(max_examples=100)
def test_a_sorted_table_holds_what_was_added(tmp_path_factory, pairs, run, on_disk):
    """Built of runs of any length, with ties and at the ends of the range."""
    path = tmp_path_factory.mktemp("table") / "t.index" if on_disk else None
    builder = HashSetBuilder(path, np.uint8, run)
    for start in range(0, len(pairs), 7):
        part = pairs[start : start + 7]
        builder.add(np.array([k for k, _ in part], np.uint64), np.array([v for _, v in part], np.uint8))
    index = builder.close({"digest": "d"})
    assert list(zip(index["keys"].tolist(), index["values"].tolist(), strict=True)) == sorted(set(pairs))
    keys = [k for k, _ in pairs] + [0, 1, 17, 2**63, 2**64 - 1]
    wanted = np.array(keys, np.uint64)
    ordered = index["keys"].tolist()
    assert places(index, wanted).tolist() == [ordered.index(k) if k in ordered else -1 for k in keys]
    for value in range(4):
        found = holds(index, wanted, np.full(len(keys), value, np.uint8))
        assert found.tolist() == [(k, value) in pairs for k in keys]
    if path is not None:
        assert [p.name for p in path.parent.iterdir()] == ["t.index"]
