"""The phases as public transforms, for pipelines of your own.

    with beam.Pipeline(options=options) as p:
        (p | ReadDocuments(["crawl/*.warc.gz"])
           | CleanDocuments(recipe)
           | Deduplicate(work="/shared/work")
           | WriteTokens("/shared/tokens", "tokenizer.json", shards=8))

Elements are Arrow record batches (see document.DOCUMENT). The code is that of `gristmill run`; so are the results,
for the same recipe. Where a transform must read text again it commits its input first: one file a batch, named by its
content, so that a retried bundle writes the same file under the same name. Only hashes and keys cross a shuffle. A
`ledger` folder gets the account of the records the same way, one Parquet file a batch. Files of attempts that lost
are harmless; the folder is the caller's to remove after the run. `Deduplicate` finds clusters and measures pairs in
one worker, up to dedup.components.MAX_EDGES candidates, and keeps all band hashes in the runner at once (locally
about 2.5 KB a document): above a million documents on one machine use `gristmill run`, which goes in passes.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam import pvalue

from ...console import RequestError, WorkError
from ...dedup.settings import DedupSettings, ExactSettings, HighestSignal, Keep, MinHashSettings
from ...document import LEDGER, key_words, words_to_keys
from ...exchange import ExchangeWriter, read_table
from ...filters.pii.settings import NO_EXCEPTIONS
from .. import corpus, documents
from ..duplicates import exact, near
from ..duplicates.standing import DUPLICATES, REMOVERS, Removed, duplicates
from ..ledger import damaged_rows, scrubbed_rows, verdict_rows
from ..readers import inputs
from ..readers.batches import READ
from ..recipe import Recipe, to_json
from . import coder
from .engine import spread

coder.register()
ROW_BITS = 12  # of a handle; the other 51 are the number of the committed file
ROWS = 1 << ROW_BITS  # of a committed file at most
PARTITIONS = 16  # of a band, and of the content hashes


class ReadDocuments(beam.PTransform):
    """Files -> batches of documents, schema readers.batches.READ; the options are those of a recipe's `input`.

    `ledger`: folder for the rows of damaged records, whose ids are scrubbed with the default settings.
    """

    def __init__(
        self,
        paths: Iterable[str],
        *,
        root: str | None = None,
        text_field: str = "text",
        id_field: str = "id",
        max_record_bytes: int = 64 << 20,
        ledger: str | None = None,
    ):
        super().__init__()
        options = {"text_field": text_field, "id_field": id_field, "max_record_bytes": max_record_bytes}
        self.units = [json.dumps(unit) for unit in inputs.units(list(paths), root, options)]
        self.ledger = ledger

    def expand(self, begin: beam.Pipeline) -> beam.PCollection:
        return spread(begin, self.units) | "read" >> beam.FlatMap(_read, self.ledger).with_output_types(pa.RecordBatch)


def _read(text: str, ledger: str | None) -> Iterator[pa.RecordBatch]:
    unit = json.loads(text)
    for part in inputs.read(unit):
        if part.damaged:
            _account(ledger, [scrubbed_rows(damaged_rows(unit["source"], part.damaged), NO_EXCEPTIONS)])
        if part.batch.num_rows:
            yield part.batch


class CleanDocuments(beam.PTransform):
    """Phase 1 on batches of schema READ or DOCUMENT: extraction, language, quality, scrubbing, as the recipe says.

    Gives the survivors, schema DOCUMENT. `ledger`: folder for the rows of what was dropped or changed.
    """

    def __init__(self, recipe: Recipe, *, ledger: str | None = None):
        super().__init__()
        self.settings = documents.stage_settings(recipe)
        self.ledger = ledger

    def expand(self, batches: beam.PCollection) -> beam.PCollection:
        return batches | "clean" >> beam.FlatMap(_clean, self.settings, self.ledger).with_output_types(pa.RecordBatch)


def _clean(batch: pa.RecordBatch, settings: dict[str, Any], ledger: str | None) -> Iterator[pa.RecordBatch]:
    if "media" not in batch.schema.names:
        batch = batch.append_column(READ.field("media"), pa.repeat(pa.scalar("text/plain"), batch.num_rows))
    stages = documents.build_stages(settings)
    passed = documents.pass_stages(batch, stages, documents.signal_schema(stages))
    scrub = documents.scrub_settings(stages)
    _account(
        ledger,
        [
            scrubbed_rows(rows, scrub)
            for stage, seen, verdicts in (*passed.edited, *passed.dropped)
            for rows in verdict_rows(seen, stage.name, stage.version, verdicts)
        ],
    )
    if passed.batch.num_rows:
        yield passed.batch


class Deduplicate(beam.PTransform):
    """Phase 2 on batches of schema DOCUMENT: exact duplicates, then near ones, verified. Gives the survivors.

    `work`: a folder that all workers share. `ledger`: folder for the rows of what was dropped. Batches that are equal
    in every byte count once.
    """

    def __init__(
        self,
        work: str,
        *,
        exact: ExactSettings | None = ExactSettings(),  # noqa: B008 - frozen
        minhash: MinHashSettings | None = MinHashSettings(),  # noqa: B008
        keep: Keep = "longest",
        ledger: str | None = None,
    ):
        super().__init__()
        if isinstance(keep, HighestSignal):
            raise RequestError("keep: a batch of documents has no signals; longest, earliest and sources are possible")
        os.makedirs(work, exist_ok=True)
        self.hashes = DedupSettings(keep=keep, exact=exact, minhash=minhash).of_hashes()
        self.work, self.minhash, self.ledger = str(work), to_json(minhash), ledger

    def expand(self, batches: beam.PCollection) -> beam.PCollection:
        committed = batches | "commit" >> beam.FlatMap(_commit, self.work, self.hashes).with_outputs(
            "blocks", main="files"
        )
        drops = (
            committed.blocks
            | "contents" >> beam.GroupByKey()
            | "exact" >> beam.FlatMap(_exact).with_output_types(tuple[int, bytes])
        )
        left = (
            {"files": committed.files, "drops": drops}
            | "files and exact drops" >> beam.CoGroupByKey()
            | "bands" >> beam.FlatMap(_bands, self.hashes).with_outputs("blocks", main="files")
        )
        near = (
            left.blocks
            | "buckets" >> beam.GroupByKey()
            | "pairs" >> beam.FlatMap(_pairs).with_output_types(tuple[int, bytes])
            | "one worker" >> beam.GroupByKey()
            | "verify"
            >> beam.FlatMap(_verify, self.work, self.minhash, self.hashes).with_output_types(tuple[int, bytes])
        )
        return (
            {"files": left.files, "drops": near}
            | "files and near drops" >> beam.CoGroupByKey()
            | "survivors" >> beam.FlatMap(_survivors, self.ledger).with_output_types(pa.RecordBatch)
        )


def _commit(batch: pa.RecordBatch, work: str, hashes: dict[str, Any]) -> Iterator[Any]:
    """Commit slices of a batch; give (file number, path), and blocks of content hashes."""
    for start in range(0, batch.num_rows, ROWS):
        part = batch.slice(start, ROWS)
        data = coder.RecordBatchCoder().encode(part)
        number = _file_number(data)
        path = Path(work, f"{number:016x}.arrow")
        _write_aside(path, data)
        yield number, str(path)
        if hashes["exact"] is not None:
            known = documents.hashes(part, {**hashes, "minhash": None})
            contents = key_words(known.column("content"))
            rows = exact.hashed(known, contents, _handles(number, part.num_rows))
            for block, entries in exact.hash_blocks(rows, PARTITIONS):
                yield pvalue.TaggedOutput("blocks", (block, entries))


def _file_number(data: bytes) -> int:
    return int.from_bytes(hashlib.sha256(data).digest()[:8], "big") >> ROW_BITS + 1  # with the row at most 2^63 - 1


def _handles(number: int, rows: int) -> np.ndarray:
    return (np.int64(number) << ROW_BITS) | np.arange(rows, dtype=np.int64)


def _write_aside(path: Path, data: bytes) -> None:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{uuid.uuid4().hex}")
        aside.write_bytes(data)
        os.replace(aside, path)
    elif path.read_bytes() != data:
        raise WorkError(f"{path}: holds another batch; begin with an empty folder, or with smaller batches")


def _exact(group: tuple[int, Iterable[bytes]]) -> Iterator[tuple[int, bytes]]:
    # A batch that came twice is one file, so its entries are the same twice: one each, or each would drop the other
    handles, _, keys, _ = exact.equal(sorted(set(group[1])))
    yield from _to_files(handles, duplicates(words_to_keys(keys), np.ones(len(keys)), 1.0))


def _to_files(handles: np.ndarray, drops: pa.RecordBatch) -> Iterator[tuple[int, bytes]]:
    """Drops (schema DUPLICATES, its `row` filled here) to the files of their handles."""
    drops = drops.set_column(0, DUPLICATES.field(0), pa.array(handles & (ROWS - 1)))
    order = np.argsort(handles)  # by file, and in a file by row
    ends = np.flatnonzero(np.diff(handles[order] >> ROW_BITS)) + 1
    for part in np.split(order, ends) if len(order) else []:
        yield int(handles[part[0]] >> ROW_BITS), coder.RecordBatchCoder().encode(drops.take(pa.array(part)))


def _bands(group: tuple[int, dict[str, Iterable]], hashes: dict[str, Any]) -> Iterator[Any]:
    """Give each committed file with its exact drops on, and blocks of the band hashes of the rest."""
    (number, found), minhash = group, hashes["minhash"]
    drops = sorted(found["drops"])
    for path in sorted(set(found["files"])):  # a retry may name a file twice
        yield number, (path, drops)
        if minhash is None:
            continue
        batch = _load(path)
        kept = np.setdiff1d(np.arange(batch.num_rows), _rows(drops))
        known = documents.hashes(batch.take(pa.array(kept)), {**hashes, "exact": None})
        handles = _handles(number, batch.num_rows)[kept]
        wanted = [(band, p) for band in range(minhash["bands"]) for p in range(PARTITIONS)]
        for (band, partition), data in near.band_blocks(known, handles, minhash, PARTITIONS, wanted):
            yield pvalue.TaggedOutput("blocks", (band * PARTITIONS + partition, data))


def _load(path: str) -> pa.RecordBatch:
    return coder.RecordBatchCoder().decode(Path(path).read_bytes())


def _rows(drops: Iterable[bytes]) -> np.ndarray:
    decoded = [coder.RecordBatchCoder().decode(data).column("row").to_numpy() for data in drops]
    return np.concatenate([np.empty(0, np.int64), *decoded])


def _pairs(group: tuple[int, Iterable[bytes]]) -> Iterator[tuple[int, bytes]]:
    from ...dedup.candidates import bucket_pairs, from_bytes

    pairs, big = bucket_pairs(from_bytes(sorted(group[1])), group[0] // PARTITIONS)
    if len(pairs):
        yield 0, b"p" + pairs.tobytes()
    if len(big):
        yield 0, b"b" + big.tobytes()


def _verify(
    group: tuple[int, Iterable[bytes]], work: str, minhash: dict[str, Any], hashes: dict[str, Any]
) -> Iterator[tuple[int, bytes]]:
    """All candidates in one worker: clusters, then a stretch of clusters at a time shingle sets and drops."""
    from ...dedup.candidates import MEMBER, PAIR, merge_pairs
    from ...dedup.components import components

    blocks = sorted(group[1])
    pairs = merge_pairs([np.frombuffer(data[1:], PAIR) for data in blocks if data[:1] == b"p"])
    big = np.concatenate([np.empty(0, MEMBER), *(np.frombuffer(d[1:], MEMBER) for d in blocks if d[:1] == b"b")])
    nodes, label = components(pairs, big)
    stretch = label // 10_000
    for number in np.unique(stretch):
        mine = nodes[stretch == number]
        sets = _sets(mine, work, minhash, hashes)
        asked = pairs[np.isin(pairs["a"], mine)], big[np.isin(big["handle"], mine)]
        _, dropped, kept, jaccard = near.measure(sets, *asked, minhash)
        yield from _to_files(dropped, duplicates(near.keys_of(sets, kept), jaccard, minhash["threshold"]))


def _sets(nodes: np.ndarray, work: str, minhash: dict[str, Any], hashes: dict[str, Any]) -> pa.Table:
    """Shingle sets, or signatures, of documents by handle, re-read from their committed files."""
    batches, schema = [], near.sets_schema(minhash)
    estimated = minhash["verify"] == "signatures"
    for number in np.unique(nodes >> ROW_BITS):
        mine = nodes[nodes >> ROW_BITS == number]
        part = _load(str(Path(work, f"{int(number):016x}.arrow"))).take(pa.array(mine & (ROWS - 1)))
        known = documents.hashes(part, {**hashes, "exact": None, "minhash": hashes["minhash"] if estimated else None})
        rank = known.column("rank").to_numpy()
        batches.append(near.set_rows(known if estimated else part, mine, rank, schema, minhash))
    return pa.Table.from_batches(batches, schema).combine_chunks()


def _survivors(group: tuple[int, dict[str, Iterable]], ledger: str | None) -> Iterator[pa.RecordBatch]:
    _, found = group
    similar = sorted(found["drops"])
    for path, equal in sorted({(path, tuple(drops)) for path, drops in found["files"]}):
        batch = _load(path)
        account, kept = [], np.ones(batch.num_rows, bool)
        for step, drops in (("exact", equal), ("verify", similar)):
            for data in drops:
                facts = pa.Table.from_batches([coder.RecordBatchCoder().decode(data)])
                at = facts.column("row").to_numpy()
                kept[at] = False
                removed = Removed(REMOVERS[step], at, np.ones(len(at), bool), facts, batch)
                account.extend(corpus.removed_rows(removed))
        _account(ledger, account)
        if kept.any():
            yield batch.filter(pa.array(kept))


class WriteTokens(beam.PTransform):
    """Phase 3 on batches of schema DOCUMENT: encode, exchange, `shards` training shards, a validation split, manifest.

    `directory`: a folder that all workers share; token rows wait in its sub-folder `.work`. Gives the manifest's path.
    """

    def __init__(
        self,
        directory: str,
        tokenizer: str,
        *,
        shards: int,
        seed: int = 0,
        validation: float = 0.005,
        end_of_text: str = "<|endoftext|>",
    ):
        super().__init__()
        Path(directory, ".work").mkdir(parents=True, exist_ok=True)
        self.settings = {
            "directory": str(directory),
            "tokenizer": str(tokenizer),
            "slots": shards,
            "seed": seed,
            "validation": validation,
            "end_of_text": end_of_text,
        }

    def expand(self, batches: beam.PCollection) -> beam.PCollection:
        return (
            batches
            | "encode" >> beam.FlatMap(_encode, self.settings).with_output_types(tuple[int, str])
            | "shards" >> beam.GroupByKey()
            | "write" >> beam.FlatMap(_write_shard, self.settings).with_output_types(tuple[int, str])
            | "all shards" >> beam.GroupByKey()
            | "manifest" >> beam.FlatMap(_write_manifest, self.settings).with_output_types(str)
        )


def _encode(batch: pa.RecordBatch, settings: dict[str, Any]) -> Iterator[tuple[int, str]]:
    """Write the token rows of a batch to an exchange file named by its content; tell each shard where its rows are."""
    encoder = corpus.open_encoder(settings["tokenizer"], settings["end_of_text"])
    rows, destinations, _ = corpus.encode(batch, encoder, settings)
    name = f"{_file_number(coder.RecordBatchCoder().encode(rows)):016x}.arrow"
    path = Path(settings["directory"], ".work", name)
    aside = path.with_name(f".{uuid.uuid4().hex}")
    with ExchangeWriter(aside, rows.schema) as writer:
        writer.add(rows, destinations)
        index = writer.close()
    os.replace(aside, path)
    for destination, cells in index.items():
        yield int(destination), json.dumps([str(path), {destination: cells}])


def _write_shard(group: tuple[int, Iterable[str]], settings: dict[str, Any]) -> Iterator[tuple[int, str]]:
    from ...tokenize.shards import write_shard

    number, places = group
    encoder = corpus.open_encoder(settings["tokenizer"], settings["end_of_text"])
    split, shard = divmod(number, settings["slots"])
    files = [json.loads(text) for text in sorted(set(places))]
    table = read_table(files, number, corpus.encoded_schema(encoder.dtype))
    name = f"{corpus.SPLITS[split]}-{shard:05d}.arrow"
    size = int(table.column("utf8_bytes").to_numpy().sum())
    rows = table.select(table.schema.names[:-1])
    aside = Path(settings["directory"], ".work", uuid.uuid4().hex)  # attempts of one shard do not meet
    aside.mkdir()
    info = write_shard(aside / name, rows, seed=settings["seed"], utf8_bytes=size)
    os.replace(aside / name, Path(settings["directory"], name))
    aside.rmdir()
    yield 0, json.dumps([split, shard, info.model_dump(mode="json")])


def _write_manifest(group: tuple[int, Iterable[str]], settings: dict[str, Any]) -> Iterator[str]:
    from ...tokenize.shards import ShardInfo

    encoder = corpus.open_encoder(settings["tokenizer"], settings["end_of_text"])
    splits: dict[str, tuple] = dict.fromkeys(corpus.SPLITS, ())
    for split, _, info in sorted((json.loads(text) for text in set(group[1])), key=lambda row: row[:2]):
        splits[corpus.SPLITS[split]] += (ShardInfo.model_validate(info),)
    yield str(corpus.write_manifest(settings["directory"], encoder, settings["seed"], "", splits))


def _account(ledger: str | None, batches: list[pa.RecordBatch]) -> None:
    """Ledger rows of one batch to a Parquet file named by its content."""
    rows = pa.Table.from_batches(batches, LEDGER).combine_chunks() if batches else None
    if ledger is None or rows is None or rows.num_rows == 0:
        return
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink, compression="zstd", store_schema=False)
    data = sink.getvalue().to_pybytes()
    _write_aside(Path(ledger, f"{hashlib.sha256(data).hexdigest()[:24]}.parquet"), data)
