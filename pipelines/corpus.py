"""Phase 3: drops applied, documents/ and their keep rows committed, tokens encoded, exchanged and sharded.

Steps, each a list of units:
- corpus, a unit an input unit: survivors of both phases to documents/, terminal rows to ledger/;
- tokenizer, one unit: trained on a sample of the survivors chosen by key and fed in key order, or a given file copied;
- encode, a unit an input unit: token rows by exchange to slots of the shard order;
- shards, a unit a shard: the rows of its range of the order, sorted, as one Arrow file.

The number of shards follows from the tokens of the whole corpus, which only encoding tells; so encoding writes to slots
finer than shards, whose number follows from the bytes of text, and a shard reads the slots that its range touches.
"""

from __future__ import annotations

import json
import os
import shutil
import zlib
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..document import DOCUMENT, DROP, EDIT, KEEP, key_words, ledger_rows, text_buffers, token_schema
from ..exchange import ExchangeWriter, read_table
from . import stepfiles
from .duplicates.standing import Removals, Removed
from .files import ParquetSink, arrow_batches, parquet_batches
from .ledger import Ledger, Rejects
from .recipe import from_json
from .units import Commit, Unit, progress

VERSION = 2
SLOT_BYTES = 8 << 20  # of text in a slot: with two bytes a token, a slot is a few megabytes


def run_corpus(unit: Unit) -> None:
    """Write the surviving documents of one unit of input and the terminal row of each that came this far."""
    root, settings = unit.root, unit.settings
    removals = Removals(unit, unit.number)
    lengths = np.zeros(64, np.int64)  # documents of 1, of 2 to 3, of 4 to 7 ... characters
    counts: Counter[str] = Counter()
    with Commit(unit) as commit:
        documents = ParquetSink(commit.file("documents", ".parquet"), DOCUMENT)
        ledger = Ledger(commit.file("ledger", ".corpus.parquet"), None)
        folder = "rejected" if settings["rejected"] == "all" else "work/rejected"
        rejects = Rejects(commit.file(folder, ".corpus.parquet"), settings["rejected"], settings["seed"], None)
        start = 0
        for batch in arrow_batches(f"{root}/{unit.inputs['text']}"):
            kept, batch, taken = removals.apply(batch, start)
            for removed in taken:
                rule = removed.remover.rule
                for rows in removed_rows(removed):
                    ledger.write(rows)
                rejects.add(removed.batch, "dedup", rule, removed.rows[removed.drop])
            characters = pc.utf8_length(batch.column("text")).to_numpy()
            short = np.flatnonzero(kept & (characters < settings["min_characters"]))
            kept[short] = False
            ledger.write(
                ledger_rows(
                    batch,
                    short,
                    stage="corpus",
                    rule="min_characters",
                    action=DROP,
                    value=characters[short].astype(np.float64),
                    threshold=settings["min_characters"],
                )
            )
            rejects.add(batch, "corpus", "min_characters", short)
            rows = np.flatnonzero(kept)
            ledger.write(ledger_rows(batch, rows, stage="corpus", rule="kept", action=KEEP))
            survivors = batch.take(pa.array(rows))
            documents.write(survivors)
            lengths += np.bincount(np.log2(np.maximum(characters[rows], 1)).astype(int), minlength=len(lengths))
            counts["documents"] += len(rows)
            counts["text_bytes"] += int(np.diff(text_buffers(survivors.column("text"))[1]).sum())
            start += batch.num_rows
            progress(batch.num_rows)
        for sink in (documents, ledger, rejects):
            sink.close()
        by_length = {str(1 << i): int(n) for i, n in enumerate(lengths) if n}
        commit.finish({**counts, "lengths": by_length, "ledger": dict(sorted(ledger.counts.items()))})


def removed_rows(removed: Removed) -> Iterator[pa.RecordBatch]:
    """Ledger rows of what a step of deduplication took from a batch."""
    facts = removed.facts
    for drop in (True, False):
        which = removed.drop == drop
        if not which.any():
            continue
        found = facts.filter(pa.array(which))
        if removed.remover.edits:
            details = found.column("detail").combine_chunks()
        else:
            details = pa.array([json.dumps(twin) for twin in _twins(found)], pa.string())
        yield ledger_rows(
            removed.batch,
            removed.rows[which],
            stage="dedup",
            rule=removed.remover.rule,
            action=DROP if drop else EDIT,
            value=found.column("value").to_numpy(),
            threshold=found.column("threshold").to_numpy(),
            detail=details,
        )


def _twins(found: pa.Table) -> Iterator[dict[str, str]]:
    """The document in whose favour each was dropped: its key, and where it is of an earlier run its id and the run."""
    names = ("kept", "old_id", "old_run")
    for key, old_id, run in zip(*(found.column(name).to_pylist() for name in names), strict=True):
        yield {"kept": key.hex()} | ({} if run is None else {"id": old_id, "index": run})


# -- tokeniser -------------------------------------------------------------------------------------------------------


def run_tokenizer(unit: Unit) -> None:
    """Train the tokeniser on the surviving documents, or take the file that the recipe names."""
    settings = unit.settings
    with Commit(unit) as commit:
        path = commit.file("work/tokenizer", ".json")
        if "path" in settings:
            shutil.copyfile(settings["path"], path)
            commit.finish({"documents": 0})
            return
        from ..tokenize.training import TokenizerSettings, train

        texts = _sample(unit, settings["sample_bytes"])
        model = from_json(TokenizerSettings, settings["model"])
        Path(path).write_text(train((zlib.decompress(t).decode() for t in texts), model), encoding="utf-8")
        commit.finish({"documents": len(texts)})


def _sample(unit: Unit, limit: int) -> list[bytes]:
    """Texts of the documents with the smallest draws, up to `limit` bytes, in order of their keys; packed with zlib.

    Two passes over documents/: keys and lengths first, then the chosen texts. They are read in the order of the files
    and fed in the order of the keys, so all wait in memory: packed they take a third, and as `str` one curly quote
    doubles a text.
    """
    from ..tokenize.training import choose_sample

    paths = [f"{unit.root}/{name}" for name in _document_files(unit)]
    place = pa.schema([DOCUMENT.field("key"), DOCUMENT.field("text")])
    words, sizes = [np.empty((0, 2), np.uint64)], [np.empty(0, np.int64)]
    for path in paths:
        for batch in parquet_batches(path, place):
            words.append(key_words(batch.column("key")))
            sizes.append(np.diff(text_buffers(batch.column("text"))[1]))
            progress()
    chosen = choose_sample(np.concatenate(words), np.concatenate(sizes), unit.settings["seed"], limit)
    texts: dict[int, bytes] = {}
    wanted, start = np.sort(chosen), 0
    for path in paths:
        for batch in parquet_batches(path, place):
            low, high = np.searchsorted(wanted, [start, start + batch.num_rows])
            rows = wanted[low:high]
            for row, text in zip(rows.tolist(), batch.column("text").take(pa.array(rows - start)), strict=True):
                texts[row] = zlib.compress(text.as_py().encode(), 1)
            start += batch.num_rows
            progress()
    return [texts[row] for row in chosen.tolist()]


def _document_files(unit: Unit) -> list[str]:
    entries = stepfiles.load(unit.root, unit.inputs["corpus"])
    return [name for entry in entries if (name := entry.manifest.only("documents"))]


# -- tokens ----------------------------------------------------------------------------------------------------------

SPLITS = ("train", "validation")


def slots(text_bytes: int) -> int:
    """Slots of one split: a power of two, so that slot borders are shard borders of no shard but their own."""
    return 1 << max(0, (max(1, text_bytes) // SLOT_BYTES)).bit_length()


def encoded_schema(dtype: pa.DataType) -> pa.Schema:
    """Token rows on their way to a shard, with the bytes of their text."""
    return token_schema(dtype).append(pa.field("utf8_bytes", pa.int64()))


@lru_cache(maxsize=2)
def open_encoder(path: str, end_of_text: str) -> Any:
    """The encoder of a tokeniser file, opened once a process."""
    from ..tokenize.encoding import Encoder

    return Encoder.open(path, end_of_text)


def encode(
    batch: pa.RecordBatch, encoder: Any, settings: dict[str, Any]
) -> tuple[pa.RecordBatch, np.ndarray, np.ndarray]:
    """(token rows, destination of each, tokens of each) of documents; `settings`: seed, validation, slots."""
    from ..tokenize.shards import shard_of, shard_values, validation_split

    words = key_words(batch.column("key"))
    held_out = validation_split(words, settings["seed"], settings["validation"])
    slot = shard_of(shard_values(words, settings["seed"]), settings["slots"])
    tokens = encoder.encode(batch.column("text"))
    sizes = np.diff(text_buffers(batch.column("text"))[1])
    place = [batch.column(name) for name in ("id", "key", "source", "record", "offset")]
    rows = pa.RecordBatch.from_arrays([tokens, *place, pa.array(sizes)], schema=encoded_schema(encoder.dtype))
    return rows, slot + np.where(held_out, settings["slots"], 0), np.diff(np.asarray(tokens.offsets))


def run_encode(unit: Unit) -> None:
    """Encode the documents of one unit and hand their token rows to the slots of the shard order."""
    settings = unit.settings
    encoder = open_encoder(f"{unit.root}/{unit.inputs['tokenizer']}", settings["end_of_text"])
    counts: Counter[str] = Counter()
    with Commit(unit) as commit:
        path = commit.file("work/encoded", ".arrow")
        writer = ExchangeWriter(path, encoded_schema(encoder.dtype), budget=settings["budget"])
        for batch in parquet_batches(f"{unit.root}/{unit.inputs['documents']}", DOCUMENT):
            rows, destinations, lengths = encode(batch, encoder, settings)
            writer.add(rows, destinations)
            for number, split in enumerate(SPLITS):
                counts[f"{split}_tokens"] += int(lengths[destinations // settings["slots"] == number].sum())
            progress(batch.num_rows)
        commit.index("work/encoded", writer.close())
        commit.finish(dict(counts))


def run_shard(unit: Unit) -> None:
    """Write one shard: the rows of its range of the order, sorted by (value, key)."""
    from ..tokenize.shards import shard_values, value_range, write_shard

    settings, root = unit.settings, unit.root
    schema = encoded_schema(pa.uint16() if settings["dtype"] == "uint16" else pa.uint32())
    low, high = value_range(settings["shard"], settings["shards"])
    first, last = (value * settings["slots"] >> 64 for value in (low, high))
    base = settings["slots"] * SPLITS.index(settings["split"])
    files = list(stepfiles.exchange_files(root, stepfiles.load(root, unit.inputs["encode"]), "work/encoded"))
    tables = []
    for slot in range(first, last + 1):
        table = read_table(files, base + slot, schema)
        values = shard_values(key_words(table.column("key")), settings["seed"])
        inside = (values >= np.uint64(low)) & (values <= np.uint64(high))
        tables.append(table if inside.all() else table.filter(pa.array(inside)))
        progress()
    table = pa.concat_tables(tables)
    with Commit(unit) as commit:
        path = commit.file("tokens", ".arrow")
        size = pc.sum(table.column("utf8_bytes")).as_py() or 0
        rows = table.select(schema.names[:-1])
        del table, tables  # the writer sorts, which holds the tokens twice as it is
        info = write_shard(path, rows, seed=settings["seed"], utf8_bytes=size)
        commit.finish({"rows": info.rows, "tokens": info.tokens, "utf8_bytes": info.utf8_bytes})


def shard_infos(entries: list[stepfiles.Entry], units: list[Unit]) -> dict[str, tuple[Any, ...]]:
    """The manifest's shards (tokenize.shards.ShardInfo), by split, from the committed units of the shards step."""
    from ..tokenize.shards import ShardInfo

    result: dict[str, tuple[Any, ...]] = dict.fromkeys(SPLITS, ())
    for entry, unit in zip(entries, units, strict=True):
        (name, facts), counts = next(iter(entry.manifest.files.items())), entry.manifest.counts
        info = ShardInfo(file=os.path.basename(name), bytes=facts["bytes"], sha256=facts["sha256"], **counts)
        result[unit.settings["split"]] += (info,)
    return result


def write_manifest(directory: str | Path, encoder: Any, seed: int, recipe: str, splits: dict[str, tuple]) -> Path:
    """tokens/manifest.json and the tokeniser beside it: from here on the shards count as a corpus."""
    from ..tokenize.manifest import Manifest, Splits, TokenizerInfo

    name = "tokenizer.json"
    Path(directory, name).write_text(encoder.json, encoding="utf-8")
    info = TokenizerInfo(
        file=name, sha256=encoder.digest, vocabulary=encoder.vocabulary, end_of_text=encoder.end_of_text
    )
    columns, dtype = tuple(token_schema(encoder.dtype).names), str(encoder.dtype)
    manifest = Manifest(columns=columns, dtype=dtype, tokenizer=info, seed=seed, recipe=recipe, splits=Splits(**splits))
    return manifest.write(directory)
