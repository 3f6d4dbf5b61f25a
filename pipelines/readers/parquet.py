"""Parquet: a row a document, a range of row groups a unit. Columns beside text and id go to the metadata.

Values are hashed as parsed, so JSONL written to Parquet keeps its keys (nulls are absent fields, see
document.canonical). A row group that cannot be decoded gives a ledger row for each of its rows, whose number the
footer tells; what can be known of a row without decoding its text (its length) decides before Python sees it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ...console import RequestError
from ...document import json_text
from .batches import Part, PartBuilder
from .jsonl import document

ROWS, BYTES, BUFFER, CHUNK = 256, 4 << 20, 1 << 20, 64 << 20


def row_groups(path: str, text_field: str) -> list[tuple[int, int, int]]:
    """(first row, rows, bytes) of each row group. Raises RequestError when the file is no Parquet or lacks the text."""
    try:
        meta = pq.read_metadata(path)
        schema = pq.read_schema(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise RequestError(f"{path}: not a readable Parquet file ({str(error).splitlines()[0]})") from None
    if len(set(schema.names)) < len(schema.names):
        raise RequestError(f"{path}: two columns have the same name ({', '.join(schema.names)})")
    if text_field not in schema.names:
        raise RequestError(
            f"{path}: no column `{text_field}` (it has {', '.join(schema.names)}); name it with input.text_field"
        )
    kind = schema.field(text_field).type
    if not _is_text(kind):
        raise RequestError(f"{path}: the column `{text_field}` holds {kind}, expected text")
    groups, first = [], 0
    for i in range(meta.num_row_groups):
        group = meta.row_group(i)
        groups.append((first, group.num_rows, group.total_byte_size))
        first += group.num_rows
    return groups


def read(unit: dict[str, Any]) -> Iterator[Part]:
    """Parts of the row groups of a unit of input."""
    build = PartBuilder(unit["source"])
    meta = pq.read_metadata(unit["path"])
    groups = [meta.row_group(i) for i in range(*unit["row_groups"])]
    flat = _held_once(meta.schema.to_arrow_schema(), groups)
    options = {"pre_buffer": False, "buffer_size": BUFFER, "page_checksum_verification": True}
    file = pq.ParquetFile(unit["path"], read_dictionary=flat, **options)
    number = unit["first_row"]
    for i, group in zip(range(*unit["row_groups"]), groups, strict=True):
        end = number + group.num_rows
        try:
            for batch in file.iter_batches(_rows(group), row_groups=[i], use_threads=False):
                for part in _slices(batch):
                    _add(build, number, part, unit)
                    number += part.num_rows
                    if build.full:
                        yield build.take()
        except (pa.ArrowException, OSError) as error:
            if getattr(error, "errno", None) is not None:  # the disk's trouble, not the file's
                raise
            for row in range(number, end):
                build.reject(row, "damaged", f"{row}".encode())
                if build.full:
                    yield build.take()
            number = end
    yield build.take()


def _held_once(schema: pa.Schema, groups: list[Any]) -> list[str]:
    """Columns of text to keep encoded by dictionary, so that a value that stands in a million rows is held once.

    Those of small chunks, since a chunk whose values all differ costs its size again.
    """
    sizes: dict[str, int] = {}
    for group in groups:
        for i in range(group.num_columns):
            column = group.column(i)
            sizes[column.path_in_schema] = max(sizes.get(column.path_in_schema, 0), column.total_uncompressed_size)
    text = [field.name for field in schema if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)]
    return [name for name in text if sizes.get(name, 0) <= CHUNK]


def _rows(group: Any) -> int:
    """Rows to decode at once, by their mean size: about BYTES, and few where a dictionary may hold large values."""
    most = ROWS if group.total_byte_size <= CHUNK else ROWS // 16
    return max(1, min(most, BYTES * group.num_rows // max(1, group.total_byte_size)))


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind)


def _slices(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """`batch` in slices of about BYTES, each value counted as often as it stands there."""
    sizes = np.full(batch.num_rows, batch.nbytes // max(1, batch.num_rows))
    for column in batch.columns:
        if pa.types.is_dictionary(column.type):
            sizes += _lengths(column)
    passed = (np.cumsum(sizes) - sizes) // BYTES
    bounds = [0, *(np.flatnonzero(np.diff(passed)) + 1).tolist(), batch.num_rows]
    for start, end in itertools.pairwise(bounds):
        yield batch.slice(start, end - start)


def _lengths(column: pa.Array) -> np.ndarray:
    """int64[n]: UTF-8 bytes of each value of a column of text, 0 where there is none."""
    if pa.types.is_dictionary(column.type):
        if not _is_text(column.type.value_type):
            return np.zeros(len(column), np.int64)
        lengths = pc.binary_length(column.dictionary).take(column.indices)
    else:
        lengths = pc.binary_length(column)
    return pc.fill_null(lengths, 0).to_numpy(zero_copy_only=False).astype(np.int64)


def _add(build: PartBuilder, number: int, batch: pa.RecordBatch, unit: dict[str, Any]) -> None:
    """The documents of a few rows, those that are too large without making them objects."""
    text_field, limit = unit["text_field"], unit["max_record_bytes"]
    sizes = np.sum([_lengths(column) for column in batch.columns if _is_text(column.type)], axis=0)
    fits = sizes <= limit
    try:
        values = iter(_timed(batch.filter(pa.array(fits))).to_pylist())
    except (ValueError, OverflowError):  # UTF-8 that is none, or a date that Python has no form for
        if batch.num_rows > 1:
            for row in range(batch.num_rows):
                _add(build, number + row, batch.slice(row, 1), unit)
        else:
            _unreadable(build, number, batch)
        return
    for row in range(batch.num_rows):
        if fits[row]:
            value = next(values)
            raw = b"" if isinstance(value.get(text_field), str) else json_text(value).encode()
            document(build, number + row, value, None, raw, text_field, unit["id_field"])
        else:
            raw = f"{number + row}".encode()
            build.reject(number + row, "too_large", raw, value=int(sizes[row]), threshold=limit)


def _timed(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Nanoseconds cut to microseconds, which Python's times have."""
    for i, field in enumerate(batch.schema):
        if str(field.type).endswith("[ns]") or str(field.type).startswith("timestamp[ns,"):
            kind = pa.type_for_alias(str(field.type).partition("[")[0] + "[us]")
            if pa.types.is_timestamp(field.type):
                kind = pa.timestamp("us", field.type.tz)
            batch = batch.set_column(i, field.name, batch.column(i).cast(kind, safe=False))
    return batch


def _unreadable(build: PartBuilder, number: int, row: pa.RecordBatch) -> None:
    for column in row.columns:
        try:
            column.to_pylist()
        except UnicodeDecodeError:
            build.reject(number, "utf8", f"{number}".encode())
            return
        except (ValueError, OverflowError):
            continue
    build.reject(number, "schema", f"{number}".encode(), detail=json_text({"found": "a time out of range"}))
