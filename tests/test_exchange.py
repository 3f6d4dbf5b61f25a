"""Exchange: any rows to any destinations come back complete and in order, whatever the budget and who asks."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from gristmill.exchange import ExchangeWriter, read_exchange, read_table
from hypothesis import given, settings
from hypothesis import strategies as st

SCHEMA = pa.schema(
    [
        ("number", pa.int64()),
        ("text", pa.large_string()),
        ("key", pa.binary(16)),
        ("list", pa.large_list(pa.field("item", pa.uint16(), nullable=False))),
    ]
)

Row = tuple[int, dict]  # destination, row

rows = st.fixed_dictionaries(
    {
        "number": st.none() | st.integers(-(2**63), 2**63 - 1),
        "text": st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
        "key": st.none() | st.binary(min_size=16, max_size=16),
        "list": st.none() | st.lists(st.integers(0, 65535), max_size=4),
    }
)
mappers = st.lists(st.lists(st.lists(st.tuples(st.integers(0, 12), rows), max_size=12), max_size=4), max_size=4)


def write(folder: Path, mapper: int, batches: list[list[Row]], budget: int) -> tuple[Path, dict]:
    path = folder / f"{mapper}.arrow"
    with ExchangeWriter(path, SCHEMA, budget) as writer:
        for batch in batches:
            record_batch = pa.RecordBatch.from_pylist([row for _, row in batch], schema=SCHEMA)
            writer.add(record_batch, np.array([to for to, _ in batch], np.int64))
        index = writer.close()
    return path, json.loads(json.dumps(index))  # as the manifest keeps it


@settings(max_examples=60)
@given(mappers, st.sampled_from([1, 200, 64 << 20]), st.integers(1, 5))
def test_all_rows_come_back_in_order(tmp_path_factory, all_batches, budget, skip):
    """Rows of one destination: by mapper, then as they were added; batches may be slices of larger ones."""
    folder = tmp_path_factory.mktemp("exchange")
    files = [write(folder, i, batches, budget) for i, batches in enumerate(all_batches)]
    for destination in range(14):
        expected = [row for batches in all_batches for batch in batches for to, row in batch if to == destination]
        table = read_table(files, destination, SCHEMA)
        assert table.schema == SCHEMA
        assert table.to_pylist() == expected
        assert all(column.num_chunks <= 1 for column in table.columns)
        found = [row for batch in read_exchange(files, destination, SCHEMA) for row in batch.to_pylist()]
        assert found == expected


@given(st.integers(0, 30), st.integers(1, 30))
def test_slices_are_written_alone(tmp_path_factory, start, length):
    """A slice brings its rows and not the buffers of its parent."""
    path = tmp_path_factory.mktemp("slices") / "x.arrow"
    whole = batch_of(range(100_000))
    part = whole.slice(start * 1000, length)
    with ExchangeWriter(path, SCHEMA) as writer:
        writer.add(part, np.zeros(length, int))
        index = writer.close()
    assert path.stat().st_size < 4000 + 100 * length
    assert read_table([(path, index)], 0, SCHEMA).to_pylist() == part.to_pylist()


def batch_of(numbers: range) -> pa.RecordBatch:
    n = np.fromiter(numbers, np.int64)
    columns = [
        pa.array(n),
        pa.array([f"text {i}" for i in numbers], pa.large_string()),
        pa.nulls(len(n), pa.binary(16)),
        pa.nulls(len(n), SCHEMA.field("list").type),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


def test_a_small_budget_gives_several_cells(tmp_path):
    def written(budget: int) -> tuple[Path, dict]:
        path = tmp_path / f"{budget}.arrow"
        with ExchangeWriter(path, SCHEMA, budget) as writer:
            for i in range(20):
                writer.add(batch_of(range(i * 50, i * 50 + 50)), np.arange(50) % 3)
                assert writer.held < budget + 50 * 60
            return path, writer.close()

    small, large = written(4000), written(1 << 20)
    assert all(len(cells) == 1 for cells in large[1].values())
    assert all(len(cells) > 3 for cells in small[1].values())
    for destination in range(3):
        assert read_table([small], destination, SCHEMA) == read_table([large], destination, SCHEMA)


def test_cells_lie_in_the_file_without_gaps(tmp_path):
    path, index = write(tmp_path, 0, [[(i % 7, {"number": i}) for i in range(100)] for _ in range(5)], 500)
    cells = sorted(cell for cells in index.values() for cell in cells)
    for (start, length), (following, _) in itertools.pairwise(cells):
        assert start + length == following
    assert cells[0][0] == SCHEMA.serialize().size
    assert sum(cells[-1]) + 8 == path.stat().st_size


def test_the_file_is_an_arrow_stream(tmp_path):
    """Any Arrow reader shows what is in it, which helps when something went wrong."""
    path, _ = write(tmp_path, 0, [[(i % 3, {"number": i}) for i in range(10)]], 64 << 20)
    with pa.ipc.open_stream(path) as reader:
        assert sorted(reader.read_all()["number"].to_pylist()) == list(range(10))


def test_destinations_without_rows_cost_nothing(tmp_path, monkeypatch):
    some = [(0, {"number": 1}), (10**9, {"number": 2})]
    path, index = write(tmp_path, 0, [some], 64 << 20)
    assert set(index) == {"0", str(10**9)}
    empty = write(tmp_path, 1, [[], []], 64 << 20)
    assert empty[1] == {}
    assert empty[0].stat().st_size < 1000
    opened = []
    real = os.open
    monkeypatch.setattr(os, "open", lambda name, *rest: opened.append(name) or real(name, *rest))
    assert list(read_exchange([(path, index), empty], 5, SCHEMA)) == []
    assert opened == []
    assert read_table([(path, index), empty], 10**9, SCHEMA)["number"].to_pylist() == [2]
    assert opened == [path]


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.7, 0.99])
def test_a_file_that_is_too_short_is_an_error(tmp_path, keep):
    path, index = write(tmp_path, 0, [[(i % 4, {"number": i}) for i in range(1000)]], 64 << 20)
    last = max(sum(cell) for cells in index.values() for cell in cells)
    os.truncate(path, int(last * keep))
    with pytest.raises(OSError, match=r"0\.arrow: ends before byte \d+; it is not the file its manifest names"):
        [read_table([(path, index)], destination, SCHEMA) for destination in range(4)]


def test_a_missing_file_is_an_error(tmp_path):
    path, index = write(tmp_path, 0, [[(0, {"number": 1})]], 64 << 20)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        read_table([(path, index)], 0, SCHEMA)


def test_an_error_of_the_caller_closes_the_file(tmp_path):
    writer = ExchangeWriter(tmp_path / "x.arrow", SCHEMA)
    with pytest.raises(ZeroDivisionError), writer:
        raise ZeroDivisionError
    assert writer.file.closed


def test_bytes_do_not_depend_on_the_hash_seed(tmp_path):
    code = (
        "import sys, numpy as np, pyarrow as pa\n"
        "from gristmill.exchange import ExchangeWriter\n"
        "schema = pa.schema([('a', pa.int64()), ('b', pa.string())])\n"
        "with ExchangeWriter(sys.argv[1], schema, 3000) as writer:\n"
        "    for i in range(10):\n"
        "        n = np.arange(i, i + 100)\n"
        "        columns = [pa.array(n), pa.array([str(x) for x in n])]\n"
        "        writer.add(pa.RecordBatch.from_arrays(columns, schema=schema), n * 7919 % 13)\n"
        "    print(sorted(writer.close().items()))\n"
    )
    seen = set()
    for seed in ("1", "2"):
        path = tmp_path / f"seed{seed}.arrow"
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", code, str(path)]
        run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        seen.add((run.stdout, hashlib.sha256(path.read_bytes()).hexdigest()))
    assert len(seen) == 1
