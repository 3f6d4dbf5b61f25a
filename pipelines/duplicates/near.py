"""Near duplicates: MinHash candidates, verified before anybody is dropped.

- candidates, a unit a pass: (band, partition) blocks of band hashes; documents in one bucket are candidates;
- components, one unit: provisional clusters, which only divide the work of the next two steps into partitions;
- shingles, a unit an input unit: re-reads its candidate documents, sends their shingle sets (or their signatures, where
  the recipe is content with an estimate) to their partitions;
- verify, a unit a partition: the similarity of each candidate pair, and who stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from ...document import key_words
from ...exchange import ExchangeWriter, Index, read_table
from .. import stepfiles
from ..files import ParquetSink, arrow_batches
from ..recipe import from_json
from ..units import Commit, Unit, progress
from . import index
from .shuffle import known, left, to_units, write_block
from .standing import DUPLICATES, duplicates

# -- candidates ------------------------------------------------------------------------------------------------------

CANDIDATES = pa.schema([("first", pa.uint64()), ("second", pa.int64()), ("bands", pa.uint64())])
PAIRS, MEMBERS = 0, 1  # destinations: (a, b, bands) of small buckets, (bucket, handle, bands) of large ones


def map_candidates(unit: Unit, number: int) -> Iterator[tuple[int, bytes]]:
    """Blocks of band hashes of the documents that the steps before left, and of those of earlier runs."""
    settings = unit.settings
    wanted = [divmod(block, settings["partitions"]) for block in settings["blocks"]]
    # an old document that was removed removes nobody, unless whatever is connected is one cluster
    before = ("urls", "exact", "verify") if settings["cluster"] == "star" else ("urls", "exact")
    for handle, batch in left(unit, number, before):
        blocks = band_blocks(batch, handle, settings["minhash"], settings["partitions"], wanted)
        for (band, partition), data in blocks:
            yield band * settings["partitions"] + partition, data


def band_blocks(
    batch: pa.RecordBatch, handle: np.ndarray, minhash: dict[str, Any], partitions: int, wanted: list[tuple[int, int]]
) -> Iterator[tuple[tuple[int, int], bytes]]:
    """((band, partition), entries) of a batch of hashes with signatures, for the `wanted` blocks."""
    from ...dedup.candidates import band_hashes, blocks

    settings = minhash_settings(minhash)
    flat = np.asarray(batch.column("signature").flatten()).reshape(len(handle), settings.permutations)
    rank, key = batch.column("rank").to_numpy(), key_words(batch.column("key"))
    hashes = band_hashes(flat, settings, {band for band, _ in wanted})
    yield from blocks(hashes, rank, key, handle, partitions, wanted)


def reduce_candidates(unit: Unit, block: int, values: list[bytes]) -> None:
    """Candidate pairs of one (band, partition); members of large buckets as lists."""
    from ...dedup.candidates import bucket_pairs, from_bytes, large_buckets

    pairs, big = bucket_pairs(from_bytes(values), block // unit.settings["partitions"])
    pairs = pairs[~(index.is_old(pairs["a"]) & index.is_old(pairs["b"]))]
    hot, largest = large_buckets(big)
    write_block(
        unit,
        "work/candidates",
        block,
        CANDIDATES,
        [
            (_candidates(pairs["a"].astype(np.uint64), pairs["b"], pairs["bands"]), np.full(len(pairs), PAIRS)),
            (_candidates(big["bucket"], big["handle"], big["bands"]), np.full(len(big), MEMBERS)),
        ],
        {
            "pairs": len(pairs),
            "large_buckets": hot,
            "in_large_buckets": len(big),
            "largest_bucket": largest,
        },
    )


def _candidates(first: np.ndarray, second: np.ndarray, bands: np.ndarray) -> pa.RecordBatch:
    columns = [np.ascontiguousarray(c) for c in (first, second, bands)]
    return pa.RecordBatch.from_arrays([pa.array(c) for c in columns], schema=CANDIDATES)


def from_candidates(columns: Sequence[np.ndarray], destination: int) -> np.ndarray:
    """candidates.PAIR[n], or of MEMBERS candidates.MEMBER[n], of columns as CANDIDATES has them."""
    from ...dedup.candidates import MEMBER, PAIR

    dtype, names = (PAIR, ("a", "b", "bands")) if destination == PAIRS else (MEMBER, ("bucket", "handle", "bands"))
    rows = np.empty(len(columns[0]), dtype)
    for name, column in zip(names, columns, strict=True):
        rows[name] = column
    return rows


def _read_candidates(files: Iterable[tuple[str, Index]], place: int, destination: int) -> np.ndarray:
    table = read_table(files, place, CANDIDATES)
    return from_candidates([column.to_numpy() for column in table.columns], destination)


def minhash_settings(value: dict[str, Any]) -> Any:
    """MinHashSettings as they travel to workers."""
    from ...dedup.settings import MinHashSettings

    return from_json(MinHashSettings, value)


# -- provisional clusters --------------------------------------------------------------------------------------------

REQUESTS = pa.schema([("row", pa.int64()), ("rank", pa.int64()), ("partition", pa.int64())])


def run_components(unit: Unit) -> None:
    """Find the clusters of candidates and deal them to partitions: to units, which rows to send where; to partitions,
    which pairs to measure."""
    from ...dedup.candidates import merge_pairs, units_and_rows
    from ...dedup.components import components

    root = unit.root
    files = list(stepfiles.exchange_files(root, stepfiles.load(root, unit.inputs["candidates"]), "work/candidates"))
    pairs = merge_pairs(_read_candidates([file], PAIRS, PAIRS) for file in files)
    big = _read_candidates(files, MEMBERS, MEMBERS)
    nodes, label = components(pairs, big)
    numbers, rows = units_and_rows(nodes)
    sizes, ranks = _lengths_and_ranks(unit, numbers, rows)
    partition = _deal(label, sizes, unit.settings["partition_bytes"])
    largest = np.bincount(label).max() if len(label) else 0
    with Commit(unit) as commit:
        requests = ExchangeWriter(commit.file("work/requests", ".arrow"), REQUESTS)
        columns = [pa.array(part) for part in (rows, ranks, partition)]
        requests.add(pa.RecordBatch.from_arrays(columns, schema=REQUESTS), numbers)
        commit.index("work/requests", requests.close())
        tasks = ExchangeWriter(commit.file("work/tasks", ".arrow"), CANDIDATES)
        where = partition[np.searchsorted(nodes, pairs["a"])]
        tasks.add(_candidates(pairs["a"].astype(np.uint64), pairs["b"], pairs["bands"]), 2 * where + PAIRS)
        where = partition[np.searchsorted(nodes, big["handle"])]
        tasks.add(_candidates(big["bucket"], big["handle"], big["bands"]), 2 * where + MEMBERS)
        commit.index("work/tasks", tasks.close())
        commit.finish(
            {
                "pairs": len(pairs),
                "documents": len(nodes),
                "provisional_clusters": int(label.max()) + 1 if len(label) else 0,
                "largest_provisional_cluster": int(largest),
            }
        )


def _lengths_and_ranks(unit: Unit, numbers: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(bytes of text, survivor rank) of each document (units ascending), from the hashes of the first phase."""
    found = np.zeros((2, len(rows)), np.int64)
    for number in np.unique(numbers):
        mine = numbers == number
        for line, name in enumerate(("bytes", "rank")):
            every = np.concatenate([batch.column(name).to_numpy() for _, batch in known(unit, int(number))])
            found[line, mine] = every[rows[mine]]
    return found[0], found[1]


def _deal(label: np.ndarray, sizes: np.ndarray, limit: int) -> np.ndarray:
    """The partition of each document: whole components in order of their numbers, a new partition at every `limit`."""
    if not len(label):
        return np.empty(0, np.int64)
    weight = np.bincount(label, weights=sizes).astype(np.int64)
    bins = (np.cumsum(weight) - weight) // limit
    return np.unique(bins, return_inverse=True)[1][label].astype(np.int64)  # a large component leaves gaps


SETS = pa.schema(
    [
        ("handle", pa.int64()),
        ("key", pa.binary(16)),
        ("rank", pa.int64()),
        ("shingles", pa.large_list(pa.field("item", pa.uint64(), nullable=False))),
    ]
)


def sets_schema(minhash: dict[str, Any]) -> pa.Schema:
    """SETS, or with `verify: signatures` the same with signatures in place of shingles."""
    if minhash["verify"] == "exact":
        return SETS
    item = pa.field("item", pa.uint32(), nullable=False)
    return pa.schema([*list(SETS)[:3], ("signature", pa.list_(item, minhash["permutations"]))])


def run_shingles(unit: Unit) -> None:
    """Send what is known of the candidates of one unit to their partitions: their shingle sets, or signatures."""
    settings = unit.settings
    files = stepfiles.exchange_files(unit.root, stepfiles.load(unit.root, unit.inputs["components"]), "work/requests")
    requests = read_table(files, unit.number, REQUESTS).sort_by("row")
    wanted = [requests.column(name).to_numpy() for name in REQUESTS.names]
    schema = sets_schema(settings["minhash"])
    with Commit(unit) as commit:
        writer = ExchangeWriter(commit.file("work/shingles", ".arrow"), schema, budget=settings["budget"])
        start = 0
        for handle, batch in _candidates_of(unit):
            rows, rank, partition = wanted
            low, high = np.searchsorted(rows, [start, start + batch.num_rows])
            if low < high:
                at = rows[low:high] - start
                part = batch.take(pa.array(at))
                writer.add(set_rows(part, handle[at], rank[low:high], schema, settings["minhash"]), partition[low:high])
            start += batch.num_rows
            progress()
        commit.index("work/shingles", writer.close())
        commit.finish({"documents": len(wanted[0])})


def _candidates_of(unit: Unit) -> Iterator[tuple[np.ndarray, pa.RecordBatch]]:
    """(handles, texts) of all documents of a unit; of earlier runs, and for an estimate, what is known without them."""
    from ...dedup.candidates import handles

    if index.is_part(unit.number) or unit.settings["minhash"]["verify"] == "signatures":
        yield from known(unit, unit.number)
        return
    start = 0
    for batch in arrow_batches(f"{unit.root}/{unit.inputs['text']}"):
        yield handles(unit.number, np.arange(start, start + batch.num_rows)), batch
        start += batch.num_rows


def set_rows(
    batch: pa.RecordBatch, handle: np.ndarray, rank: np.ndarray, schema: pa.Schema, minhash: dict[str, Any]
) -> pa.RecordBatch:
    """Rows of `schema` (see `sets_schema`) of documents, or of rows that have the last column already."""
    name = schema.names[-1]
    known = batch.column(name) if name in batch.schema.names else shingle_lists(batch.column("text"), minhash)
    return pa.RecordBatch.from_arrays([pa.array(handle), batch.column("key"), pa.array(rank), known], schema=schema)


def shingle_lists(texts: pa.Array, minhash: dict[str, Any]) -> pa.Array:
    """large_list<uint64>[n]: the sorted shingle hashes of each text."""
    from ...dedup.shingles import shingle_sets

    values, offsets = shingle_sets(texts, minhash_settings(minhash))
    return pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(values), type=SETS.field("shingles").type)


# -- verification ----------------------------------------------------------------------------------------------------

PAIR_ROWS = pa.schema(
    [
        ("a", pa.binary(16)),
        ("b", pa.binary(16)),
        ("bands", pa.uint64()),
        ("jaccard", pa.float64()),
        ("exact", pa.bool_()),
    ]
)
EXAMPLES = 5  # of a large cluster
CLUSTER_ROWS = pa.schema([("kept", pa.binary(16)), ("dropped", pa.binary(16)), ("jaccard", pa.float64())])


def measure(
    sets: pa.Table, pairs: np.ndarray, big: np.ndarray, minhash: dict[str, Any]
) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray]:
    """(dedup.verify.Verified, handles dropped, handles that stay for them, similarity) of whole clusters of candidates.

    `sets`: all their documents, of `sets_schema`; `minhash`: the settings, as plain values.
    """
    from ...dedup.survivors import connected, stars
    from ...dedup.verify import verify, verify_signatures

    threshold = minhash["threshold"]
    nodes, rank, key = sets.column("handle").to_numpy(), sets.column("rank").to_numpy(), key_words(sets.column("key"))
    last = sets.column(3).combine_chunks()
    if minhash["verify"] == "exact":
        shingles = np.asarray(last.offsets), np.asarray(last.values)
        found = verify(nodes, rank, key, *shingles, pairs, big, threshold)
    else:
        signatures = np.asarray(last.flatten()).reshape(len(last), minhash["permutations"])
        found = verify_signatures(nodes, rank, key, signatures, pairs, big, threshold)
    choose = stars if minhash["cluster"] == "star" else connected
    dropped, kept, jaccard = choose(nodes, rank, key, found.pairs, found.pairs["jaccard"], threshold)
    return found, dropped, kept, np.ascontiguousarray(jaccard)


def keys_of(sets: pa.Table, handles: np.ndarray) -> pa.Array:
    nodes = sets.column("handle").to_numpy()
    order = np.argsort(nodes)
    at = order[np.searchsorted(nodes, handles, sorter=order)]
    return sets.column("key").combine_chunks().take(pa.array(at))


def run_verify(unit: Unit) -> None:
    """Measure the candidate pairs of one partition, decide who stays, tell the units of those who do not."""
    root, partition, minhash = unit.root, unit.settings["partition"], unit.settings["minhash"]
    tasks = list(stepfiles.exchange_files(root, stepfiles.load(root, unit.inputs["components"]), "work/tasks"))
    pairs = _read_candidates(tasks, 2 * partition + PAIRS, PAIRS)
    big = _read_candidates(tasks, 2 * partition + MEMBERS, MEMBERS)
    shingles = stepfiles.exchange_files(root, stepfiles.load(root, unit.inputs["shingles"]), "work/shingles")
    sets = read_table(shingles, partition, sets_schema(minhash))
    found, *chosen = measure(sets, pairs, big, minhash)
    ours = ~index.is_old(chosen[0])
    dropped, kept, jaccard = (part[ours] for part in chosen)
    drops = duplicates(keys_of(sets, kept), jaccard, minhash["threshold"], index.names(unit, kept))
    with Commit(unit) as commit:
        columns = [keys_of(sets, np.ascontiguousarray(found.pairs[name])) for name in ("a", "b")]
        columns += [pa.array(np.ascontiguousarray(found.pairs[name])) for name in ("bands", "jaccard")]
        exact = pa.repeat(pa.scalar(minhash["verify"] == "exact"), len(found.pairs))
        rows = pa.RecordBatch.from_arrays([*columns, exact], schema=PAIR_ROWS)
        _write_sorted(commit.file("dedup/pairs", ".parquet"), rows)
        columns = [drops.column("kept"), keys_of(sets, dropped), drops.column("value")]
        rows = pa.RecordBatch.from_arrays(columns, schema=CLUSTER_ROWS)
        _write_sorted(commit.file("dedup/clusters", ".parquet"), rows)
        writer = ExchangeWriter(commit.file("work/near", ".arrow"), DUPLICATES)
        writer.add(*to_units(dropped, drops))
        commit.index("work/near", writer.close())
        counts = {"measured": len(found.pairs), "dropped": len(dropped), "unmeasured": int(found.unmeasured)}
        commit.finish({**counts, **_sizes(rows, minhash["large_cluster"])})


def _sizes(rows: pa.RecordBatch, large: int) -> dict[str, Any]:
    """Counts of CLUSTER_ROWS: clusters, the size of the largest, the large ones as [key, size, some others' keys]."""
    order = rows.sort_by([("kept", "ascending"), ("dropped", "ascending")])
    kept = key_words(order.column("kept"))
    starts = np.flatnonzero(np.r_[True, (kept[1:] != kept[:-1]).any(axis=1)]) if len(kept) else np.empty(0, np.int64)
    sizes = np.diff(np.r_[starts, len(kept)]) + 1
    found = []
    for start, size in zip(starts.tolist(), sizes.tolist(), strict=True):
        if size > large:
            some = [key.hex() for key in order.column("dropped").slice(start, EXAMPLES).to_pylist()]
            found.append([order.column("kept")[start].as_py().hex(), size, some])
    return {"clusters": len(sizes), "largest_cluster": int(sizes.max(initial=0)), "large_clusters": found}


def _write_sorted(path: str, rows: pa.RecordBatch) -> None:
    """Rows of two keys, in order of the keys: no trace of where the documents came from."""
    sink = ParquetSink(path, rows.schema)
    sink.write(rows.sort_by([(name, "ascending") for name in rows.schema.names[:2]]))
    sink.close()
