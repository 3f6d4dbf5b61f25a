"""Keys, draws and buffers: what JSON and Parquet spell differently is one, and nothing depends on where it stands."""

from __future__ import annotations

import io
import itertools
import json
import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pyarrow as pa
import pyarrow.json
import pyarrow.parquet as pq
import pytest
from gristmill.document import (
    DOCUMENT,
    LEDGER,
    below,
    canonical,
    damaged_key,
    draws,
    json_text,
    key_words,
    ledger_rows,
    make_key,
    text_buffers,
    words_to_keys,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st

# -- keys: JSON against Parquet --------------------------------------------------------------------------------------

MOMENTS = [
    "2024-01-02",
    "2024-01-02T03",
    "2024-01-02 03:04",
    "1600-02-29T23:59:59",
    "2024-01-02T03:04:05Z",
    "2024-01-02T03:04:05+02:00",
    "2024-01-02 03:04:05-1130",
    "2024-01-02T03:04:05.123",
    "2024-01-02T03:04:05.123456789",
    "2024-02-31",
    "2024-01-02-05",
    "2024-01-02Z",
    "2024-01-02T24:00:00",
    "20240102",
    "٢٠٢٤-01-02",
]
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
SCALARS = [
    TEXT,
    st.sampled_from(MOMENTS),
    st.sampled_from(MOMENTS[:7]),  # all of a column: Arrow takes it for timestamps
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
]


@st.composite
def shapes(draw, depth: int = 2):
    """A strategy of values that all fit one Arrow type."""
    kind = draw(st.sampled_from(["scalar", "scalar", "list", "struct"] if depth else ["scalar"]))
    if kind == "list":
        return st.lists(draw(shapes(depth - 1)), max_size=3)
    if kind == "struct":
        names = draw(st.lists(TEXT, min_size=1, max_size=3, unique=True))
        required = {name: draw(shapes(depth - 1)) for name in names}
        return st.fixed_dictionaries({}, optional={n: st.none() | s for n, s in required.items()})
    return draw(st.sampled_from(SCALARS))


@st.composite
def tables(draw):
    """Some records with the same fields, any of which may be null or absent."""
    names = draw(st.lists(TEXT, min_size=1, max_size=4, unique=True))
    fields = {name: st.none() | draw(shapes()) for name in names}
    return draw(st.lists(st.fixed_dictionaries({}, optional=fields), min_size=1, max_size=5))


def through_parquet(records: list[dict]) -> list[dict]:
    """The records as JSON lines, read by Arrow (which infers types), written to Parquet and read again."""
    data = b"".join(json.dumps(r, ensure_ascii=False).encode() + b"\n" for r in records)
    table = pa.json.read_json(io.BytesIO(data))
    file = io.BytesIO()
    pq.write_table(table, file)
    return pq.read_table(file).to_pylist()


def writable(records: list[dict]) -> bool:
    """Whether Arrow has a form for them: it has none for rows without columns, Parquet none for empty structs."""
    try:
        return len(through_parquet(records)) == len(records)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return False


@settings(max_examples=250)
@given(tables())
@example([{"a": {"b": None}}, {"a": None}, {"a": {"b": 1}}])
@example([{"a": [1, None, 2.5]}, {"a": []}])
@example([{"a": 1}, {"a": 1.0}, {"a": 0.5}, {"a": -0.0}])
@example([{"a": m} for m in MOMENTS])
def test_json_and_parquet_give_the_same_keys(records):
    if writable(records):
        for mine, theirs in zip(records, through_parquet(records), strict=True):
            assert make_key("id", "text", mine) == make_key("id", "text", theirs), (mine, theirs)


@pytest.mark.parametrize("moment", MOMENTS)
def test_timestamps_alone_in_their_column(moment):
    (theirs,) = through_parquet([{"at": moment}])
    assert make_key(None, "", {"at": moment}) == make_key(None, "", theirs)


def test_timestamps_of_every_type():
    at = datetime(2024, 1, 2, 3, 4, 5, 678901)
    same = [at, at.isoformat(), f"{at}Z", at.replace(tzinfo=UTC), at.replace(tzinfo=timezone(timedelta()))]
    same.append((at + timedelta(hours=2)).replace(tzinfo=timezone(timedelta(hours=2))))
    same.append(f"{at}789")  # of nanoseconds the first six digits count
    assert len({make_key(None, "", {"at": value}) for value in same}) == 1
    assert canonical(date(2024, 1, 2)) == canonical("2024-01-02") == canonical(datetime(2024, 1, 2))
    assert canonical("2024-01-02") != canonical("2024-01-03")


@given(tables())
def test_the_order_of_keys_does_not_count(records):
    for record in records:
        turned = dict(reversed(record.items()))
        assert make_key("id", "text", record) == make_key("id", "text", turned)


def test_nulls_are_absent_and_nothing_else_is():
    assert make_key(None, "t", {"a": None}) == make_key(None, "t", {})
    assert make_key(None, "t", {"a": {"b": None}}) == make_key(None, "t", {"a": {}})
    assert make_key(None, "t", {"a": [None]}) != make_key(None, "t", {"a": []})
    assert make_key(None, "t", {"a": ""}) != make_key(None, "t", {})
    assert make_key(None, "t", {"a": 0}) != make_key(None, "t", {"a": False})
    assert make_key(None, "t", {"a": "1"}) != make_key(None, "t", {"a": 1})


@given(TEXT, TEXT, TEXT, TEXT)
def test_parts_of_a_key_cannot_run_into_each_other(a, b, c, d):
    if (a, b) != (c, d):
        assert make_key(a, b, {}) != make_key(c, d, {})


def test_what_is_damaged_has_a_key_of_its_own():
    assert damaged_key(b"") != make_key(None, "", {})
    assert damaged_key(b"a") != damaged_key(b"b")
    assert len(damaged_key(b"a")) == 16


def test_golden_keys():
    """Keys are for ever: they name documents in published corpora."""
    assert make_key(None, "", {}).hex() == "931a61ac629d9c632981ec517b007a6e"
    assert (
        make_key("a", "text", {"b": [1, 2.5, "x", None], "c": {"d": True}}).hex() == "98c53235ae3e1bad0c855975f64c9e96"
    )
    assert (
        make_key("id", "Grüße\n", {"date": "2024-01-02T03:04:05Z", "n": 1.0}).hex()
        == "39a5de3055866be79f3d40d4436399f9"
    )
    assert damaged_key(b"\xff").hex() == "6415e92f97772767895d069054b439c4"


@given(st.recursive(st.none() | TEXT | st.floats() | st.integers(), lambda s: st.lists(s) | st.dictionaries(TEXT, s)))
def test_json_text_is_json_with_sorted_keys(value):
    text = json_text(value)
    assert json_text(json.loads(text, parse_constant=pytest.fail)) == text


# -- key words -------------------------------------------------------------------------------------------------------

KEYS = st.lists(st.binary(min_size=16, max_size=16), max_size=40)


@given(KEYS, st.integers(0, 5), st.integers(0, 5))
def test_key_words_round_trip_and_order(keys, skip, cut):
    column = pa.array(keys, pa.binary(16)).slice(skip, max(0, len(keys) - skip - cut))
    keys = column.to_pylist()
    words = key_words(column)
    assert words.shape == (len(keys), 2)
    assert words.dtype == np.uint64
    assert words_to_keys(words).to_pylist() == keys
    order = np.lexsort((words[:, 1], words[:, 0]))
    assert [keys[i] for i in order] == sorted(keys)
    assert np.array_equal(key_words(pa.chunked_array([column.slice(0, 3), column.slice(3)])), words)


# -- draws -----------------------------------------------------------------------------------------------------------


def words_of(n: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**64, (n, 2), np.uint64)


def chi_square(counts: np.ndarray) -> float:
    expected = counts.sum() / len(counts)
    return float(((counts - expected) ** 2 / expected).sum())


@pytest.mark.parametrize("kind", ["random", "counting", "one half"])
def test_draws_are_uniform(kind):
    """Of hashes, and of keys as bad as 0, 1, 2...: 256 bins of the top, a middle and the bottom byte.

    255 degrees of freedom: mean 255, deviation 22.6; the bound of 370 is passed once in a million times.
    """
    n = 1 << 17
    words = words_of(n)
    if kind == "counting":
        words = np.stack([np.zeros(n, np.uint64), np.arange(n, dtype=np.uint64)], axis=1)
    if kind == "one half":
        words[:, 1] = 7
    found = draws(words, 0, "split")
    for shift in (56, 29, 0):
        byte = (found >> np.uint64(shift)).astype(np.uint8)
        assert chi_square(np.bincount(byte, minlength=256)) < 370
    assert len(np.unique(found)) == n


def test_draws_of_other_seeds_and_purposes_are_independent():
    words = words_of(1 << 16)
    pairs = [(0, "split"), (1, "split"), (0, "sample"), (0, "rejected")]
    tops = [(draws(words, *pair) >> np.uint64(60)).astype(int) for pair in pairs]
    for i, a in enumerate(tops):
        for b in tops[:i]:
            assert chi_square(np.bincount(a * 16 + b, minlength=256)) < 370


@given(st.integers(0, 200), st.lists(st.integers(0, 200), max_size=5))
def test_draws_do_not_depend_on_the_cut_into_batches(n, cuts):
    words = words_of(n)
    bounds = [0, *sorted(min(c, n) for c in cuts), n]
    parts = [draws(words[a:b], 3, "x") for a, b in itertools.pairwise(bounds)]
    assert np.array_equal(np.concatenate(parts), draws(words, 3, "x"))
    assert np.array_equal(draws(words[::-1], 3, "x")[::-1], draws(words, 3, "x"))


def test_golden_draws():
    """Draws decide samples, splits and orders: a changed one would be another corpus under the same recipe."""
    words = np.array([[0, 0], [1, 2], [2**64 - 1, 2**63]], np.uint64)
    assert [hex(x) for x in draws(words, 0, "split").tolist()] == [
        "0xfe7cb1a73ab93a01",
        "0x5fb9b4d78fb196dd",
        "0x2fff17255a63f8fb",
    ]
    assert [hex(x) for x in draws(words, 7, "sample").tolist()] == [
        "0xce1cde301b0d5e61",
        "0x89f17e4aca244dc9",
        "0x100b823e70cd790c",
    ]


def test_draws_know_no_hash_seed():
    code = (
        "import numpy as np; from gristmill.document import *;"
        "words = np.arange(8, dtype=np.uint64).reshape(4, 2);"
        "print(draws(words, 1, 'a').tolist(), make_key('a', 'b', {'c': {'d': 1}}))"
    )
    command = [sys.executable, "-c", code]
    answers = {
        subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True).stdout
        for seed in ("1", "2")
    }
    assert len(answers) == 1
    assert b"[" in answers.pop()


@pytest.mark.parametrize("share", [0.0, 1e-6, 0.01, 0.5, 1.0])
def test_below(share):
    found = (draws(words_of(1 << 18), 0, "sample") < np.uint64(below(share))).mean()
    assert abs(found - share) <= 5 * (share * (1 - share) / (1 << 18)) ** 0.5


# -- buffers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.binary(), pa.large_binary()], ids=str)
@given(st.lists(st.none() | TEXT, max_size=20), st.integers(0, 6), st.integers(0, 6), st.integers(0, 10))
def test_text_buffers_of_slices(kind, texts, skip, cut, chunk):
    values = [None if t is None else t.encode() for t in texts]
    whole = pa.array(texts if pa.types.is_string(kind) or pa.types.is_large_string(kind) else values, kind)
    column = whole.slice(skip, max(0, len(texts) - skip - cut))
    for shown in (column, pa.chunked_array([column.slice(0, chunk), column.slice(chunk)], kind)):
        data, offsets = text_buffers(shown)
        assert data.dtype == np.uint8
        assert offsets.dtype == np.int64
        assert len(offsets) == len(column) + 1
        found = [data[a:b].tobytes() for a, b in itertools.pairwise(offsets)]
        assert found == [value or b"" for value in values[skip : skip + len(column)]]


def test_text_buffers_do_not_copy():
    column = pa.array(["some text"] * 100, pa.large_string())
    data, _ = text_buffers(column)
    assert data.ctypes.data == column.buffers()[2].address


# -- ledger rows -----------------------------------------------------------------------------------------------------


def documents(n: int) -> pa.RecordBatch:
    rows = [
        {"id": f"d{i}", "key": bytes([i] * 16), "text": "t", "source": "s", "record": 10 + i, "metadata": "{}"}
        for i in range(n)
    ]
    return pa.RecordBatch.from_pylist(rows, schema=DOCUMENT)


def test_ledger_rows():
    batch = documents(6).slice(1)
    rows = ledger_rows(batch, np.array([0, 3]), stage="quality", rule="r", action="drop", value=np.array([1.5, np.nan]))
    assert rows.schema == LEDGER
    assert rows.to_pylist() == [
        {
            "id": f"d{i}",
            "key": bytes([i] * 16),
            "source": "s",
            "record": 10 + i,
            "stage": "quality",
            "rule": "r",
            "action": "drop",
            "value": value,
            "threshold": None,
            "detail": None,
            "version": "1",
        }
        for i, value in ((1, 1.5), (4, None))
    ]
    texts = pa.array(["x", "y"])
    rows = ledger_rows(batch, np.array([1, 2]), stage="s", rule=texts, action="edit", threshold=2, detail=texts)
    assert rows.column("rule").to_pylist() == rows.column("detail").to_pylist() == ["x", "y"]
    assert rows.column("threshold").to_pylist() == [2.0, 2.0]
    none = ledger_rows(batch, np.array([], np.int64), stage="s", rule="r", action="keep")
    assert (none.num_rows, none.schema) == (0, LEDGER)
