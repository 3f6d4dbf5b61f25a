"""What makes a run whole: samples of the rejected, the token manifest, the data card, the report, run.json.

Everything here is small and done by one process; it can be done again at any time from the manifests.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa

from ..document import draws, key_words
from . import corpus, documents, phases
from .duplicates import index, plans
from .files import ParquetSink, parquet_batches
from .ledger import REJECTED, SAMPLE_PER_RULE
from .recipe import Recipe
from .stepfiles import Done, total, totals
from .units import Unit, digest_of, file_digest, noted_costs, remove_orphans

FOLDERS = ("documents", "signals", "ledger", "rejected", "dedup", "tokens")


def read_run(root: str | Path) -> dict[str, Any] | None:
    """run.json, or None."""
    try:
        return json.loads(Path(root, "run.json").read_text())
    except FileNotFoundError:
        return None


def write_run(root: str | Path, facts: dict[str, Any]) -> None:
    """Write run.json, aside and renamed. Its keys keep their order: that of rules is the order of the road."""
    write_text(Path(root, "run.json"), json.dumps(facts, indent=1) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a small file aside, then rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.aside")
    aside.write_text(text, encoding="utf-8")
    os.replace(aside, path)


def files_present(root: str | Path, files: dict[str, dict[str, Any]]) -> bool:
    """Whether all files that run.json names are there in their sizes."""
    try:
        return all(os.stat(Path(root, name)).st_size == facts["bytes"] for name, facts in files.items())
    except FileNotFoundError:
        return False


def encoder(recipe: Recipe, root: str, done: dict[str, Done]) -> Any:
    """The run's tokeniser."""
    (entry,) = done["tokenizer"].entries
    return corpus.open_encoder(f"{root}/{entry.manifest.only('work/tokenizer')}", phases.end_of_text(recipe))


def finish(
    recipe: Recipe, root: str, done: dict[str, Done], units: dict[str, list[Unit]], seconds: dict[str, float]
) -> dict[str, Any]:
    """Write what is written once; the facts that complete run.json."""
    files = {
        name: {"bytes": facts["bytes"], "sha256": facts["sha256"]}
        for step in done.values()
        for entry in step.entries
        for name, facts in entry.manifest.files.items()
        if not name.startswith("work/")
    }
    counts = _counts(done)
    if "index" in done:
        entries = done["index"].entries
        facts = index.facts(recipe, entries, counts["dedup"]["index"]["bytes"])
        write_text(Path(root, index.FACTS), json.dumps(facts, indent=1) + "\n")
        files |= _facts(root, [index.FACTS])
    if recipe.rejected == "sample":
        files |= _rejected_sample(root, recipe.seed, done)
    if "shards" in done:
        files |= _token_manifest(recipe, root, done, units)
        counts["tokens"] = {split: total(done["encode"].entries, f"{split}_tokens") for split in corpus.SPLITS}
    write_text(
        Path(root, "documents", "README.md"), _data_card(counts, [f for f in files if f.startswith("documents/")])
    )
    files |= _facts(root, ["documents/README.md"])
    remove_orphans(root, {*files, *_work_files(root, done, units)}, (*FOLDERS, "work"))
    facts = {"complete": True, "counts": counts, "seconds": seconds, "costs": _costs(root, units["documents"])}
    facts["files"] = dict(sorted(files.items()))

    from .report.build import build

    write_text(Path(root, "report.html"), build(root, recipe, facts))
    return facts


def _work_files(root: str, done: dict[str, Done], units: dict[str, list[Unit]]) -> set[str]:
    """What work/ holds of this run: an older recipe's files, and those of attempts that died, are not in it."""
    names = {name for step in done.values() for entry in step.entries for name in entry.manifest.files}
    manifests = {unit.manifest_path.relative_to(root).as_posix() for step in units.values() for unit in step}
    indexes = {path.relative_to(root).as_posix() for path in Path(root, documents.INDEXES).glob("*")}
    told = {"work/journal.jsonl", "work/costs.jsonl"}
    return names | manifests | {step.file for step in done.values()} | indexes | told


def _facts(root: str, names: list[str]) -> dict[str, dict[str, Any]]:
    return {n: dict(zip(("bytes", "sha256"), file_digest(Path(root, n)), strict=True)) for n in names}


def _costs(root: str, units: list[Unit]) -> dict[str, dict[str, float]]:
    """What each rule cost, in the order of the recipe: CPU seconds, documents measured, documents dropped."""
    total: dict[str, list[float]] = {}
    for costs in noted_costs(root, units):
        for rule, numbers in costs.items():
            total[rule] = [a + b for a, b in zip(total.get(rule, [0, 0, 0]), numbers, strict=True)]
    return {
        rule: {"cpu_seconds": round(seconds, 3), "measured": int(measured), "dropped": int(dropped)}
        for rule, (seconds, measured, dropped) in total.items()
    }


def _counts(done: dict[str, Done]) -> dict[str, Any]:
    documents, survivors = done["documents"].entries, done["corpus"].entries
    ledger = Counter(totals(documents, "ledger")) + Counter(totals(survivors, "ledger"))
    dropped = {name.removesuffix("/drop"): n for name, n in ledger.items() if name.endswith("/drop")}
    edited = {name.removesuffix("/edit"): n for name, n in ledger.items() if name.endswith("/edit")}
    counts: dict[str, Any] = {name: total(documents, name) for name in ("records", "read_bytes", "not_sampled")}
    counts |= {name: totals(documents, name) for name in ("skipped", "languages")}
    counts |= {"dropped": in_order(dropped), "edited": in_order(edited)}
    counts |= {"documents": total(survivors, "documents"), "text_bytes": total(survivors, "text_bytes")}
    counts["lengths"] = totals(survivors, "lengths")
    counts["dedup"] = plans.report(done)
    return counts


ORDER = ("read", *documents.STAGES, "dedup", "corpus")


def in_order(rules: dict[str, int]) -> dict[str, int]:
    """Rules in the order of the road, within a stage the most frequent first."""
    return dict(sorted(rules.items(), key=lambda r: (ORDER.index(r[0].split("/")[0]), -r[1], r[0])))


def _rejected_sample(root: str, seed: int, done: dict[str, Done]) -> dict[str, dict[str, Any]]:
    """The documents with the smallest draws of each rule over the whole run, so that no layout of files shows."""
    best: dict[tuple[str, str], list[tuple[int, tuple, dict]]] = {}
    for step in (done["documents"], done["corpus"]):
        for entry in step.entries:
            for batch in parquet_batches(f"{root}/{entry.manifest.only('work/rejected')}", REJECTED):
                values = draws(key_words(batch.column("key")), seed, "rejected").tolist()
                for value, row in zip(values, batch.to_pylist(), strict=True):
                    rule = best.setdefault((row["stage"], row["rule"]), [])
                    rule.append((value, (row["source"], row["record"]), row))
            for rule in best.values():
                rule.sort(key=lambda item: item[:2])
                del rule[SAMPLE_PER_RULE:]
    rows = [row for rule in sorted(best) for _, _, row in best[rule]]
    path = Path(root, "rejected", "sample.parquet")
    path.parent.mkdir(exist_ok=True)
    aside = path.with_name(".sample.aside")
    sink = ParquetSink(str(aside), REJECTED)
    sink.write(pa.RecordBatch.from_pylist(rows, schema=REJECTED))
    sink.close()
    os.replace(aside, path)
    return _facts(root, ["rejected/sample.parquet"])


def _token_manifest(recipe: Recipe, root: str, done: dict[str, Done], units: dict[str, list[Unit]]) -> dict[str, Any]:
    tokens = Path(root, "tokens")
    tokens.mkdir(exist_ok=True)
    digest = digest_of(recipe.model_dump(mode="json", exclude={"input", "output", "keep_work"}))
    splits = corpus.shard_infos(done["shards"].entries, units["shards"])
    corpus.write_manifest(tokens, encoder(recipe, root, done), recipe.seed, digest, splits)
    return _facts(root, ["tokens/tokenizer.json", "tokens/manifest.json"])


def _data_card(counts: dict[str, Any], files: list[str]) -> str:
    """README.md of documents/, with the header that `datasets.load_dataset` reads."""
    languages = [name for name in counts["languages"] if name != "unknown" and len(name) <= 3]
    header = ["---", "configs:", "- config_name: default", '  data_files: "*.parquet"']
    if languages:
        header += ["language:", *(f"- {name}" for name in languages)]
    dropped = "\n".join(f"| {rule} | {n:,} |" for rule, n in counts["dropped"].items())
    return "\n".join(
        [
            *header,
            "---",
            "",
            "# Documents",
            "",
            f"{counts['documents']:,} documents, {counts['text_bytes']:,} bytes of text, in {len(files)} Parquet files,"
            f" out of {counts['records']:,} records read.",
            "",
            "| dropped by | records |",
            "|---|---|",
            dropped,
            "",
            "Made by Gristmill. run.json beside this folder holds the recipe; ledger/ says of every record why it was"
            " kept, dropped or changed.",
            "",
        ]
    )
