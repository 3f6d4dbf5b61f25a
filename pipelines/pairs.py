"""`gristmill dedup --inspect`: the measured pairs nearest to a similarity, side by side.

Their texts are as they were when they were compared: of documents/ and rejected/ where these hold them whole and uncut,
else the record is read again from the input and goes through the recipe's stages, so it is scrubbed as ever. The key
tells whether the record found there is still the same. Documents of earlier runs are named by their run; an index holds
no text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..config import validate
from ..console import RequestError
from ..dedup.differences import printable, side_by_side
from ..document import EDIT
from . import documents, driver
from .duplicates import index
from .duplicates.near import CLUSTER_ROWS, PAIR_ROWS
from .files import parquet_batches
from .ledger import SAMPLE_CHARACTERS
from .readers import inputs
from .recipe import Recipe
from .units import digest_of


@dataclass
class Member:
    """What is known of one document of a pair."""

    key: bytes
    row: dict[str, Any] | None = None  # its terminal row in the ledger; None of a document of an earlier run
    cut: bool = False  # whether deduplication cut its text after it was compared
    text: str | None = None
    missing: str = ""  # why there is no text


def inspect(root: str | Path, near: float | None, limit: int, width: int, colour: bool) -> Iterator[str]:
    """Lines that show pairs of a whole run; see `gather` for which, `side_by_side` for how. Raises RequestError."""
    facts = driver.load_facts(root)
    recipe = validate(Recipe, facts["recipe"], f"{root}/run.json")
    minhash = recipe.dedup.minhash
    if minhash is None:
        raise RequestError(f"{root}: the recipe has no dedup.minhash, so no pair was measured")
    found = gather(root, facts["files"], recipe, minhash.threshold if near is None else near, limit)
    if not found:
        yield f"{root}: no pair was measured"
    removed = _removed(root, facts["files"], {key for pair, *_ in found for key in (pair["a"], pair["b"])})
    for number, (pair, *both) in enumerate(found, 1):
        yield f"{number}. " + _heading(pair, minhash, removed)
        for name, member in zip(("left", "right"), both, strict=True):
            yield f"   {name:6}{_name(member)}"
        if all(member.text is not None for member in both):
            yield from side_by_side(*(member.text for member in both), width, colour)
        yield ""


def gather(
    root: str | Path, files: Iterable[str], recipe: Recipe, near: float, limit: int
) -> list[tuple[dict[str, Any], Member, Member]]:
    """Pairs (see `nearest`), each a row of dedup/pairs, with what is known of its documents."""
    pairs = nearest(root, files, near, limit)
    members = {key: Member(key) for pair in pairs for key in (pair["a"], pair["b"])}
    _find_rows(root, files, members)
    _name_runs(recipe, members)
    _find_texts(root, files, members)
    wanted = [member for member in members.values() if member.row is not None and member.text is None]
    if wanted:
        _read_again(recipe, wanted)
    return [(pair, members[pair["a"]], members[pair["b"]]) for pair in pairs]


def nearest(root: str | Path, files: Iterable[str], near: float, limit: int) -> list[dict[str, Any]]:
    """Rows of dedup/pairs: those of a similarity from `near` up, nearest first, then those below; at most `limit`.

    Half are of either kind where there are enough of both. Keys decide between equals.
    """
    kept: dict[bool, pa.Table] = {above: PAIR_ROWS.empty_table() for above in (True, False)}
    for batch in _batches(root, files, "dedup/pairs/", PAIR_ROWS):
        measured = batch.column("jaccard").to_numpy()
        for above, table in kept.items():
            mine = batch.filter(pa.array((measured >= near) == above))
            order = [("jaccard", "ascending" if above else "descending"), ("a", "ascending"), ("b", "ascending")]
            kept[above] = pa.concat_tables([table, pa.Table.from_batches([mine])]).sort_by(order).slice(0, limit)
    above, below = kept[True], kept[False]
    most = max(limit - below.num_rows, (limit + 1) // 2)
    above = above.slice(0, most)
    return above.to_pylist() + below.slice(0, limit - above.num_rows).to_pylist()


def _batches(root: str | Path, files: Iterable[str], folder: str, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for name in files:
        if name.startswith(folder):
            yield from parquet_batches(Path(root, name), schema, 1 << 16)


def _among(column: pa.Array, members: Iterable[bytes]) -> np.ndarray:
    """int64: the rows whose key is one of `members`."""
    return np.flatnonzero(pc.is_in(column.cast(pa.binary()), pa.array(sorted(members), pa.binary())))


def _removed(root: str | Path, files: Iterable[str], members: set[bytes]) -> dict[bytes, bytes]:
    """Key -> key of the one that stays for it, of those `members` that were dropped as near duplicates."""
    found: dict[bytes, bytes] = {}
    for batch in _batches(root, files, "dedup/clusters/", CLUSTER_ROWS):
        mine = batch.take(pa.array(_among(batch.column("dropped"), members)))
        found.update(zip(mine.column("dropped").to_pylist(), mine.column("kept").to_pylist(), strict=True))
    return found


def _heading(pair: dict[str, Any], minhash: Any, removed: dict[bytes, bytes]) -> str:
    how = "exact" if pair["exact"] else f"estimated from {minhash.permutations} minima"
    bands = [band + 1 for band in range(minhash.bands) if pair["bands"] >> band & 1]
    told = f"bands {' '.join(map(str, bands))} of {minhash.bands}" if bands else "of a large bucket"
    if removed.get(pair["b"]) == pair["a"]:
        end = "the right one was dropped for the left"
    elif removed.get(pair["a"]) == pair["b"]:
        end = "the left one was dropped for the right"
    elif pair["jaccard"] < minhash.threshold:
        end = f"below the threshold {minhash.threshold:g}"
    else:
        end = "neither was dropped for the other"
    return f"Jaccard {pair['jaccard']:.4f}, {how}; {told}; {end}"


def _name(member: Member) -> str:
    if member.row is None:
        return f"key {member.key.hex()}  {member.missing}"
    row = member.row
    told = f"{printable(row['id'] or '(no id)')}  {printable(row['source'])}:{row['record']}  key {row['key'].hex()}"
    end = row["action"] if row["action"] == "keep" else f"{row['action']} {row['stage']}/{row['rule']}"
    return f"{told}  {end}" + (f"  {member.missing}" if member.missing else "")


# -- where they are --------------------------------------------------------------------------------------------------


def _find_rows(root: str | Path, files: Iterable[str], members: dict[bytes, Member]) -> None:
    """The ledger rows of the members; of records equal in every field the first by place."""
    condition = pc.field("key").isin([pa.scalar(key, pa.binary(16)) for key in sorted(members)])
    rows = []
    for name in files:
        if name.startswith("ledger/"):
            rows += pq.read_table(Path(root, name), filters=condition, use_threads=False).to_pylist()
    for row in sorted(rows, key=lambda row: (row["source"], row["record"])):
        member = members[row["key"]]
        if row["action"] != EDIT:
            member.row = member.row or row
        elif row["stage"] == "dedup":
            member.cut = True


def _find_texts(root: str | Path, files: Iterable[str], members: dict[bytes, Member]) -> None:
    """Texts that the run holds as they were compared."""
    whole = {key for key, member in members.items() if member.row is not None and not member.cut}
    for name in files:
        if name.startswith(("documents/", "rejected/")) and name.endswith(".parquet"):
            for key, text in _texts(Path(root, name), whole):
                if name.startswith("documents/") or len(text) < SAMPLE_CHARACTERS:  # samples are cut
                    members[key].text = text


def _texts(path: Path, keys: set[bytes]) -> Iterator[tuple[bytes, str]]:
    """(key, text) of those documents of a file that are wanted: texts are read of row groups that hold one."""
    file = pq.ParquetFile(path, pre_buffer=False)
    for group in range(file.num_row_groups):
        column = file.read_row_group(group, ["key"], use_threads=False).column("key")
        rows = pa.array(_among(column, keys))
        if len(rows):
            texts = file.read_row_group(group, ["text"], use_threads=False).column("text")
            yield from zip(column.take(rows).to_pylist(), texts.take(rows).to_pylist(), strict=True)


def _name_runs(recipe: Recipe, members: dict[bytes, Member]) -> None:
    """Say of documents of earlier runs which run that is, where its index is still in its place."""
    old = {key for key, member in members.items() if member.row is None}
    for key in old:
        members[key].missing = "of an earlier run whose index is not there any more: no text"
    for place in recipe.dedup.against if old else ():
        try:
            told = json.loads(Path(place, index.FACTS).read_text())
            for name in told["files"]:
                with pa.memory_map(str(Path(place, name))) as file:
                    table = pa.ipc.open_file(file).read_all().select(["key", "id"])
                    for row in table.take(pa.array(_among(table.column("key"), old))).to_pylist():
                        run = f"{place} (index {digest_of(told)[:12]})"
                        members[row["key"]].missing = f"id {printable(row['id'])}, of the earlier run {run}: no text"
        except OSError:
            continue


def _read_again(recipe: Recipe, wanted: list[Member]) -> None:
    """The texts of records from the input, through the recipe's stages."""
    try:
        sources = driver.sources_of(recipe)
    except RequestError as error:
        for member in wanted:
            member.missing = f"(its text is gone: {error})"
        return
    stages = documents.build_stages(documents.stage_settings(recipe))
    schema = documents.signal_schema(stages)
    for unit in sources:
        mine = {member.row["record"]: member for member in wanted if member.row["source"] == unit["source"]}
        for batch in _records(unit, mine) if mine else ():
            passed = documents.pass_stages(batch, stages, schema).batch
            for key, text in zip(passed.column("key").to_pylist(), passed.column("text").to_pylist(), strict=True):
                for member in mine.values():
                    if member.key == key:
                        member.text = text
    for member in wanted:
        if member.text is None:
            member.missing = "(its text is gone: the input has changed)"


def _records(unit: dict[str, Any], wanted: Iterable[int]) -> Iterator[pa.RecordBatch]:
    """Those records of a unit of input; the file is read as far as the last of them."""
    places, last = pa.array(sorted(wanted), pa.int64()), max(wanted)
    for part in inputs.read(unit):
        records = part.batch.column("record")
        rows = part.batch.filter(pc.is_in(records, places))
        if rows.num_rows:
            yield rows
        if len(records) and records[-1].as_py() >= last:
            return
