"""Parquet: the same keys as JSON lines; what cannot be read is rows of the ledger or a wrong request, no crash."""

from __future__ import annotations

import datetime
import decimal
import json
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from gristmill.console import RequestError
from gristmill.pipelines.readers import inputs
from hypothesis import given
from hypothesis import strategies as st
from road_archives import prose
from road_read import OPTIONS, read, write


def table(n: int) -> pa.Table:
    columns = [[f"d{i}" for i in range(n)], [prose(i, 40 + i % 50) for i in range(n)]]
    return pa.Table.from_arrays([pa.array(c, pa.string()) for c in columns], names=["id", "text"])


def save(path: Path, columns: dict | pa.Table, **options) -> Path:
    pq.write_table(columns if isinstance(columns, pa.Table) else pa.table(columns), path, **options)
    return path


@pytest.mark.parametrize("compression", ["none", "snappy", "zstd", "gzip", "brotli"])
def test_as_lines(tmp_path, compression):
    rows = table(700)
    parquet = read(save(tmp_path / "x.parquet", rows, row_group_size=90, compression=compression))
    data = b"".join(json.dumps(row).encode() + b"\n" for row in rows.to_pylist())
    lines = read(write(tmp_path / "x.jsonl", data))
    assert [d["key"] for d in parquet.documents] == [d["key"] for d in lines.documents]
    assert parquet.texts == rows["text"].to_pylist()
    assert parquet.records == list(range(700))
    assert all(d["offset"] is None for d in parquet.documents)


def test_units_are_row_groups(tmp_path, monkeypatch):
    """Boundaries follow from the file alone; every row is in one unit, numbered by its place in the file."""
    monkeypatch.setattr(inputs, "UNIT_BYTES", 20_000)
    path = save(tmp_path / "x.parquet", table(500), row_group_size=50, use_dictionary=False)
    units = inputs.units([str(path)], None, OPTIONS)
    assert len(units) > 2
    assert [u["row_groups"][0] for u in units[1:]] == [u["row_groups"][1] for u in units[:-1]]
    assert (units[0]["row_groups"][0], units[-1]["row_groups"][1]) == (0, 10)
    assert [u["first_row"] for u in units] == [50 * u["row_groups"][0] for u in units]
    assert len({u["name"] for u in units}) == len(units)
    found = read(path)
    assert [d["record"] for d in found.documents] == list(range(500))
    assert [d["id"] for d in found.documents] == [f"d{i}" for i in range(500)]


TEXTS = st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=30), min_size=1, max_size=30)


@given(
    TEXTS, st.sampled_from([pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())]), st.integers(1, 9)
)
def test_any_texts_of_any_type(tmp_path_factory, texts, kind, group):
    path = tmp_path_factory.mktemp("texts") / "x.parquet"
    column = pa.array(texts, pa.string()).cast(kind)
    found = read(save(path, {"text": column, "n": range(len(texts))}, row_group_size=group))
    assert found.texts == [t for t in texts if t is not None]
    assert found.rules == [(i, "schema") for i, t in enumerate(texts) if t is None]


def test_nothing_in_it(tmp_path):
    assert read(save(tmp_path / "x.parquet", table(0))).records == []
    pq.ParquetWriter(tmp_path / "y.parquet", table(0).schema).close()
    assert read(tmp_path / "y.parquet").records == []


def test_values_of_every_type(tmp_path):
    """Whatever the other columns hold, a row is a document with metadata that are JSON."""
    at = datetime.datetime(2024, 1, 2, 3, 4, 5, 678901)
    columns = {
        "text": ["a"],
        "ns": pa.array([1704164645123456789], pa.timestamp("ns")),
        "zone": pa.array([1704164645123456789], pa.timestamp("ns", "Europe/Berlin")),
        "us": pa.array([at], pa.timestamp("us")),
        "day": pa.array([at.date()]),
        "time": pa.array([5], pa.time64("ns")),
        "span": pa.array([7], pa.duration("ns")),
        "decimal": pa.array([decimal.Decimal("1.10")]),
        "bytes": pa.array([b"\xff\x00"]),
        "half": pa.array(np.array([1.5], np.float16)),
        "nan": [float("nan")],
        "map": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())),
        "struct": [{"b": [None, {"c": 1}]}],
        "null": pa.nulls(1),
        "big": pa.array([2**64 - 1], pa.uint64()),
    }
    found = read(save(tmp_path / "x.parquet", columns, version="2.6"))
    assert found.damaged == []
    metadata = json.loads(found.documents[0]["metadata"])
    assert metadata["ns"] == "2024-01-02T03:04:05.123456"
    assert metadata["bytes"] == "ff00"
    assert metadata["nan"] is None
    assert metadata["decimal"] == "1.10"
    assert metadata["big"] == 2**64 - 1
    assert "null" not in metadata


def test_dates_that_python_has_no_form_for(tmp_path):
    late = pa.array([0, 10**14, 5], pa.timestamp("s"))
    found = read(save(tmp_path / "x.parquet", {"text": ["a", "b", "c"], "at": late}))
    assert found.texts == ["a", "c"]
    assert found.rules == [(1, "schema")]


def bad_utf8(path: Path, text: list[bytes], other: list[bytes]) -> Path:
    """A file whose columns say that they are text and hold other bytes, as careless writers leave them."""

    def strings(values: list[bytes]) -> pa.Array:
        whole = pa.array(values, pa.binary())
        return pa.Array.from_buffers(pa.string(), len(values), whole.buffers())

    return save(path, {"text": strings(text), "other": strings(other)})


@pytest.mark.parametrize("repeat", [1, 200])
def test_invalid_utf8(tmp_path, repeat):
    text = [b"one", b"caf\xe9", b"three", b"four"] * repeat
    other = [b"a", b"b", b"\xff", b"d"] * repeat
    found = read(bad_utf8(tmp_path / "x.parquet", text, other))
    assert found.rules == [(4 * i + k, "utf8") for i in range(repeat) for k in (1, 2)]
    assert found.texts == ["one", "four"] * repeat


def test_too_large(tmp_path):
    texts = ["a" * 99, "b" * 100, "é" * 50, "é" * 51, "c"]
    found = read(save(tmp_path / "x.parquet", {"text": texts}), max_record_bytes=100)
    assert found.texts == [texts[0], texts[1], texts[2], texts[4]]
    assert [(d.record, d.rule, d.value, d.threshold) for d in found.damaged] == [(3, "too_large", 102, 100)]
    found = read(save(tmp_path / "y.parquet", {"text": ["a", "b"], "html": ["x" * 200, "y"]}), max_record_bytes=100)
    assert found.rules == [(0, "too_large")], "the other fields count as they do in a line"


def test_damaged_pages(tmp_path):
    """Each row of a group that cannot be decoded has its row; the other groups are read."""
    options = {"row_group_size": 100, "use_dictionary": False, "write_page_checksum": True}
    path = save(tmp_path / "x.parquet", table(400), **options)
    group = pq.read_metadata(path).row_group(2).column(1)
    data = bytearray(path.read_bytes())
    start = group.data_page_offset + group.total_compressed_size // 2  # past the page's header
    data[start : start + 200] = random.Random(1).randbytes(200)
    path.write_bytes(data)
    found = read(path)
    assert found.rules == [(i, "damaged") for i in range(200, 300)]
    assert [d["record"] for d in found.documents] == [*range(200), *range(300, 400)]


def test_damage_anywhere(tmp_path):
    """Whatever bytes change: a row a record, or a wrong request because the footer is gone."""
    path = save(tmp_path / "x.parquet", table(120), row_group_size=40, compression="snappy")
    whole = path.read_bytes()
    draw = random.Random(3)
    requests = 0
    for at in draw.sample(range(len(whole)), 120):
        damaged = bytearray(whole)
        damaged[at : at + 4] = draw.randbytes(4)[: len(whole) - at]
        path.write_bytes(damaged)
        try:
            found = read(path)
        except RequestError:
            requests += 1
            continue
        assert len(set(found.records)) == len(found.records)
    assert 0 < requests < 60


def test_cut_files_are_wrong_requests(tmp_path):
    path = save(tmp_path / "x.parquet", table(50))
    whole = path.read_bytes()
    for cut in (1, 4, 100, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(RequestError, match="not a readable Parquet file"):
            read(path)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"body": ["a"]}, r"no column `text` \(it has body\); name it with input.text_field"),
        ({"text": [1]}, "the column `text` holds int64, expected text"),
        ({"text": [["a"]]}, "the column `text` holds list"),
        ({"text": [b"a"]}, "the column `text` holds binary, expected text"),
        ({"text": [{"a": "b"}]}, "the column `text` holds struct"),
    ],
)
def test_columns_that_do_not_fit(tmp_path, columns, message):
    path = save(tmp_path / "x.parquet", columns)
    with pytest.raises(RequestError, match=message):
        read(path)


def test_two_columns_of_one_name(tmp_path):
    columns = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["text", "text"])
    with pytest.raises(RequestError, match="two columns have the same name"):
        read(save(tmp_path / "x.parquet", columns))


def test_not_parquet(tmp_path):
    path = write(tmp_path / "x.parquet", b'{"text": "a"}\n' * 100)
    with pytest.raises(RequestError, match="not a readable Parquet file"):
        read(path)


def test_other_names_of_the_fields(tmp_path):
    found = read(save(tmp_path / "x.parquet", {"body": ["a"], "name": [7]}), text_field="body", id_field="name")
    assert [(d["text"], d["id"], d["metadata"]) for d in found.documents] == [("a", "7", "{}")]
