"""report.html: one self-contained page, no script, nothing fetched; every text is escaped and none is a live link."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..recipe import Recipe

EXAMPLES, CHARACTERS, CLUSTERS, LANGUAGES = 3, 600, 15, 25


def build(root: str, recipe: Recipe, facts: dict[str, Any]) -> str:
    """The page of a run, from the facts of its run.json and the files that they name."""
    import jinja2

    page = Path(__file__).with_name("page.html").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=False)
    counts, files = facts["counts"], facts["files"]
    run = json.loads(Path(root, "run.json").read_text())
    return environment.from_string(page).render(
        root=Path(root).name,
        recipe=recipe,
        recipe_text=json.dumps(recipe.model_dump(mode="json"), indent=1),
        machine=run["machine"],
        characters=CHARACTERS,
        funnel=_funnel(counts),
        rules=_rules(root, counts, files),
        clusters=_clusters(root, files),
        languages=_bars(counts["languages"], LANGUAGES),
        lengths=_lengths(root, files),
        tokens=counts.get("tokens"),
        times=facts["seconds"],
    )


def _funnel(counts: dict[str, Any]) -> list[dict[str, Any]]:
    total = max(1, counts["records"] - counts["not_sampled"])
    rows = [("records read", counts["records"] - counts["not_sampled"], "")]
    by_stage: dict[str, int] = defaultdict(int)
    for rule, n in counts["dropped"].items():
        by_stage[rule.split("/")[0]] += n
    rows += [(f"dropped by {stage}", n, "drop") for stage, n in by_stage.items()]
    rows.append(("documents kept", counts["documents"], "keep"))
    return [{"name": name, "count": n, "kind": kind, "share": 100 * n / total} for name, n, kind in rows]


def _rules(root: str, counts: dict[str, Any], files: dict[str, Any]) -> list[dict[str, Any]]:
    """Every rule with its first examples; the texts of dropped documents come from rejected/."""
    texts: dict[tuple[str, int], str] = {}
    for name in files:
        if name.startswith("rejected/"):
            for batch in pq.ParquetFile(Path(root, name)).iter_batches(256, columns=["source", "record", "text"]):
                for row in batch.to_pylist():
                    texts.setdefault((row["source"], row["record"]), row["text"][:CHARACTERS])
                if len(texts) > 5000:
                    break
    examples = _examples(root, files, texts)
    rules = []
    for action, table in (("dropped", counts["dropped"]), ("changed", counts["edited"])):
        for name, count in table.items():
            rules.append({"name": name, "action": action, "count": count, "examples": examples[name, action]})
    return rules


def _examples(root: str, files: dict[str, Any], texts: dict) -> dict[tuple[str, str], list[dict[str, Any]]]:
    found: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for name in files:
        if not name.startswith("ledger/"):
            continue
        table = pq.read_table(Path(root, name), filters=pc.field("action") != "keep", use_threads=False)
        for row in table.to_pylist():
            rule = found[f"{row['stage']}/{row['rule']}", "dropped" if row["action"] == "drop" else "changed"]
            row["text"] = texts.get((row["source"], row["record"])) if row["action"] == "drop" else None
            if len(rule) < EXAMPLES:
                rule.append(row)
            elif row["text"] is not None and (bare := [i for i, r in enumerate(rule) if r["text"] is None]):
                rule[bare[0]] = row
    return found


def _clusters(root: str, files: dict[str, Any]) -> list[dict[str, Any]]:
    sizes: dict[bytes, list[float]] = {}
    for name in files:
        if name.startswith("dedup/clusters/"):
            table = pq.read_table(Path(root, name), use_threads=False)
            for kept, jaccard in zip(table["kept"].to_pylist(), table["jaccard"].to_pylist(), strict=True):
                low, high, n = sizes.get(kept, (1.0, 0.0, 0))
                sizes[kept] = [min(low, jaccard), max(high, jaccard), n + 1]
    best = sorted(sizes.items(), key=lambda item: (-item[1][2], item[0]))[:CLUSTERS]
    return [{"kept": key.hex(), "count": n, "low": low, "high": high} for key, (low, high, n) in best]


def _lengths(root: str, files: dict[str, Any]) -> list[dict[str, Any]]:
    bins = np.zeros(40, np.int64)
    for name in files:
        if name.startswith("documents/") and name.endswith(".parquet"):
            for batch in pq.ParquetFile(Path(root, name)).iter_batches(1000, columns=["text"]):
                lengths = pc.utf8_length(batch.column("text")).to_numpy()
                bins += np.bincount(np.log2(np.maximum(lengths, 1)).astype(int), minlength=40)[:40]
    counts = {f"{1 << i:,} to {(1 << i + 1) - 1:,} characters": int(n) for i, n in enumerate(bins) if n}
    return _bars(counts, len(counts), order=False)


def _bars(counts: dict[str, int], most: int, order: bool = True) -> list[dict[str, Any]]:
    rows = sorted(counts.items(), key=lambda item: (-item[1], item[0])) if order else list(counts.items())
    top = max((n for _, n in rows), default=1)
    return [{"name": name, "count": n, "share": 100 * n / top} for name, n in rows[:most]]
