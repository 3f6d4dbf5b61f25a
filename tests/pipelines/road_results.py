"""What a run gave, read without the package: its files as run.json names them, as plain sorted rows to compare."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

FOLDERS = ("documents", "ledger", "signals", "rejected", "dedup", "tokens")
TERMINAL = ("key", "stage", "rule", "action", "value", "threshold", "detail")

Results = dict[str, list[tuple[Any, ...]]]


def results(run: Path) -> Results:
    """Name -> rows. All but the tokens are sorted; nothing in them says where a record came from."""
    names = json.loads((run / "run.json").read_text())["files"]
    ledger = _rows(run, names, "ledger/", "*")
    found: Results = {
        "documents": _sorted(_rows(run, names, "documents/", ("key", "text"))),
        "terminal": _sorted(tuple(row[c] for c in TERMINAL) for row in ledger if row["action"] != "edit"),
        "edits": _sorted(tuple(row[c] for c in TERMINAL) for row in ledger if row["action"] == "edit"),
        "signals": _sorted(
            tuple(v for k, v in sorted(row.items()) if k not in ("source", "record"))
            for row in _rows(run, names, "signals/", "*")
        ),
        "rejected": _sorted(_rows(run, names, "rejected/", ("key", "stage", "rule", "text"))),
        "pairs": _sorted(_rows(run, names, "dedup/pairs/", ("a", "b", "bands", "jaccard"))),
        "clusters": _sorted(_rows(run, names, "dedup/clusters/", ("kept", "dropped", "jaccard"))),
    }
    if "tokens/manifest.json" in names:
        for split, rows in token_rows(run / "tokens").items():
            found[f"tokens of {split}"] = rows
    return found


def token_rows(folder: Path) -> Results:
    """Split -> (key, token ids) in stored order, over the shards in the order of the manifest."""
    manifest = json.loads((folder / "manifest.json").read_text())
    found: Results = {}
    for split, shards in manifest["splits"].items():
        rows = found.setdefault(split, [])
        for shard in shards:
            with pa.OSFile(str(folder / shard["file"])) as file:
                table = pa.ipc.open_file(file).read_all()
            rows += zip(_plain(table["key"]), map(tuple, table["tokens"].to_pylist()), strict=True)
    return found


def _rows(run: Path, names: dict[str, Any], folder: str, columns: Any) -> list[Any]:
    """Rows of the Parquet files of a folder: dicts for columns "*", else tuples of those columns."""
    rows: list[Any] = []
    for name in names:
        if name.startswith(folder) and name.endswith(".parquet"):
            table = pq.read_table(run / name)
            wanted = table.column_names if columns == "*" else columns
            values = list(zip(*(_plain(table[c]) for c in wanted), strict=True))
            rows += [dict(zip(wanted, v, strict=True)) for v in values] if columns == "*" else values
    return rows


def _plain(column: pa.ChunkedArray) -> list[Any]:
    return [v.hex() if isinstance(v, bytes) else v for v in column.to_pylist()]


def _sorted(rows: Any) -> list[tuple[Any, ...]]:
    return sorted(rows, key=repr)


def difference(a: Results, b: Results) -> str:
    """Where two results differ, with the first row that only one of them has; "" when they are the same."""
    found = []
    for name in sorted(a.keys() | b.keys()):
        mine, theirs = a.get(name, []), b.get(name, [])
        if mine != theirs:
            only = [[str(row)[:300] for row in x if row not in set(y)][:2] for x, y in ((mine, theirs), (theirs, mine))]
            found.append(f"{name}: {len(mine)} rows and {len(theirs)}; only in the first {only[0]}, second {only[1]}")
    return "\n".join(found)


def digest(found: Results) -> str:
    """One sha256 of it all."""
    return hashlib.sha256(repr(sorted(found.items())).encode()).hexdigest()


def files(run: Path) -> dict[str, str]:
    """Path -> sha256 of every file in the folders that a run leaves, strays included."""
    return {
        path.relative_to(run).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in FOLDERS
        for path in sorted((run / folder).rglob("*"))
        if path.is_file()
    }


def journal(run: Path, event: str) -> list[tuple[str, str]]:
    """(step, unit) of each start or commit, in order; a kill may have cut no line, since each is one write."""
    lines = [json.loads(line) for line in (run / "work" / "journal.jsonl").read_text().splitlines()]
    return [(step, unit) for kind, step, unit, *_ in lines if kind == event]


def every_file(run: Path) -> dict[str, str]:
    """Path -> sha256 of all that a run left, work/ too; but for what says when, how long and by whom."""
    told = {"run.json", "report.html", ".lock", "work/journal.jsonl", "work/costs.jsonl"}
    return {
        path.relative_to(run).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(run.rglob("*"))
        if path.is_file() and path.relative_to(run).as_posix() not in told
    }
