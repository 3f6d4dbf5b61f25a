"""The index of a run: what later runs need, so that a new crawl is deduplicated against all earlier ones, text unread.

A row for every document that reached deduplication, kept or removed: key, id, rank, hashes, signature, the key of the
one that stayed for it (`cluster`), the rule that removed it, and with `verify: exact` its sorted shingle hashes. In a
later run the parts of the index are more units, numbered from OLD_UNITS. Old always wins: ranks of old documents are
moved below all others, so they come first in every order, and no step tells an old document anything.

Which old documents take part in a step: those that took part in it then; where clusters are stars only those that
stayed, since one that was removed removes nobody. So A, and then B against A, removes from B what one run over both
would where all of A comes before B, as long as no bucket is too large to be compared pair by pair.

The size is that of the signatures, 4 bytes a permutation, and of the shingles, 8 bytes each: more than the text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...console import RequestError
from .. import documents, stepfiles
from ..files import ArrowSink, arrow_batches
from ..units import Commit, Unit, digest_of, progress, write_json
from .standing import REMOVERS, Removals

FORMAT = 1
FOLDER, FACTS = "dedup/index", "dedup/index.json"
OLD_UNITS = 1 << 30  # numbers of parts of indexes: above those of all units of input
OLD_RANKS = 1 << 62  # what old documents' ranks are moved by: beyond survivors.LAST


def is_part(number: int) -> bool:
    """Whether a number is that of a part of an index, and not of a unit of input."""
    return number >= OLD_UNITS


def is_old(handles: np.ndarray) -> np.ndarray:
    """bool[n]: which handles are of documents of earlier runs."""
    return handles >= OLD_UNITS << 32


# -- written ---------------------------------------------------------------------------------------------------------


def schema(dedup: dict[str, Any], shingles: bool) -> pa.Schema:
    """Rows of an index; `dedup` as DedupSettings.of_hashes gives it."""
    fields = [*documents.hash_schema(dedup), pa.field("id", pa.string()), pa.field("cluster", pa.binary(16))]
    fields.append(pa.field("removed_by", pa.string()))  # the rule; null for those that stayed
    if shingles:
        fields.append(pa.field("shingles", pa.large_list(pa.field("item", pa.uint64(), nullable=False))))
    return pa.schema(fields)


def run_index(unit: Unit) -> None:
    """The part of the index of one unit of input."""
    dedup, shingles = unit.settings["dedup"], unit.settings["shingles"]
    gone = _clusters(unit)
    rows = np.array(sorted(gone), np.int64)
    clusters, rules = (np.array([gone[row][i] for row in rows.tolist()], object) for i in (0, 1))
    counts = {"documents": 0, "shingles": 0}
    with Commit(unit) as commit:
        form = schema(dedup, shingles)
        sink = ArrowSink(commit.file(FOLDER, ".arrow"), form)
        start = 0
        pairs = zip(*(arrow_batches(f"{unit.root}/{unit.inputs[name]}") for name in ("hashes", "text")), strict=True)
        for hashes, texts in pairs:
            low, high = np.searchsorted(rows, [start, start + hashes.num_rows])
            cluster, rule = np.array(hashes.column("key").to_pylist(), object), np.full(hashes.num_rows, None, object)
            at = rows[low:high] - start
            cluster[at], rule[at] = clusters[low:high], rules[low:high]
            columns = [
                *hashes.columns,
                texts.column("id"),
                pa.array(cluster, pa.binary(16)),
                pa.array(rule, pa.string()),
            ]
            if shingles:
                columns.append(_shingles(texts.column("text"), dedup["minhash"]))
                counts["shingles"] += len(columns[-1].values)
            sink.write(pa.RecordBatch.from_arrays(columns, schema=form))
            counts["documents"] += hashes.num_rows
            start += hashes.num_rows
            progress(hashes.num_rows)
        sink.close()
        commit.finish(counts)


def _clusters(unit: Unit) -> dict[int, tuple[bytes, str]]:
    """row -> (key of the one that stays, rule), of the documents of a unit that are dropped as duplicates."""
    found: dict[int, tuple[bytes, str]] = {}
    for remover, table in Removals(unit, unit.number).tables:
        if not remover.edits:
            for row, kept in zip(table.column("row").to_pylist(), table.column("kept").to_pylist(), strict=True):
                found[row] = kept, remover.rule
    return found


def _shingles(texts: pa.Array, minhash: dict[str, Any]) -> pa.Array:
    from .near import shingle_lists

    return shingle_lists(texts, minhash)


def facts(recipe: Any, entries: list[stepfiles.Entry], size: int) -> dict[str, Any]:
    """The contents of dedup/index.json: what a later run must agree in, and the parts."""
    files = [entry.manifest.only(FOLDER) for entry in entries]
    count = stepfiles.total(entries, "documents")
    return {
        "format": FORMAT,
        "settings": settings(recipe),
        "documents": count,
        "bytes": size,
        "files": {name: {"rows": e.manifest.counts["documents"]} for name, e in zip(files, entries, strict=True)},
    }


def settings(recipe: Any) -> dict[str, Any]:
    """What two runs must agree in for one's index to serve the other."""
    minhash = recipe.dedup.minhash
    told = recipe.dedup.of_hashes()
    told.pop("keep")  # old documents win whatever they were chosen by
    return told | {"verify": None if minhash is None else minhash.verify}


# -- read ------------------------------------------------------------------------------------------------------------


def open_indexes(recipe: Any) -> list[dict[str, Any]]:
    """The parts of the indexes that a recipe names: {path, run, size}. Raises RequestError.

    A run is told apart by a digest of its index, since it may lie anywhere.
    """
    parts = []
    for place in recipe.dedup.against:
        try:
            told = json.loads(Path(place, FACTS).read_text())
        except OSError:
            raise RequestError(
                f"dedup.against: {place}: no run with an index (it has no {FACTS}); run it again with dedup.index: true"
            ) from None
        if told.get("format") != FORMAT:
            raise RequestError(f"dedup.against: {place}: an index of format {told.get('format')}, not {FORMAT}")
        _agree(place, told["settings"], settings(recipe))
        run = digest_of(told)[:12]
        for name, facts in told["files"].items():
            path = Path(place, name).resolve()
            if not path.is_file():
                raise RequestError(f"dedup.against: {path}: part of the index, and missing")
            parts.append({"path": str(path), "run": run, "rows": facts["rows"], "size": path.stat().st_size})
    return parts


def _agree(place: str, theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    """Raises RequestError naming each setting in which an index differs."""
    old, new = _flat(theirs), _flat(ours)
    other = [name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]
    if other:
        told = "; ".join(f"{name} is {_text(old.get(name))} there and {_text(new.get(name))} here" for name in other)
        raise RequestError(f"dedup.against: {place}: an index of other settings: {told}")


def _flat(value: dict[str, Any], prefix: str = "dedup.") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, inner in value.items():
        found |= _flat(inner, f"{prefix}{name}.") if isinstance(inner, dict) else {prefix + name: inner}
    return found


def _text(value: Any) -> str:
    return "absent" if value is None else json.dumps(value)


def save_parts(root: str, parts: list[dict[str, Any]]) -> tuple[str, str]:
    """(file relative to the run directory, digest) of the parts, for the units."""
    digest = digest_of([[part["run"], part["rows"], part["size"]] for part in parts])
    name = f"work/plan/against-{digest_of(parts)[:12]}.json"
    write_json(Unit("against", "plan", root, digest), Path(root, name), parts)
    return name, digest


@lru_cache(maxsize=4)
def _parts(root: str, name: str) -> list[dict[str, Any]]:
    return json.loads(Path(root, name).read_text())


def parts(unit: Unit) -> list[dict[str, Any]]:
    """The parts that `unit.inputs["against"]` names."""
    name = unit.inputs.get("against")
    return _parts(unit.root, name) if name else []


def numbers(unit: Unit) -> list[int]:
    """The numbers of the parts, as units count them."""
    return [OLD_UNITS + i for i, part in enumerate(parts(unit)) if part["rows"]]


def rows(unit: Unit, number: int) -> Iterator[pa.RecordBatch]:
    """The rows of a part, mapped: only what is looked at is read. Ranks are moved below those of this run."""
    path = parts(unit)[number - OLD_UNITS]["path"]
    with pa.memory_map(path) as file:
        reader = pa.ipc.open_file(file)
        for i in range(reader.num_record_batches):
            batch = reader.get_batch(i)
            rank = pa.array(batch.column("rank").to_numpy() - OLD_RANKS)
            at = batch.schema.get_field_index("rank")
            yield batch.set_column(at, batch.schema.field(at), rank)


def took_part(batch: pa.RecordBatch, steps: Iterable[str]) -> np.ndarray:
    """bool[n]: which old documents none of `steps` removed."""
    rules = pa.array([REMOVERS[step].rule for step in steps], pa.string())
    return ~pc.is_in(batch.column("removed_by"), rules).to_numpy(zero_copy_only=False)


def names(unit: Unit, handles: np.ndarray) -> tuple[pa.Array, pa.Array]:
    """(ids, runs) of documents, null for those of this run; `handles` int64[n] in any order."""
    ids, runs = np.full(len(handles), None, object), np.full(len(handles), None, object)
    for number in np.unique(handles[is_old(handles)] >> 32).tolist():
        mine = np.flatnonzero(handles >> 32 == number)
        runs[mine] = parts(unit)[number - OLD_UNITS]["run"]
        ids[mine] = column(unit, number, "id", handles[mine] & 0xFFFFFFFF).to_pylist()
    return pa.array(ids, pa.string()), pa.array(runs, pa.string())


def column(unit: Unit, number: int, name: str, at: np.ndarray) -> pa.Array:
    """One column of a part at the rows `at`, int64[k] in any order."""
    path = parts(unit)[number - OLD_UNITS]["path"]
    with pa.memory_map(path) as file:
        table = pa.ipc.open_file(file).read_all()
        return table.column(name).take(pa.array(at)).combine_chunks()
