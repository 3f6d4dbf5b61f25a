"""`gristmill plan`: what a run would find and cost, from a sample of its documents drawn by key.

All records are read; those of the sample go through the first and the last phase in a temporary directory. From there:

- records and bytes read: counted;
- documents that pass the filters: the sample's share of all records, Wilson's interval;
- equal texts: every record's text is hashed as it is read, so it is known how many copies each of the sample has, and
  copies are taken to share its fate; a text of c copies counts for 1/c. Equal addresses are not looked at;
- bytes through each shuffle and its passes: what `shuffle.plan_blocks` makes of these numbers of documents;
- pairs and buckets: see `dedup.sampling`. What is found between these documents and those of earlier runs is not in it;
- CPU seconds: reading as measured; the first phase but for reading, the last one and the hashing of bands by the
  sample's share; verification by bytes of shingle sets to be made, of as many documents as there may be in pairs;
- disk: the sample's files by its share; candidate pairs and shingle sets by their number.

The trade-off of a small sample is in the pairs: see there. How many documents are dropped as near duplicates follows
from pairs in no simple way and is not said: at most one a pair, and one a document of a hot bucket. Repeated paragraphs
and passages, the tokeniser and the token shards are left out.
"""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ..console import Progress
from ..dedup.candidates import ALL_PAIRS, ENTRY, band_hashes
from ..dedup.sampling import Estimate, Pairs, estimate
from ..dedup.shingles import shingle_sets
from ..document import key_words
from . import documents, driver, phases
from .duplicates import index, shuffle
from .duplicates.exact import HASHED
from .files import arrow_batches
from .readers.batches import PartBuilder
from .readers.tallied import TALLY, tallied
from .recipe import Recipe
from .stepfiles import Done, save, total
from .units import Unit, prepare

NORMAL = 1.96
UNSEEN = 4  # sampled documents to be expected of what is missed one time in fifty
SHINGLED_BYTES = 4 << 20  # of the sample, to measure what a shingle set costs
PAIR_BYTES = 3 * 24  # on disk for a candidate pair, found by some two bands and dealt once


@dataclass(frozen=True)
class Shuffle:
    """Of one step: what crosses it."""

    bytes: Estimate
    passes: int
    partitions: int


@dataclass(frozen=True)
class Prediction:
    """What a run would meet. Numbers without an interval are exact, or said to be about so."""

    share: float
    sampled: int  # records
    records: int
    read_bytes: int
    kept: Estimate  # documents that pass the filters
    compared: Estimate  # of these, texts that differ
    signature_bytes: Estimate | None
    shuffles: dict[str, Shuffle]
    pairs: Pairs | None
    seconds: dict[str, float]  # CPU, about
    disk: dict[str, float]  # bytes, about


def predict(recipe: Recipe, share: float) -> Prediction:
    """What a run of this recipe would meet, from this share of its records. Raises RequestError."""
    driver.check(recipe, "local")
    sources, beside, parts = driver.sources_of(recipe), phases.beside(recipe), index.open_indexes(recipe)
    with tempfile.TemporaryDirectory(prefix="gristmill-plan-") as root:
        prepare(root)
        for stage in documents.rule_stages(documents.stage_settings(recipe), root):
            stage.prepare()
        _warm(recipe, root)
        form = None if recipe.dedup.exact is None else recipe.dedup.exact.form
        sources = [tallied(unit, str(Path(root, "work", f"tally-{i}")), form) for i, unit in enumerate(sources)]
        units = phases.plan_documents(recipe, root, sources, None, share, beside)
        done, first = _do(units)
        last = _do(phases.plan_corpus(recipe, root, {"documents": done}))[1]
        return _Sample(recipe, root, share, units, done, parts).prediction(first, last)


def _warm(recipe: Recipe, root: str) -> None:
    """Load what is loaded once, so that it is not taken for the cost of documents."""
    minhash = recipe.dedup.minhash
    builder = PartBuilder("")
    builder.add(0, "a few words of no meaning that are there to be read", {})
    stages = documents.build_stages(documents.stage_settings(recipe), root)
    passed = documents.pass_stages(builder.take().batch, stages, documents.signal_schema(stages))
    documents.hashes(passed.batch, recipe.dedup.of_hashes(), passed.signals.take(pa.array(passed.rows)))
    if minhash is not None:
        band_hashes(np.zeros((1, minhash.permutations), np.uint32), minhash)
        shingle_sets(pa.array(["a few words"], pa.large_string()), minhash)


def _do(units: list[Unit]) -> tuple[Done, float]:
    """Units done one by one in this process: the step, and its CPU seconds."""
    start = time.process_time()
    with Progress(f"a sample: {units[0].step}", len(units)) as bar:
        for unit in units:
            phases.STEPS[unit.step].run(unit)
            bar.advance(1)
    return save(units[0].root, units[0].step, units), time.process_time() - start


def _proportion(hits: int, of: int, share: float, all_: int) -> Estimate:
    """How many of `all_` are such as `hits` of a sample of `of`: Wilson's interval, narrower as the share is larger."""
    if not of or share == 1:
        return Estimate(hits, hits, hits) if share == 1 else Estimate(0, 0, all_)
    p, n, z = hits / of, of / (1 - share), NORMAL
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    spread = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    low, high = (middle - spread if hits else 0.0), (middle + spread if hits < of else 1.0)
    return Estimate(p * all_, low * all_, high * all_)


class _Sample:
    """What the sample holds, once its files are written."""

    def __init__(self, recipe: Recipe, root: str, share: float, units: list[Unit], done: Done, parts: list[dict]):
        self.recipe, self.root, self.share, self.units, self.done = recipe, root, share, units, done
        self.old = sum(part["rows"] for part in parts)
        entries = done.entries
        self.records = total(entries, "records")
        hashes = [batch for entry in entries for batch in self._batches(entry, "work/hashes")]
        self.hashes = pa.Table.from_batches(hashes, documents.hash_schema(recipe.dedup.of_hashes()))
        self.copies = self._copies()

    def _batches(self, entry: Any, folder: str) -> Iterator[pa.RecordBatch]:
        return arrow_batches(f"{self.root}/{entry.manifest.only(folder)}")

    def _copies(self) -> np.ndarray:
        """int64[n]: how many records have the text that each document of the sample was read with."""
        if self.recipe.dedup.exact is None:
            return np.ones(self.hashes.num_rows, np.int64)
        keys, of_document = np.unique(key_words(_column(self.hashes, "key"))[:, 0], return_inverse=True)
        texts = np.zeros(len(keys), np.uint64)
        tallies = [f"{unit.inputs['tally']}.rows" for unit in self.units]
        for path in tallies:
            rows = np.fromfile(path, TALLY)
            mine = rows[np.isin(rows["key"], keys)]
            texts[np.searchsorted(keys, mine["key"])] = mine["text"]
        different, of_key = np.unique(texts, return_inverse=True)
        times = np.zeros(len(different), np.int64)
        for path in tallies if len(different) else ():
            hashes = np.fromfile(path, TALLY)["text"]
            at = np.minimum(np.searchsorted(different, hashes), len(different) - 1)
            times += np.bincount(at[different[at] == hashes], minlength=len(different))
        return times[of_key][of_document]

    def prediction(self, first: float, last: float) -> Prediction:
        """`first`, `last`: CPU seconds of the first and of the last phase."""
        recipe, entries = self.recipe, self.done.entries
        damaged = sum(sum(entry.manifest.counts["damaged"].values()) for entry in entries)
        documents_read = total(entries, "documents")
        kept = _proportion(total(entries, "kept"), documents_read, self.share, self.records - damaged)
        compared = self._compared(kept)
        start = time.process_time()
        pairs = self._pairs()
        banding = time.process_time() - start
        reading = sum(json.loads(Path(f"{unit.inputs['tally']}.json").read_text())["seconds"] for unit in self.units)
        shingling, shingles = self._shingling()
        in_pairs = min(compared.value, 2 * pairs.pairs.value + pairs.hot_documents) if pairs else 0.0
        length = np.mean(_column(self.hashes, "bytes").to_numpy()) if self.hashes.num_rows else 0.0
        minhash = recipe.dedup.minhash
        return Prediction(
            share=self.share,
            sampled=documents_read,
            records=self.records,
            read_bytes=total(entries, "read_bytes"),
            kept=kept,
            compared=compared,
            signature_bytes=kept.times(4 * minhash.permutations) if minhash else None,
            shuffles=self._shuffles(kept, compared),
            pairs=pairs,
            seconds={
                "reading": reading,
                "filters and hashes": (first - reading) / self.share,
                "candidates and verification": banding / self.share + in_pairs * length * shingling,
                "documents": last / self.share,
            },
            disk=self._disk(compared.value / max(kept.value, 1), in_pairs * length, pairs, shingles),
        )

    def _compared(self, kept: Estimate) -> Estimate:
        """Documents whose texts differ: each of c copies is 1/c of one."""
        if not len(self.copies):
            return kept
        weight = 1 / self.copies
        middle, spread = weight.mean(), NORMAL * weight.std() * math.sqrt((1 - self.share) / len(weight))
        return Estimate(kept.value * middle, kept.low * max(0, middle - spread), kept.high * min(1, middle + spread))

    def _bands(self) -> np.ndarray:
        settings = self.recipe.dedup.minhash
        flat = np.asarray(_column(self.hashes, "signature").flatten(), np.uint32)
        return band_hashes(flat.reshape(-1, settings.permutations), settings)

    def _pairs(self) -> Pairs | None:
        if self.recipe.dedup.minhash is None:
            return None
        content = np.arange(self.hashes.num_rows)
        if self.recipe.dedup.exact is not None:
            words = key_words(_column(self.hashes, "content"))
            content = np.unique(words, axis=0, return_inverse=True)[1].reshape(-1)
        return estimate(self._bands(), self.copies, content, self.share)

    def _shuffles(self, kept: Estimate, compared: Estimate) -> dict[str, Shuffle]:
        """Documents that take part, by the share of the sample that does, times what each sends."""
        dedup, n = self.recipe.dedup, max(1, self.hashes.num_rows)
        found: dict[str, tuple[Estimate, int, int]] = {}  # step -> entries of one band, their size, bands
        if dedup.url is not None:
            words = key_words(_column(self.hashes, "url"))
            found["urls"] = kept.times(float((words != 0).any(axis=1).sum()) / n), HASHED.itemsize, 1
        if dedup.exact is not None:
            asked = float((self.copies > 1).mean()) if dedup.exact.bloom and len(self.copies) else 1.0
            found["exact"] = kept.times(asked), HASHED.itemsize, 1
        if dedup.minhash is not None:
            found["candidates"] = compared, ENTRY.itemsize, dedup.minhash.bands
        shuffles = {}
        for step, (entries, size, bands) in found.items():
            all_ = round(kept.value) + self.old  # what the plan of a run goes by
            partitions, passes = shuffle.plan_blocks(size, all_, dedup.memory_bytes, bands)
            entries = Estimate(*(number + self.old for number in (entries.value, entries.low, entries.high)))
            shuffles[step] = Shuffle(entries.times(size * bands), len(passes), partitions)
        return shuffles

    def _shingling(self) -> tuple[float, float]:
        """(CPU seconds, shingles) a byte of text, of the first documents of the sample."""
        minhash, size, count = self.recipe.dedup.minhash, 0, 0
        start = time.process_time()
        for entry in self.done.entries if minhash and minhash.verify == "exact" else ():
            for batch in self._batches(entry, "work/text"):
                count += len(shingle_sets(batch.column("text"), minhash)[0])
                size += batch.column("text").nbytes
                if size >= SHINGLED_BYTES:
                    return (time.process_time() - start) / size, count / size
        return ((time.process_time() - start) / size, count / size) if size else (0.0, 0.0)

    def _disk(self, different: float, compared: float, pairs: Pairs | None, shingles: float) -> dict[str, float]:
        """Bytes between the phases, and of what stays.

        `different`: share of the documents whose texts differ; `compared`: bytes of the texts to be compared;
        `shingles`: a byte of text.
        """
        size = {folder: self._size(folder) / self.share for folder in ("work", "documents", "ledger", "signals")}
        size["work"] += 8 * shingles * compared + PAIR_BYTES * (pairs.pairs.value if pairs else 0.0)
        size["documents"] *= different
        if self.recipe.dedup.index:
            texts = float(_column(self.hashes, "bytes").to_numpy().sum())
            size["index"] = (self.hashes.nbytes + 8 * shingles * texts) / self.share
        return size

    def _size(self, folder: str) -> int:
        """Bytes that the sample left in a folder: of work/ the texts and hashes, which grow with the documents."""
        folders = [f"work/{name}" for name in ("text", "hashes")] if folder == "work" else [folder]
        files = [path for name in folders for path in Path(self.root, name).glob("*")]
        return sum(path.stat().st_size for path in files)


def _column(table: pa.Table, name: str) -> pa.Array:
    """A column as one array."""
    return (
        pa.concat_arrays(table.column(name).chunks) if table.num_rows else pa.array([], table.schema.field(name).type)
    )


# -- said ------------------------------------------------------------------------------------------------------------


def lines(found: Prediction) -> Iterator[str]:
    """What `gristmill plan` prints."""
    yield f"records         {found.records:>14,}, {_bytes(found.read_bytes)}; {found.sampled:,} of them in the sample"
    yield f"pass filters    {_told(found.kept)}"
    yield f"texts differ    {_told(found.compared)}"
    if found.signature_bytes is not None:
        yield f"signatures      {_bytes(found.signature_bytes.value):>14}"
    for step, crosses in found.shuffles.items():
        ends = f"({_bytes(crosses.bytes.low)} to {_bytes(crosses.bytes.high)})"
        how = f"{crosses.passes:,} passes, {crosses.partitions:,} partitions"
        yield f"shuffle {step:<8}{_bytes(crosses.bytes.value):>14} {ends}; {how}"
    if found.pairs is not None:
        yield from _pair_lines(found.pairs, found.share)
    for what, seconds in found.seconds.items():
        yield f"CPU             {seconds:>14,.1f} s about, {what}"
    for what, size in found.disk.items():
        yield f"disk            {_bytes(size):>14} about, {what}/{' until the run is whole' if what == 'work' else ''}"


def _pair_lines(pairs: Pairs, share: float) -> Iterator[str]:
    yield f"candidate pairs {_told(pairs.pairs)}; {pairs.seen:,} in the sample"
    if not pairs.enough:
        yield f"{'':16}too few to go by: only the interval is known; twice the --sample sees four times as many"
    if pairs.hot_buckets:
        told = f"in {pairs.hot_buckets:,} or more of above {ALL_PAIRS} documents"
        yield f"hot buckets     {pairs.hot_documents:>14,.0f} documents about, {told}"
    if pairs.largest is not None:
        told = f"{pairs.largest.low:,.0f} to {pairs.largest.high:,.0f}"
        yield f"largest bucket  {told:>14} documents; {pairs.largest_seen:,} in the sample"
    if share < 1:
        yield f"{'':16}one of less than {UNSEEN / share:,.0f} documents may be missing in the sample"


def _told(number: Estimate) -> str:
    return f"{number.value:>14,.0f} ({number.low:,.0f} to {number.high:,.0f})"


def _bytes(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:,.0f} B" if unit == "B" else f"{size:,.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} TB"
