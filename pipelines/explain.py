"""`gristmill explain`: why one record was kept, dropped or changed, and where its tokens are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..console import RequestError
from ..dedup.differences import printable
from .driver import load_facts

MOST = 20  # records shown for one name: published corpora repeat ids


def find(root: str | Path, name: str) -> list[dict[str, Any]]:
    """Ledger rows of every record that `name` (id, key in hex, or source:record) names, terminal row last."""
    condition = _condition(name)
    rows: list[dict[str, Any]] = []
    for path in ledger_files(root):
        table = pq.read_table(path, filters=condition, use_threads=False)
        rows += table.to_pylist()
    rows.sort(key=lambda r: (r["source"], r["record"], r["action"] != "edit"))
    return rows


def _condition(name: str) -> Any:
    by_id = pc.field("id") == name
    if re.fullmatch(r"[0-9a-f]{32}", name):
        return by_id | (pc.field("key") == bytes.fromhex(name))
    source, colon, record = name.rpartition(":")
    if colon and record.isdigit():
        return by_id | ((pc.field("source") == source) & (pc.field("record") == int(record)))
    return by_id


def ledger_files(root: str | Path) -> list[Path]:
    """The ledger of a whole run, as run.json names it."""
    return [Path(root, name) for name in load_facts(root)["files"] if name.startswith("ledger/")]


def explain(root: str | Path, name: str) -> Iterator[str]:
    """The account of a record, as lines of text. Raises RequestError where no record goes by that name."""
    rows = find(root, name)
    if not rows:
        raise RequestError(f"{name}: no record of {root} has this id, key or source:record")
    places = list(dict.fromkeys((r["source"], r["record"]) for r in rows))
    for source, record in places[:MOST]:
        mine = [r for r in rows if (r["source"], r["record"]) == (source, record)]
        first = mine[0]
        yield printable(f"{source}:{record}")
        yield f"  id   {printable(first['id'] or '(none)')}"
        yield f"  key  {first['key'].hex()}"
        for row in mine:
            yield "  " + _row(row)
            if row["stage"] == "dedup":
                yield from (f"       {line}" for line in _duplicate(root, row))
            if row["action"] == "keep":
                yield from (f"       {line}" for line in _tokens(root, row["key"]))
    if len(places) > MOST:
        yield f"... and {len(places) - MOST} more records of this name"


def _row(row: dict[str, Any]) -> str:
    text = f"{row['action']} {row['stage']}/{row['rule']}"
    if row["value"] is not None:
        text += f"  value {row['value']:g}"
    if row["threshold"] is not None:
        text += f"  threshold {row['threshold']:g}"
    if row["detail"]:
        text += f"  {printable(row['detail'])}"
    return f"{text}  (version {row['version']})"


def _duplicate(root: str | Path, row: dict[str, Any]) -> Iterator[str]:
    """What deduplication dropped a record for, or cut out of it."""
    detail, stays = json.loads(row["detail"]), "the one that stays"
    for unit in ("lines", "paragraphs"):
        if unit in detail:
            count, numbers = detail[f"removed_{unit}"], detail[unit]
            more = ", ..." if count > len(numbers) else ""
            yield f"{unit} cut that stand elsewhere: {count:,}, numbers {', '.join(map(str, numbers))}{more}"
    if "passages" in detail:
        yield f"passages cut that stand elsewhere: {detail['passages']:,}, {detail['bytes']:,} bytes"
        stays = "where the longest of them stays"
    if "index" in detail:
        yield f"{stays}: a document of the earlier run with index {detail['index']}  id {printable(detail['id'] or '')}"
    elif "kept" in detail:
        for twin in [row for row in find(root, detail["kept"]) if row["action"] != "edit"][:1]:
            place = printable(f"{twin['source']}:{twin['record']}")
            yield f"{stays}: {place}  id {printable(twin['id'] or '(none)')}  ({twin['action']})"


def _tokens(root: str | Path, key: bytes) -> Iterator[str]:
    """The shard and row of a kept document: the shards are in order of a value, so one search finds it."""
    tokens = Path(root, "tokens")
    if not (tokens / "manifest.json").exists():
        return
    from ..tokenize.manifest import Manifest
    from ..tokenize.shards import Shard

    for split, info in Manifest.read(tokens).shards():
        shard = Shard(tokens / info.file)
        for batch in shard.batches:
            rows = pc.indices_nonzero(pc.equal(batch.rows["key"], key)).to_pylist()
            for row in rows:
                count = int(batch.offsets[row + 1] - batch.offsets[row])
                yield f"tokens: {split}, {info.file}, row {batch.first_row + row}, {count:,} tokens"
