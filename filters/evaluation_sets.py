"""Evaluation sets: the texts of their items, out of JSONL and Parquet.

An item is a record; its texts are the strings found under the fields that the recipe names, each on its own, so that
no n-gram runs from a question into an answer, which nobody would find so on a page. `joined` makes one text of them.
"""

from __future__ import annotations

import glob
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field

from ..config import Settings
from ..console import RequestError
from .listfiles import as_paths, blocks, require


class EvaluationSet(Settings):
    """One evaluation set."""

    paths: str | tuple[str, ...] = Field(description="Files or patterns: JSONL (plain, .gz, .zst) or Parquet")
    fields: tuple[str, ...] = Field(
        min_length=1,
        description="Fields that hold text, `choices.text` for one in another; of a list every entry counts",
    )
    id_field: str | None = Field("id", description="What the ledger names an item by; else its file and line")
    joined: bool = Field(False, description="One text of all fields, in their order, and not each on its own")


def set_files(name: str, settings: EvaluationSet) -> list[str]:
    """The files of a set, by name. Raises RequestError for one that is missing or unreadable."""
    key, files = f"decontaminate.sets.{name}.paths", []
    for path in as_paths(settings.paths):
        found = sorted(glob.glob(path, recursive=True)) if glob.has_magic(path) and not Path(path).exists() else [path]
        if not found:
            raise RequestError(f"{key}: {path}: no file matches")
        files += [require(key, file) for file in found if not Path(file).is_dir() or file == path]
    if not files:
        raise RequestError(f"{key}: no files")
    return files


def read_items(name: str, settings: EvaluationSet) -> Iterator[tuple[str, list[str]]]:
    """(name, texts) of every item. Raises RequestError for a damaged file and a field that no record of the set has."""
    wanted = {field: field.split(".") for field in settings.fields}
    seen: set[str] = set()
    files = set_files(name, settings)
    for path in files:
        rows = _parquet if path.lower().endswith(".parquet") else _jsonl
        for line, record in rows(f"decontaminate.sets.{name}", path, settings):
            texts = []
            for field, parts in wanted.items():
                values = list(_strings(record, parts))
                seen.update((field,) if values else ())
                texts += values
            own = record.get(settings.id_field) if settings.id_field else None
            called = str(own) if isinstance(own, (str, int)) else f"{Path(path).name}:{line}"
            yield called, [" ".join(texts)] if settings.joined else texts
    if absent := [field for field in wanted if field not in seen]:
        raise RequestError(f"decontaminate.sets.{name}.fields: no record of {files[0]} has text under `{absent[0]}`")


def _strings(value: Any, parts: list[str]) -> Iterator[str]:
    """Every string under a path of fields; lists are gone through on the way and at its end."""
    if isinstance(value, list):
        for entry in value:
            yield from _strings(entry, parts)
    elif parts:
        if isinstance(value, dict) and parts[0] in value:
            yield from _strings(value[parts[0]], parts[1:])
    elif isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for entry in value.values():
            yield from _strings(entry, parts)


def _jsonl(key: str, path: str, settings: EvaluationSet) -> Iterator[tuple[int, dict]]:
    line = 0
    for block in blocks(f"{key}.paths", path):
        for raw in block.removesuffix(b"\n").split(b"\n"):
            line += 1
            if not raw.strip():
                continue
            try:
                record = json.loads(raw)
            except (ValueError, RecursionError):
                record = None
            if not isinstance(record, dict):
                raise RequestError(f"{key}.paths: {path}:{line}: not a JSON object")
            yield line, record


def _parquet(key: str, path: str, settings: EvaluationSet) -> Iterator[tuple[int, dict]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            there = set(file.schema_arrow.names)
            columns = {field.partition(".")[0] for field in settings.fields} | {settings.id_field}
            line = 0
            for batch in file.iter_batches(1000, columns=sorted(columns & there)):
                for record in batch.to_pylist():
                    line += 1
                    yield line, record
    except (pa.ArrowException, OSError) as error:
        raise RequestError(f"{key}.paths: {path}: cannot be read: {error}") from None
