"""Parquet: a row a document, a range of row groups a unit. Columns beside text and id go to the metadata.

Values are hashed as parsed, so JSONL written to Parquet keeps its keys (nulls are absent fields, see
document.canonical).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ...console import RequestError
from ...document import json_text
from .batches import Part, PartBuilder
from .jsonl import document


def row_groups(path: str, text_field: str) -> list[tuple[int, int, int]]:
    """(first row, rows, bytes) of each row group. Raises RequestError when the file is no Parquet or lacks the text."""
    try:
        meta = pq.read_metadata(path)
        schema = pq.read_schema(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise RequestError(f"{path}: not a readable Parquet file ({str(error).splitlines()[0]})") from None
    if text_field not in schema.names:
        raise RequestError(
            f"{path}: no column `{text_field}` (it has {', '.join(schema.names)}); name it with input.text_field"
        )
    kind = schema.field(text_field).type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind)):
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
    text_field, id_field, limit = unit["text_field"], unit["id_field"], unit["max_record_bytes"]
    number = unit["first_row"]
    file = pq.ParquetFile(unit["path"], pre_buffer=False)
    for batch in file.iter_batches(batch_size=256, row_groups=list(range(*unit["row_groups"])), use_threads=False):
        for value in batch.to_pylist():
            text = value.get(text_field)
            if isinstance(text, str) and len(text) > limit // 4 and len(text.encode()) > limit:
                size = len(text.encode())
                build.reject(number, "too_large", text[:1024].encode(), value=size, threshold=limit)
            else:
                document(
                    build, number, value, None, json_text(value).encode() if text is None else b"", text_field, id_field
                )
            number += 1
        if build.full:
            yield build.take()
    yield build.take()
