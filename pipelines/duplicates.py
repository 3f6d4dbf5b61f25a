"""Phase 2, across documents: exact duplicates, then MinHash candidates, verified before anybody is dropped.

Steps, each a list of units; text never moves, hashes do:
- exact, a unit a pass of the shuffle: content hashes by partition; of equal texts one stays;
- candidates, a unit a pass: (band, partition) blocks of band hashes; documents in one bucket are candidates;
- components, one unit: provisional clusters, which only divide the work of the next two steps into partitions;
- shingles, a unit an input unit: re-reads its candidate documents, sends their shingle sets to their partitions;
- verify, a unit a partition: the true Jaccard of each candidate pair, and who stays: stars, so that everybody dropped
is
  within the threshold of the one that stays.

A pass holds as many blocks as the memory budget allows, since the local runner keeps a whole shuffle in memory; which
pairs are found does not depend on the passes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..document import key_words, words_to_keys
from ..exchange import ExchangeWriter, read_table
from . import stepfiles
from .corpus import DUPLICATES
from .files import ParquetSink, arrow_batches
from .units import Commit, Unit, fail_point, progress, write_json

VERSION = 2
RUNNER_COPIES = 5.5  # the local runner's peak over the bytes that cross a shuffle, measured

# -- exact -----------------------------------------------------------------------------------------------------------

CONTENT = np.dtype([("content", "<u8", (2,)), ("rank", "<i8"), ("key", "<u8", (2,)), ("handle", "<i8")])


def plan_blocks(bytes_each: int, documents: int, memory: int, blocks_a_partition: int) -> tuple[int, list[list[int]]]:
    """(partitions, blocks of each pass): `blocks_a_partition` bands times partitions, so many a pass as memory allows.

    A partition holds at most an eighth of the budget; both depend on the input and the recipe alone.
    """
    total = max(1, bytes_each * documents)
    budget = max(1, int(memory / RUNNER_COPIES))
    partitions = max(1, -(-total * 8 // budget))
    size = max(1, total // partitions)
    numbers = list(range(blocks_a_partition * partitions))
    share = max(1, budget // size)
    return partitions, [numbers[i : i + share] for i in range(0, len(numbers), share)]


def known(unit: Unit, number: int) -> Iterator[tuple[np.ndarray, pa.RecordBatch]]:
    """(handles, hashes) of the documents that unit `number` of the first phase kept."""
    from ..dedup.candidates import handles

    entry = stepfiles.load(unit.root, unit.inputs["documents"])[number]
    start = 0
    for batch in arrow_batches(f"{unit.root}/{entry.manifest.only('work/hashes')}"):
        yield handles(number, np.arange(start, start + batch.num_rows)), batch
        start += batch.num_rows


def mappers(unit: Unit) -> list[int]:
    """The mappers of a shuffle: the units of the first phase that kept anything."""
    return [e.number for e in stepfiles.load(unit.root, unit.inputs["documents"]) if e.manifest.counts.get("kept")]


def map_exact(unit: Unit, number: int) -> Iterator[tuple[int, bytes]]:
    """Blocks of (content, rank, key, handle), one a partition of the content hashes."""
    wanted = set(unit.settings["blocks"])
    for handle, batch in known(unit, number):
        for block, data in content_blocks(content_entries(batch, handle), unit.settings["partitions"]):
            if block in wanted:
                yield block, data
        progress()


def content_entries(batch: pa.RecordBatch, handle: np.ndarray) -> np.ndarray:
    """CONTENT[n] of a batch of hashes (documents.hash_schema)."""
    rows = np.empty(len(handle), CONTENT)
    rows["content"], rows["key"] = key_words(batch.column("content")), key_words(batch.column("key"))
    rows["rank"], rows["handle"] = batch.column("rank").to_numpy(), handle
    return rows


def content_blocks(rows: np.ndarray, partitions: int) -> Iterator[tuple[int, bytes]]:
    """The entries by partition of their contents, those that have any."""
    to = _partition(rows["content"][:, 0], partitions)
    for block in np.unique(to).tolist():
        yield block, rows[to == block].tobytes()


def _partition(hashes: np.ndarray, partitions: int) -> np.ndarray:
    return (((hashes >> np.uint64(32)) * np.uint64(partitions)) >> np.uint64(32)).astype(np.int64)


def exact_drops(values: list[bytes]) -> tuple[np.ndarray, pa.RecordBatch]:
    """(handles, DUPLICATES rows with `row` still the handle): of each group of equal contents all but one."""
    from ..dedup.exact import group_duplicates

    rows = np.frombuffer(b"".join(values), CONTENT)
    drop, kept = group_duplicates(rows["content"], rows["rank"], rows["key"], rows["handle"])
    handles, ones = np.ascontiguousarray(rows["handle"][drop]), pa.array(np.ones(len(drop)))
    columns = [pa.array(handles), words_to_keys(rows["key"][kept]), ones, ones]
    return handles, pa.RecordBatch.from_arrays(columns, schema=DUPLICATES)


def reduce_exact(unit: Unit, block: int, values: list[bytes]) -> None:
    """The drops of one partition of the contents, to their units by exchange."""
    parts = [_to_units(*exact_drops(values))]
    _write_block(unit, "work/exact", block, DUPLICATES, parts, {"exact_duplicates": parts[0][0].num_rows})


def _to_units(handles: np.ndarray, drops: pa.RecordBatch) -> tuple[pa.RecordBatch, np.ndarray]:
    """DUPLICATES rows with `row` filled from the handles, and the unit that each belongs to."""
    from ..dedup.candidates import units_and_rows

    numbers, rows = units_and_rows(handles)
    return drops.set_column(0, DUPLICATES.field(0), pa.array(rows)), numbers


# -- candidates ------------------------------------------------------------------------------------------------------

CANDIDATES = pa.schema([("first", pa.uint64()), ("second", pa.int64()), ("bands", pa.uint64())])
PAIRS, MEMBERS = 0, 1  # destinations: (a, b, bands) of small buckets, (bucket, handle, bands) of large ones


def map_candidates(unit: Unit, number: int) -> Iterator[tuple[int, bytes]]:
    """Blocks of band hashes of the documents that exact deduplication left."""
    settings = unit.settings
    wanted = [divmod(block, settings["partitions"]) for block in settings["blocks"]]
    dropped = _exact_rows(unit, number)
    for handle, batch in known(unit, number):
        kept = np.flatnonzero(~np.isin(handle & 0xFFFFFFFF, dropped))
        batch = batch.take(pa.array(kept))
        blocks = band_blocks(batch, handle[kept], settings["minhash"], settings["partitions"], wanted)
        for (band, partition), data in blocks:
            yield band * settings["partitions"] + partition, data
        progress()


def band_blocks(
    batch: pa.RecordBatch, handle: np.ndarray, minhash: dict[str, Any], partitions: int, wanted: list[tuple[int, int]]
) -> Iterator[tuple[tuple[int, int], bytes]]:
    """((band, partition), entries) of a batch of hashes with signatures, for the `wanted` blocks."""
    from ..dedup.candidates import band_hashes, blocks

    settings = minhash_settings(minhash)
    flat = np.asarray(batch.column("signature").flatten()).reshape(len(handle), settings.permutations)
    rank, key = batch.column("rank").to_numpy(), key_words(batch.column("key"))
    yield from blocks(band_hashes(flat, settings), rank, key, handle, partitions, wanted)


def _exact_rows(unit: Unit, number: int) -> np.ndarray:
    if not unit.inputs.get("exact"):
        return np.empty(0, np.int64)
    files = stepfiles.exchange_files(unit.root, stepfiles.load(unit.root, unit.inputs["exact"]), "work/exact")
    return read_table(files, number, DUPLICATES).column("row").to_numpy()


def reduce_candidates(unit: Unit, block: int, values: list[bytes]) -> None:
    """Candidate pairs of one (band, partition); members of large buckets as lists."""
    from ..dedup.candidates import bucket_pairs, from_bytes

    pairs, big = bucket_pairs(from_bytes(values), block // unit.settings["partitions"])
    _write_block(
        unit,
        "work/candidates",
        block,
        CANDIDATES,
        [
            (_candidates(pairs["a"].astype(np.uint64), pairs["b"], pairs["bands"]), np.full(len(pairs), PAIRS)),
            (_candidates(big["bucket"], big["handle"], big["bands"]), np.full(len(big), MEMBERS)),
        ],
        {"pairs": len(pairs), "members_of_large_buckets": len(big)},
    )


def _candidates(first: np.ndarray, second: np.ndarray, bands: np.ndarray) -> pa.RecordBatch:
    columns = [np.ascontiguousarray(c) for c in (first, second, bands)]
    return pa.RecordBatch.from_arrays([pa.array(c) for c in columns], schema=CANDIDATES)


def _from_candidates(table: pa.Table, destination: int) -> np.ndarray:
    from ..dedup.candidates import MEMBER, PAIR

    names = ("a", "b", "bands") if destination == PAIRS else ("bucket", "handle", "bands")
    rows = np.empty(table.num_rows, PAIR if destination == PAIRS else MEMBER)
    for name, column in zip(names, table.columns, strict=True):
        rows[name] = column.to_numpy()
    return rows


def minhash_settings(value: dict[str, Any]) -> Any:
    """MinHashSettings as they travel to workers."""
    from ..dedup.settings import MinHashSettings

    return MinHashSettings.model_validate_json(json.dumps(value))


# -- files of a shuffle ----------------------------------------------------------------------------------------------


def _block_stem(unit: Unit, folder: str, block: int) -> str:
    return f"{folder}/{unit.file_stem}-{block:06d}"


def _write_block(unit: Unit, folder: str, block: int, schema: pa.Schema, parts: list, counts: dict[str, int]) -> None:
    """What one reducer leaves: an exchange file, and beside it its index and counts, for the commit of the pass."""
    stem = Path(unit.root, _block_stem(unit, folder, block))
    stem.parent.mkdir(parents=True, exist_ok=True)
    aside = stem.with_name(f".{stem.name}.aside")
    with ExchangeWriter(aside, schema) as writer:
        for batch, destinations in parts:
            writer.add(batch, destinations)
        index = writer.close()
    fail_point(unit.step, "block")
    aside.replace(stem.with_name(stem.name + ".arrow"))
    write_json(unit, stem.with_name(stem.name + ".json"), {"index": index, "counts": counts})
    progress()


def commit_blocks(folder: str, unit: Unit) -> None:
    """Commit a pass of a shuffle: its reducers' files stand under their final names; a block without rows left none."""
    counts: dict[str, int] = {}
    with Commit(unit) as commit:
        for block in unit.settings["blocks"]:
            stem = _block_stem(unit, folder, block)
            side = Path(unit.root, stem + ".json")
            if side.exists():
                facts = json.loads(side.read_text())
                commit.adopt(stem + ".arrow", facts["index"])
                for name, count in facts["counts"].items():
                    counts[name] = counts.get(name, 0) + count
        commit.finish(counts)


# -- provisional clusters --------------------------------------------------------------------------------------------

REQUESTS = pa.schema([("row", pa.int64()), ("partition", pa.int64())])


def run_components(unit: Unit) -> None:
    """Find the clusters of candidates and deal them to partitions: to units, which rows to send where; to partitions,
    which pairs to measure."""
    from ..dedup.candidates import merge_pairs, units_and_rows
    from ..dedup.components import components

    root = unit.root
    files = list(stepfiles.exchange_files(root, stepfiles.load(root, unit.inputs["candidates"]), "work/candidates"))
    pairs = merge_pairs([_from_candidates(read_table([file], PAIRS, CANDIDATES), PAIRS) for file in files])
    big = _from_candidates(read_table(files, MEMBERS, CANDIDATES), MEMBERS)
    nodes, label = components(pairs, big)
    numbers, rows = units_and_rows(nodes)
    sizes = _lengths(unit, numbers, rows)
    partition = _deal(label, sizes, unit.settings["partition_bytes"])
    count = int(partition.max()) + 1 if len(partition) else 0
    largest = np.bincount(label).max() if len(label) else 0
    with Commit(unit) as commit:
        requests = ExchangeWriter(commit.file("work/requests", ".arrow"), REQUESTS)
        requests.add(pa.RecordBatch.from_arrays([pa.array(rows), pa.array(partition)], schema=REQUESTS), numbers)
        commit.index("work/requests", requests.close())
        tasks = ExchangeWriter(commit.file("work/tasks", ".arrow"), CANDIDATES)
        where = partition[np.searchsorted(nodes, pairs["a"])]
        tasks.add(_candidates(pairs["a"].astype(np.uint64), pairs["b"], pairs["bands"]), 2 * where + PAIRS)
        where = partition[np.searchsorted(nodes, big["handle"])]
        tasks.add(_candidates(big["bucket"], big["handle"], big["bands"]), 2 * where + MEMBERS)
        commit.index("work/tasks", tasks.close())
        commit.finish(
            {
                "partitions": count,
                "pairs": len(pairs),
                "documents": len(nodes),
                "provisional_clusters": int(label.max()) + 1 if len(label) else 0,
                "largest_provisional_cluster": int(largest),
            }
        )


def _lengths(unit: Unit, numbers: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Bytes of text of each document (units ascending), from the hashes of the first phase."""
    sizes = np.zeros(len(rows), np.int64)
    for number in np.unique(numbers):
        mine = numbers == number
        every = np.concatenate([batch.column("bytes").to_numpy() for _, batch in known(unit, int(number))])
        sizes[mine] = every[rows[mine]]
    return sizes


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


def run_shingles(unit: Unit) -> None:
    """Re-read the candidate documents of one unit and send their sorted shingle sets to their partitions."""
    from ..dedup.candidates import handles

    root, minhash = unit.root, unit.settings["minhash"]
    files = stepfiles.exchange_files(root, stepfiles.load(root, unit.inputs["components"]), "work/requests")
    requests = read_table(files, unit.number, REQUESTS).sort_by("row")
    rows, partition = requests.column("row").to_numpy(), requests.column("partition").to_numpy()
    with Commit(unit) as commit:
        writer = ExchangeWriter(commit.file("work/shingles", ".arrow"), SETS, budget=unit.settings["budget"])
        start = 0
        for batch in arrow_batches(f"{root}/{unit.inputs['text']}"):
            low, high = np.searchsorted(rows, [start, start + batch.num_rows])
            if low < high:
                part = batch.take(pa.array(rows[low:high] - start))
                writer.add(shingle_rows(part, handles(unit.number, rows[low:high]), minhash), partition[low:high])
            start += batch.num_rows
            progress()
        commit.index("work/shingles", writer.close())
        commit.finish({"documents": len(rows)})


def shingle_rows(batch: pa.RecordBatch, handle: np.ndarray, minhash: dict[str, Any]) -> pa.RecordBatch:
    """SETS rows of a batch of documents."""
    from ..dedup.shingles import shingle_sets
    from ..dedup.survivors import survivor_rank

    values, offsets = shingle_sets(batch.column("text"), minhash_settings(minhash))
    sets = pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(values), type=SETS.field("shingles").type)
    columns = [pa.array(handle), batch.column("key"), pa.array(survivor_rank(batch.column("text"))), sets]
    return pa.RecordBatch.from_arrays(columns, schema=SETS)


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
CLUSTER_ROWS = pa.schema([("kept", pa.binary(16)), ("dropped", pa.binary(16)), ("jaccard", pa.float64())])


def measure(
    sets: pa.Table, pairs: np.ndarray, big: np.ndarray, threshold: float
) -> tuple[Any, np.ndarray, pa.RecordBatch]:
    """(dedup.verify.Verified, handles, DUPLICATES rows with `row` still the handle) of whole clusters of candidates."""
    from ..dedup.survivors import stars
    from ..dedup.verify import verify

    nodes, rank = sets.column("handle").to_numpy(), sets.column("rank").to_numpy()
    keys, shingles = (sets.column(name).combine_chunks() for name in ("key", "shingles"))
    key = key_words(keys)
    found = verify(nodes, rank, key, np.asarray(shingles.offsets), np.asarray(shingles.values), pairs, big, threshold)
    dropped, kept, jaccard = stars(nodes, rank, key, found.pairs, found.pairs["jaccard"], threshold)
    limit = pa.array(np.full(len(dropped), threshold))
    columns = [pa.array(dropped), _keys_of(sets, kept), pa.array(np.ascontiguousarray(jaccard)), limit]
    return found, dropped, pa.RecordBatch.from_arrays(columns, schema=DUPLICATES)


def _keys_of(sets: pa.Table, handles: np.ndarray) -> pa.Array:
    nodes = sets.column("handle").to_numpy()
    order = np.argsort(nodes)
    at = order[np.searchsorted(nodes, handles, sorter=order)]
    return sets.column("key").combine_chunks().take(pa.array(at))


def run_verify(unit: Unit) -> None:
    """Measure the candidate pairs of one partition, decide who stays, tell the units of those who do not."""
    root, partition = unit.root, unit.settings["partition"]
    tasks = list(stepfiles.exchange_files(root, stepfiles.load(root, unit.inputs["components"]), "work/tasks"))
    pairs = _from_candidates(read_table(tasks, 2 * partition + PAIRS, CANDIDATES), PAIRS)
    big = _from_candidates(read_table(tasks, 2 * partition + MEMBERS, CANDIDATES), MEMBERS)
    shingles = stepfiles.exchange_files(root, stepfiles.load(root, unit.inputs["shingles"]), "work/shingles")
    sets = read_table(shingles, partition, SETS)
    found, dropped, drops = measure(sets, pairs, big, unit.settings["threshold"])
    with Commit(unit) as commit:
        columns = [_keys_of(sets, np.ascontiguousarray(found.pairs[name])) for name in ("a", "b")]
        columns += [pa.array(np.ascontiguousarray(found.pairs[name])) for name in ("bands", "jaccard")]
        rows = pa.RecordBatch.from_arrays([*columns, pa.repeat(pa.scalar(True), len(found.pairs))], schema=PAIR_ROWS)
        _write_sorted(commit.file("dedup/pairs", ".parquet"), rows)
        columns = [drops.column("kept"), _keys_of(sets, dropped), drops.column("jaccard")]
        rows = pa.RecordBatch.from_arrays(columns, schema=CLUSTER_ROWS)
        _write_sorted(commit.file("dedup/clusters", ".parquet"), rows)
        writer = ExchangeWriter(commit.file("work/near", ".arrow"), DUPLICATES)
        writer.add(*_to_units(dropped, drops))
        commit.index("work/near", writer.close())
        sizes = pc.value_counts(drops.column("kept")).field("counts").to_numpy()
        commit.finish(
            {
                "measured": len(found.pairs),
                "near_duplicates": len(dropped),
                "clusters": len(sizes),
                "largest_cluster": int(sizes.max(initial=0)) + (len(sizes) > 0),
                "unmeasured": int(found.unmeasured),
            }
        )


def _write_sorted(path: str, rows: pa.RecordBatch) -> None:
    """Rows of two keys, in order of the keys: no trace of where the documents came from."""
    sink = ParquetSink(path, rows.schema)
    sink.write(rows.sort_by([(name, "ascending") for name in rows.schema.names[:2]]))
    sink.close()
