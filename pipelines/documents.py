"""Phase 1, one fused pass over a unit of input: read, extract, language, the rules, scrub.

Scrubbing ends the pass, so nothing unscrubbed is ever written. What leaves: surviving text, signals, ledger rows, and
for each survivor what the later phases need without its text: content hash, survivor rank, MinHash signature.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..console import WorkError
from ..document import DOCUMENT, KEY_BYTES, below, draws, key_words, text_buffers, words_to_keys
from ..filters.rules import RuleStage
from ..filters.stage import Drops, Outcome, Stage, first_verdicts
from .files import ArrowSink, ParquetSink
from .ledger import Ledger, Rejects, damaged_rows, verdict_rows
from .readers import inputs
from .readers.batches import BAD_RULES, READ
from .recipe import Recipe, from_json, to_json
from .units import Commit, Unit, note_costs, progress

VERSION = 4
# In their order; each is a key of the recipe. What needs no text comes first
STAGES = ("drop", "address", "extract", "language", "quality", "decontaminate", "scrub")
INDEXES = "work/indexes"  # of lists and evaluation sets, shared by the workers of a run
PLACE = pa.schema([("key", pa.binary(KEY_BYTES)), ("source", pa.string()), ("record", pa.int64())])


def stage_settings(recipe: Recipe) -> dict[str, Any]:
    """What `build_stages` needs of a recipe."""
    return {name: to_json(getattr(recipe, name)) for name in STAGES} | {"all_signals": recipe.all_signals}


def build_stages(settings: dict[str, Any], root: str | None = None) -> list[Stage]:
    """The stages of the pass in their order, from the recipe's settings (JSON of each room's model, or null).

    `root`: the run directory, where indexes of lists are kept for all workers; None keeps them in memory.
    """
    return list(_stages(json.dumps(settings, sort_keys=True), root))


@lru_cache(maxsize=4)  # a worker builds them once, whatever it is given to do
def _stages(text: str, root: str | None) -> tuple[Stage, ...]:
    settings = json.loads(text)
    stages: dict[str, Stage] = {stage.name: stage for stage in rule_stages(settings, root)}
    if settings.get("extract") is not None:
        from ..filters.extraction.resiliparse import Extract, ExtractSettings

        stages["extract"] = Extract(from_json(ExtractSettings, settings["extract"]))
    if settings.get("language") is not None:
        from ..filters.language import Language, LanguageSettings

        stages["language"] = Language(from_json(LanguageSettings, settings["language"]))
    if settings.get("scrub") is not None:
        from ..filters.pii.scrub import Scrub
        from ..filters.pii.settings import ScrubSettings

        stages["scrub"] = Scrub(from_json(ScrubSettings, settings["scrub"]))
    return tuple(stages[name] for name in STAGES if name in stages)


def rule_stages(settings: dict[str, Any], root: str | None = None) -> list[RuleStage]:
    """Of the stages, those made of rules, whose verdicts follow from signals."""
    folder = None if root is None else Path(root, INDEXES)
    stages = []
    if settings.get("drop") is not None:
        from ..filters.lists import DropSettings, drop_stage

        stages.append(drop_stage(from_json(DropSettings, settings["drop"]), folder))
    if settings.get("address") is not None:
        from ..filters.addresses import AddressSettings, address_stage

        stages.append(address_stage(from_json(AddressSettings, settings["address"]), folder))
    if settings.get("quality") is not None:
        from ..filters.quality.settings import QualitySettings, quality_stage

        stages.append(quality_stage(from_json(QualitySettings, settings["quality"])))
    if settings.get("decontaminate") is not None:
        from ..filters.decontaminate import DecontaminateSettings, decontaminate_stage

        stages.append(decontaminate_stage(from_json(DecontaminateSettings, settings["decontaminate"]), folder))
    for stage in stages:
        stage.all_signals = settings["all_signals"]
    return stages


def scrub_settings(stages: list[Stage]) -> Any:
    """The settings of the scrubber, for what it does not see itself; None when the recipe does not scrub."""
    return next((stage.settings for stage in stages if stage.name == "scrub"), None)


def empty_batch() -> pa.RecordBatch:
    """No documents, as they travel through the stages."""
    return pa.RecordBatch.from_pylist([], schema=READ)


def signal_schema(stages: list[Stage]) -> pa.Schema:
    """A row a document: its key, place and language, a column each number that the stages measure.

    What rules tell of a document beside numbers is in the columns `<rule>_detail`.
    """
    outcomes = [stage(empty_batch()) for stage in stages]
    numbers = [(name, pa.float64()) for outcome in outcomes for name in outcome.signals]
    details = [(f"{name}_detail", pa.string()) for outcome in outcomes for name in outcome.details]
    return pa.schema([*PLACE, ("language", pa.string()), *numbers, *details])


@dataclass
class Passed:
    """What the stages made of one batch."""

    batch: pa.RecordBatch  # survivors, of schema DOCUMENT
    rows: np.ndarray  # int64: which of the batch they are
    signals: pa.RecordBatch  # of every document, dropped ones as well
    dropped: list[tuple[Stage, pa.RecordBatch, list[Drops]]]  # verdicts on the batch as that stage saw it
    edited: list[tuple[Stage, pa.RecordBatch, list]]


def pass_stages(batch: pa.RecordBatch, stages: list[Stage], schema: pa.Schema) -> Passed:
    """Run a batch of schema READ through the stages; a document stops at the first stage that drops it."""
    n = batch.num_rows
    fields = list(schema)[len(PLACE) + 1 :]
    columns = {f.name: np.full(n, None, object) if f.type == pa.string() else np.full(n, np.nan) for f in fields}
    languages = np.array(batch.column("language").to_pylist(), object)
    places = batch.select(PLACE.names).columns
    rows, dropped, edited = np.arange(n), [], []
    ghosts: list[tuple[pa.RecordBatch, np.ndarray]] = []  # dropped by a rule, and measured on with `all_signals`

    def note(outcome: Outcome, rows: np.ndarray) -> None:
        for name, values in outcome.signals.items():
            columns[name][rows] = values
        for name, texts in outcome.details.items():
            columns[f"{name}_detail"][rows] = texts

    for stage in stages:
        outcome = stage(batch)
        note(outcome, rows)
        measures_all = isinstance(stage, RuleStage) and stage.all_signals
        met = [(stage(gone), at) for gone, at in ghosts] if measures_all else []
        for other, at in met:
            note(other, at)
        ghosts = [(other.batch, at) for other, at in met]
        if outcome.edits:
            edited.append((stage, outcome.batch, outcome.edits))
        batch = outcome.batch
        languages[rows] = batch.column("language").to_pylist()
        verdicts = first_verdicts(outcome)
        if verdicts:
            dropped.append((stage, batch, verdicts))
            kept = np.ones(batch.num_rows, bool)
            for verdict in verdicts:
                kept[verdict.rows] = False
            if measures_all:
                ghosts.append((batch.filter(pa.array(~kept)), rows[~kept]))
            batch, rows = batch.filter(pa.array(kept)), rows[kept]
    arrays = [pa.array(columns[f.name], f.type, from_pandas=True) for f in fields]
    signals = pa.RecordBatch.from_arrays([*places, pa.array(languages, pa.string()), *arrays], schema=schema)
    return Passed(batch.select(DOCUMENT.names), rows, signals, dropped, edited)


def take_costs(stages: list[Stage]) -> dict[str, list]:
    """stage/rule -> [seconds of CPU, documents measured, documents dropped] since the last call."""
    found = {}
    for stage in stages:
        if isinstance(stage, RuleStage):
            for rule, cost in stage.costs.items():
                found[f"{stage.name}/{rule}"] = [round(cost.seconds, 6), cost.measured, cost.dropped]
            stage.costs.clear()
    return found


def hash_schema(dedup: dict[str, Any]) -> pa.Schema:
    """What deduplication knows of a document without its text; `dedup` as DedupSettings.of_hashes gives it."""
    fields = [("key", pa.binary(KEY_BYTES)), ("rank", pa.int64()), ("bytes", pa.int64())]
    if dedup["url"]:
        fields.append(("url", pa.binary(16)))
    if dedup["exact"] is not None:
        fields.append(("content", pa.binary(16)))
    if dedup["minhash"] is not None:
        item = pa.field("item", pa.uint32(), nullable=False)
        fields.append(("signature", pa.list_(item, dedup["minhash"]["permutations"])))
    return pa.schema(fields)


def hashes(batch: pa.RecordBatch, dedup: dict[str, Any], signals: pa.RecordBatch | None = None) -> pa.RecordBatch:
    """Survivor rank, length, hashes and signature of each document of a batch.

    `signals`: those of the same documents, for a survivor by signal.
    """
    from ..dedup.exact import content_hash, url_hash
    from ..dedup.minhash import signatures
    from ..dedup.settings import MinHashSettings

    texts, schema = batch.column("text"), hash_schema(dedup)
    lengths = np.diff(text_buffers(texts)[1])
    columns = [batch.column("key"), pa.array(_ranks(batch, dedup["keep"], signals)), pa.array(lengths)]
    if dedup["url"]:
        columns.append(words_to_keys(url_hash(_canonical_urls(batch.column("url")))))
    if dedup["exact"] is not None:
        columns.append(words_to_keys(content_hash(texts, dedup["exact"])))
    if dedup["minhash"] is not None:
        settings = from_json(MinHashSettings, dedup["minhash"])
        flat = pa.array(signatures(texts, settings).reshape(-1), pa.uint32())
        columns.append(pa.FixedSizeListArray.from_arrays(flat, type=schema.field("signature").type))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _ranks(batch: pa.RecordBatch, keep: str | dict[str, Any], signals: pa.RecordBatch | None) -> np.ndarray:
    from ..dedup.survivors import rank_by_date, rank_by_signal, rank_by_source, survivor_rank

    if keep == "longest":
        return survivor_rank(batch.column("text"))
    if keep == "earliest":
        return rank_by_date(batch.column("date"))
    if "sources" in keep:
        return rank_by_source(batch.column("source"), keep["sources"])
    return rank_by_signal(signals.column(keep["signal"]).to_numpy(zero_copy_only=False))


def _canonical_urls(urls: pa.Array) -> pa.Array:
    from ..filters.urls import canonical_url

    return pa.array([url and canonical_url(url) for url in urls.to_pylist()], pa.string())


def run(unit: Unit) -> None:
    """Do one unit of the first phase."""
    settings = unit.settings
    stages = build_stages(settings, unit.root)
    scrub = scrub_settings(stages)
    schema = signal_schema(stages)
    take_costs(stages)  # those of a unit that failed
    dedup = settings["dedup"]
    counts: Counter[str] = Counter()
    tables: dict[str, Counter[str]] = {"skipped": Counter(), "languages": Counter(), "damaged": Counter()}
    with Commit(unit) as commit:
        text = ArrowSink(commit.file("work/text", ".arrow"), DOCUMENT, compression="lz4")
        known = ArrowSink(commit.file("work/hashes", ".arrow"), hash_schema(dedup))
        ledger = Ledger(commit.file("ledger", ".documents.parquet"), scrub)
        signals = ParquetSink(commit.file("signals", ".parquet"), schema)
        folder = "rejected" if settings["rejected"] == "all" else "work/rejected"
        rejects = Rejects(commit.file(folder, ".parquet"), settings["rejected"], settings["seed"], scrub)
        for batch, damaged, part in _records(unit, counts, tables):
            ledger.write(damaged_rows(part["source"], damaged))
            tables["damaged"].update(d.rule for d in damaged)
            _stop_early(tables["damaged"], unit)
            passed = pass_stages(batch, stages, schema)
            for stage, seen, verdicts in (*passed.edited, *passed.dropped):
                for rows in verdict_rows(seen, stage.name, stage.version, verdicts):
                    ledger.write(rows)
            for stage, seen, verdicts in passed.dropped:
                for verdict in verdicts:
                    rejects.add(seen, stage.name, verdict.rule, verdict.rows)
            signals.write(passed.signals)
            survivors = passed.batch
            text.write(survivors)
            known.write(hashes(survivors, dedup, passed.signals.take(pa.array(passed.rows))))
            counts["documents"] += batch.num_rows
            counts["kept"] += survivors.num_rows
            counts["text_bytes"] += int(np.diff(text_buffers(survivors.column("text"))[1]).sum())
            for value in pc.value_counts(survivors.column("language")).to_pylist():
                tables["languages"][value["values"] or "unknown"] += value["counts"]
            progress(batch.num_rows)
        for sink in (text, known, ledger, signals, rejects):
            sink.close()
        tables["ledger"] = ledger.counts
        note_costs(unit, take_costs(stages))
        commit.finish({**counts, **{name: dict(sorted(table.items())) for name, table in tables.items()}})


def _records(unit: Unit, counts: Counter[str], tables: dict[str, Counter[str]]) -> Iterator[tuple]:
    """(batch, damaged, unit of input) of each part, after --limit and --sample; what they leave out is counted."""
    settings, source = unit.settings, unit.inputs
    left = source.get("limit")
    bound = None if settings["sample"] is None else np.uint64(below(settings["sample"]))
    for part in inputs.read(source):
        batch, damaged = part.batch, part.damaged
        if left is not None:
            batch, damaged = batch.slice(0, left), damaged[: max(0, left - batch.num_rows)]
            left -= batch.num_rows + len(damaged)
        counts["records"] += batch.num_rows + len(damaged)
        counts["read_bytes"] += int(np.diff(text_buffers(batch.column("text"))[1]).sum())
        tables["skipped"].update(part.skipped)
        if bound is not None:
            chosen = draws(key_words(batch.column("key")), settings["seed"], "sample") < bound
            counts["not_sampled"] += int((~chosen).sum())
            batch = batch.filter(pa.array(chosen))
        yield batch, damaged, source
        if left is not None and left <= 0:
            return


def _stop_early(damaged: Counter[str], unit: Unit) -> None:
    limit = unit.inputs["max_bad_records"]
    bad = sum(n for rule, n in damaged.items() if rule in BAD_RULES)
    if limit is not None and bad > limit:
        raise WorkError(
            f"{unit.inputs['source']}: {bad} damaged records, more than input.max_bad_records = {limit} allows"
            f" ({', '.join(f'{n} {rule}' for rule, n in sorted(damaged.items()) if rule in BAD_RULES)})"
        )
