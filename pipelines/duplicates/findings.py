"""What deduplication found, for people: from the counts in run.json, and for names of documents from the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ...dedup.differences import printable

SHOWN = 5  # large clusters that a warning names


def lines(facts: dict[str, Any]) -> Iterator[str]:
    """What was compared and found, a line a kind; `facts`: the contents of run.json."""
    counts = facts["counts"]["dedup"]
    for step, what in (("urls", "address"), ("exact", "text")):
        if step in counts:
            found = counts[step]
            yield f"{found['dropped']:>12,} dropped for one {what}, of {found['compared']:,} compared"
    if "minhash" in counts:
        near = counts["minhash"]
        told = f"{near['clusters']:,} clusters, the largest of {near['largest_cluster']:,}"
        yield f"{near['dropped']:>12,} dropped as near duplicates: {told}"
        yield f"{near['measured']:>12,} pairs measured, {near['unmeasured']:,} not"
        told = f", the largest of {near['largest_bucket']:,}" if near["large_buckets"] else ""
        yield f"{near['large_buckets']:>12,} hot buckets{told}"
    for rule, count in facts["counts"]["edited"].items():
        if rule.startswith("dedup/"):
            yield f"{count:>12,} documents cut, {rule}"


def index_size(facts: dict[str, Any]) -> Iterator[str]:
    """The size of the index, if the run wrote one."""
    index = facts["counts"].get("dedup", {}).get("index")
    if index is not None:
        size = f"{index['bytes'] / 1e6:,.1f} MB, {index['bytes_a_million'] / 1e9:,.2f} GB a million"
        yield f"index     {index['documents']:>12,} documents: {size}"


def warnings(facts: dict[str, Any]) -> Iterator[str]:
    """What should not be overlooked: large clusters with some documents of each, and pairs that were not measured."""
    near = facts["counts"].get("dedup", {}).get("minhash")
    if near is None:
        return
    if near["unmeasured"]:
        yield (
            f"warning: {near['unmeasured']:,} documents of hot buckets were not compared any further and stay, though"
            " they may be duplicates; more dedup.minhash.rows make smaller buckets"
        )
    clusters = near["large_clusters"]
    if not clusters:
        return
    size = facts["recipe"]["dedup"]["minhash"]["large_cluster"]
    yield f"warning: {len(clusters):,} clusters of more than {size:,} documents (dedup.minhash.large_cluster):"
    shown = clusters[:SHOWN]
    ids = _ids(facts, {key for kept, _, others in shown for key in (kept, *others)})
    for kept, count, others in shown:
        told = ", ".join(ids.get(key, key) for key in others)
        yield f"  {count:,} documents, of which {ids.get(kept, kept)} stays; among them {told}"
    if len(clusters) > SHOWN:
        yield f"  and {len(clusters) - SHOWN:,} more, in run.json"


def _ids(facts: dict[str, Any], keys: set[str]) -> dict[str, str]:
    """Key -> id of documents of a run, in hexadecimal as in run.json; those of earlier runs are not found."""
    wanted = pa.array(sorted(map(bytes.fromhex, keys)), pa.binary(16))
    found: dict[str, str] = {}
    for name in facts["files"]:
        if name.startswith("ledger/"):
            path = Path(facts["recipe"]["output"], name)
            rows = pq.read_table(path, columns=["key", "id"], filters=pc.field("key").isin(wanted), use_threads=False)
            for row in rows.to_pylist():
                found[row["key"].hex()] = printable(row["id"] or row["key"].hex())
    return found
