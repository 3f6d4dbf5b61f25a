"""`gristmill filter --from RUN`: the verdicts of a run again, with other thresholds, from its signals alone.

A verdict is a function of signals and thresholds, so no text is read: for each unit of the run its signals and its
ledger rows, some hundred bytes a document. What the rules measure must be the same: a threshold may move, a rule may
leave or change its place. A document that an earlier rule dropped was measured no further, unless the run had
`all_signals`; where such a document would pass now, nothing can be said of it, and that is an error.

The run must be one of filters alone: what comes after them needs the text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..config import overridden, validate
from ..console import RequestError, say
from ..document import DROP, EDIT, KEEP, LEDGER, ledger_rows
from ..filters.rule import Rule
from ..filters.rules import RuleStage, decide, full_name
from . import documents, driver, finish
from .files import ParquetSink
from .recipe import Recipe, load_recipe
from .units import Lock, digest_of, file_digest

LATER = ("scrub", "dedup.exact", "dedup.minhash", "tokenizer")  # of a recipe: what needs more than verdicts
DIGEST = 13  # characters at the end of a unit's file name: a hyphen and the digest


def filters_alone(name: str, overrides: Iterable[str] = ()) -> Recipe:
    """A recipe (see `load_recipe`) without what comes after the filters. Raises RequestError."""
    return load_recipe(name, [*(f"{key}=" for key in LATER), *overrides])


def changed(source: str | Path, overrides: Iterable[str], output: str) -> Recipe:
    """The recipe of a whole run after `overrides`, for another directory. Raises RequestError."""
    data = driver.load_facts(source)["recipe"]
    return validate(Recipe, overridden(data, overrides) | {"output": output}, f"{source}/run.json")


def refilter(source: str | Path, recipe: Recipe) -> dict[str, Any]:
    """Write the ledger that `recipe` gives, from the signals of the whole run `source`, to `recipe.output`.

    Gives the contents of its run.json. Raises RequestError where the run cannot tell: it had later steps, the recipe
    measures something else, or documents were not measured far enough.
    """
    facts = driver.load_facts(source)
    before = validate(Recipe, facts["recipe"], f"{source}/run.json")
    for recipe_of in (before, recipe):
        _only_filters(recipe_of, source)
    old, new = (documents.rule_stages(documents.stage_settings(r)) for r in (before, recipe))
    _same_measures(before, recipe, old, new)
    root = driver.directory(recipe)
    with Lock(root):
        Path(root, "ledger").mkdir(exist_ok=True)
        counts: Counter[str] = Counter()
        languages: Counter[str] = Counter()
        files, unmeasured = {}, 0
        for name, signals, ledgers in _units(facts["files"]):
            unit = _Unit(Path(source), signals, ledgers, before, old)
            rows, missing = _verdicts(unit, recipe, new, languages)
            unmeasured += missing
            if unmeasured:
                continue
            counts.update("/".join(row) for row in zip(*(rows[c].to_pylist() for c in NAMED), strict=True))
            path = f"ledger/{name}.parquet"
            sink = ParquetSink(f"{root}/{path}", LEDGER)
            for batch in rows.to_batches():
                sink.write(batch)
            sink.close()
            files[path] = dict(zip(("bytes", "sha256"), file_digest(f"{root}/{path}"), strict=True))
        if unmeasured:
            raise RequestError(
                f"{source}: {unmeasured:,} documents that would pass now were not measured by every rule, since an"
                " earlier one had dropped them; make the run again with --all-signals"
            )
        result = {
            "identity": digest_of(facts["identity"], recipe.model_dump(mode="json", exclude={"output"})),
            "complete": True,
            "from": str(Path(source).resolve()),
            "recipe": recipe.model_dump(mode="json"),
            **{name: facts[name] for name in ("limit", "sample", "versions", "machine")},
            "counts": _counts(facts["counts"], counts) | {"languages": dict(sorted(languages.items()))},
            "seconds": {},
            "costs": {},
            "files": files,
        }
        finish.write_run(root, result)
        from .report.build import build

        finish.write_text(Path(root, "report.html"), build(root, recipe, result))
    say(f"{root}: verdicts from the signals of {source}")
    return result


NAMED = ("stage", "rule", "action")


def _only_filters(recipe: Recipe, source: str | Path) -> None:
    on = {"dedup.exact": recipe.dedup.exact, "dedup.minhash": recipe.dedup.minhash}
    on |= {"scrub": recipe.scrub, "tokenizer": recipe.tokenizer}
    later = [name for name in LATER if on[name] is not None]
    if later:
        raise RequestError(
            f"{source}: its recipe has {', '.join(later)}, which need the text again;"
            " --from takes a run of `gristmill filter`"
        )


def _same_measures(before: Recipe, after: Recipe, old: list[RuleStage], new: list[RuleStage]) -> None:
    """Raises RequestError where the new recipe differs in more than thresholds, order and rules left out."""
    fixed = set(Recipe.model_fields) - {"output", "keep_work", "rejected", "corpus", "all_signals"}
    fixed -= {stage.name for stage in old}
    for name in sorted(fixed):
        if getattr(before, name) != getattr(after, name):
            raise RequestError(f"{name}: differs from the recipe of the run, so its signals do not tell; run again")
    known = {stage.name: stage for stage in old}
    for stage in new:
        for language in (None, *stage.languages):
            measured = {rule.name: rule for rule in known[stage.name].for_language(language) if rule is not None}
            for rule in stage.for_language(language):
                if rule is None:
                    continue
                if rule.name not in measured:
                    raise RequestError(f"{stage.name}.{rule.name}: not measured in the run; run again")
                one, two = _measuring(measured[rule.name]), _measuring(rule)
                for setting in one:
                    if one[setting] != two[setting]:
                        raise RequestError(
                            f"{stage.name}.{rule.name}.{setting}: changes what is measured, not only the verdict;"
                            " run again"
                        )


def _measuring(rule: Rule) -> dict[str, Any]:
    """The settings of a rule that are no thresholds."""
    thresholds = {limit.setting for limit in rule.limits}
    return {k: v for k, v in rule.settings.model_dump(mode="json").items() if k not in thresholds}


def _units(files: dict[str, Any]) -> Iterator[tuple[str, str, list[str]]]:
    """(name, signals file, ledger files) of each unit of a run; a unit's files begin alike, but for the digest."""
    ledgers: dict[str, list[str]] = {}
    for file in sorted(files):
        if file.startswith("ledger/"):
            stem = file.removeprefix("ledger/").removesuffix(".parquet").rpartition(".")[0]
            ledgers.setdefault(stem[:-DIGEST], []).append(file)
    for file in sorted(files):
        if file.startswith("signals/"):
            name = file.removeprefix("signals/").removesuffix(".parquet")[:-DIGEST]
            yield name, file, ledgers[name]


class _Unit:
    """The documents of one unit in order of their records, and what is decided of them so far."""

    def __init__(self, root: Path, signals: str, ledgers: list[str], before: Recipe, old: list[RuleStage]):
        table = pa.concat_tables([pq.read_table(root / name, use_threads=False) for name in ledgers])
        table = table.cast(LEDGER).sort_by("record")
        edit = pc.equal(table["action"], EDIT)
        self.edits = table.filter(edit).combine_chunks()
        terminal = table.filter(pc.invert(edit)).combine_chunks()
        self.signals = pq.read_table(root / signals, use_threads=False).sort_by("record")
        here = pc.is_in(terminal["record"], self.signals["record"].combine_chunks())
        self.damaged = terminal.filter(pc.invert(here))
        (self.rows,) = terminal.filter(here).combine_chunks().to_batches() or [
            pa.RecordBatch.from_pylist([], schema=LEDGER)
        ]
        self.alive = np.ones(self.rows.num_rows, bool)
        self.stage = np.array(self.rows.column("stage").to_pylist(), object)
        self.languages = self.signals["language"].to_pylist()
        self.all_signals = before.all_signals
        self.reached = self._reached(old)

    def _reached(self, old: list[RuleStage]) -> dict[str, np.ndarray]:
        """stage/rule -> bool[n]: whether the run measured it on each document."""
        place = {name: i for i, name in enumerate((*documents.STAGES, "corpus"))}
        ended = np.array([place[stage] for stage in self.stage], np.int64)
        rules = self.rows.column("rule").to_pylist()
        measured = {}
        for stage in old:
            here, last = place[stage.name], np.full(len(rules), len(stage.names))
            checks = {}
            for language in (None, *stage.languages):
                for i, rule in enumerate(stage.for_language(language)):
                    checks |= {check.rule: i for check in rule.checks()} if rule else {}
            for row in np.flatnonzero(ended == here):
                last[row] = checks[rules[row]]
            others = [place[name] for name in documents.STAGES if name not in {s.name for s in old}]
            ghost = np.array([not any(e < other < here for other in others) for e in ended.tolist()], bool)
            ghost &= np.isin(self.stage, [s.name for s in old]) & self.all_signals
            for i, name in enumerate(stage.names):
                seen = (ended > here) | ((ended == here) & ((i <= last) | self.all_signals))
                measured[f"{stage.name}/{name}"] = seen | ((ended < here) & ghost)
        return measured

    def numbers(self, name: str) -> np.ndarray:
        """float64[n] of a column of signals."""
        return self.signals[name].to_numpy()

    def details(self, rule: str, rows: np.ndarray) -> pa.Array | None:
        name = f"{rule}_detail"
        return self.signals[name].take(pa.array(rows)).combine_chunks() if name in self.signals.column_names else None

    def row(self, rows: np.ndarray, **what: Any) -> pa.Table:
        return pa.Table.from_batches([ledger_rows(self.rows, rows, **what)])


def _verdicts(unit: _Unit, recipe: Recipe, new: list[RuleStage], languages: Counter[str]) -> tuple[pa.Table, int]:
    """(ledger rows, documents that cannot be told) of one unit; counts the languages of what passes the stages."""
    found, unmeasured = [unit.damaged], 0
    stages = {stage.name: stage for stage in new}
    made: list[tuple[RuleStage, Rule, np.ndarray]] = []  # who may have cut which documents
    characters = "quality_characters"
    for name in documents.STAGES:
        if name not in stages:
            ended = unit.alive & (unit.stage == name)
            found.append(pa.Table.from_batches([unit.rows.filter(pa.array(ended))]))
            unit.alive &= ~ended
            continue
        stage, characters = stages[name], f"{name}_characters"
        for rule, members in _asked(stage, unit.languages):
            unknown = unit.alive & members & ~unit.reached[f"{name}/{rule.name}"]
            unmeasured += int(unknown.sum())
            unit.alive &= ~unknown
            columns = {check.signal: unit.numbers(check.signal) for check in rule.checks()}
            for check, rows in decide(rule.checks(), columns, unit.alive & members):
                unit.alive[rows] = False
                found.append(
                    unit.row(
                        rows,
                        stage=name,
                        rule=check.rule,
                        action=DROP,
                        value=columns[check.signal][rows],
                        threshold=check.limit,
                        detail=unit.details(check.rule, rows),
                        version=stage.version,
                    )
                )
            made.append((stage, rule, members))
        found += _edits(unit, [m for m in made if m[0] is stage])
    languages.update(unit.languages[row] or "unknown" for row in np.flatnonzero(unit.alive).tolist())
    if stages:
        short = np.flatnonzero(unit.alive & (unit.numbers(characters) < recipe.corpus.min_characters))
        unit.alive[short] = False
        value, least = unit.numbers(characters)[short], recipe.corpus.min_characters
        found.append(unit.row(short, stage="corpus", rule="min_characters", action=DROP, value=value, threshold=least))
        found.append(unit.row(np.flatnonzero(unit.alive), stage="corpus", rule="kept", action=KEEP))
    others = pc.invert(pc.is_in(unit.edits["stage"], pa.array(list(stages), pa.string())))
    found.append(unit.edits.filter(others))  # of extraction: whatever becomes of the document, they were made
    return pa.concat_tables(found).sort_by([("record", "ascending"), ("action", "ascending")]), unmeasured


def _asked(stage: RuleStage, languages: list[str | None]) -> Iterator[tuple[Rule, np.ndarray]]:
    """(rule, bool[n] of the documents that meet it), rule by rule."""
    own = np.array([language if language in stage.languages else None for language in languages], object)
    for place in range(len(stage.names)):
        for language in (None, *stage.languages):
            rule = stage.for_language(language)[place]
            if rule is not None:
                yield rule, np.array([one == language for one in own], bool)


def _edits(unit: _Unit, made: list[tuple[RuleStage, Rule, np.ndarray]]) -> Iterator[pa.Table]:
    """The rows of what the rules of a stage cut out of documents that passed it."""
    for stage, rule, members in made:
        for name, signal in rule.edits.items():
            values, full = unit.numbers(full_name(rule, signal)), full_name(rule, name)
            rows = np.flatnonzero(unit.alive & members & (values > 0))
            detail, version = unit.details(full, rows), stage.version
            yield unit.row(
                rows, stage=stage.name, rule=full, action=EDIT, value=values[rows], detail=detail, version=version
            )


def _counts(read: dict[str, Any], rows: Counter[str]) -> dict[str, Any]:
    """Of the new ledger what run.json counts; of what was read, what the run said."""
    counts = {name: read[name] for name in ("records", "read_bytes", "not_sampled", "skipped")}
    for name, action in (("dropped", DROP), ("edited", EDIT)):
        found = {row.rpartition("/")[0]: n for row, n in rows.items() if row.endswith(f"/{action}")}
        counts[name] = finish.in_order(found)
    return counts | {"documents": rows[f"corpus/kept/{KEEP}"]}
