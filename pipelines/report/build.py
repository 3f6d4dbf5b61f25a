"""report.html: one self-contained page, no script, nothing fetched; every text is escaped and none is a live link."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
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
        costs=_costs(facts["costs"]),
        cheapest=_cheapest(facts["costs"]),
        clusters=_clusters(root, files),
        languages=_bars(counts["languages"], LANGUAGES),
        lengths=_lengths(counts.get("lengths", {})),
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
    """Every rule with its first examples."""
    examples = _dropped(root, files) | _changed(root, files)
    rules = []
    for action, table in (("dropped", counts["dropped"]), ("changed", counts["edited"])):
        for name, count in table.items():
            rules.append({"name": name, "action": action, "count": count, "examples": examples.get((name, action), [])})
    return rules


def _costs(costs: dict[str, dict[str, float]]) -> list[dict[str, Any]]:
    """A row a rule, in the order of the recipe; microseconds of CPU."""
    rows = []
    for name, cost in costs.items():
        micro = 1e6 * cost["cpu_seconds"]
        each = micro / max(1, cost["measured"])
        drop = micro / cost["dropped"] if cost["dropped"] else None
        rows.append(
            {"name": name, "measured": cost["measured"], "dropped": cost["dropped"], "each": each, "drop": drop}
        )
    return rows


def _cheapest(costs: dict[str, dict[str, float]]) -> str | None:
    """The order of each stage's rules by cost a document dropped, where it is not the order they have.

    For rules that drop independently of one another no order costs less: of two neighbours the one that drops more a
    second goes first (Smith 1956). Rules that overlap make it a good guess.
    """
    stages: dict[str, list[str]] = defaultdict(list)
    for name in costs:
        stages[name.split("/")[0]].append(name)
    better = []
    for names in stages.values():

        def price(name: str) -> float:
            share = costs[name]["dropped"] / max(1, costs[name]["measured"])
            each = costs[name]["cpu_seconds"] / max(1, costs[name]["measured"])
            return each / share if share else float("inf")

        order = sorted(names, key=price)
        if order != names:
            better.append(", ".join(order))
    return "; ".join(better) or None


Examples = dict[tuple[str, str], list[dict[str, Any]]]


def _dropped(root: str, files: dict[str, Any]) -> Examples:
    """Dropped documents: texts from rejected/, which holds them in order of their draws; values from the ledger."""
    found: Examples = defaultdict(list)
    for name in (f for f in files if f.startswith("rejected/")):
        for batch in pq.ParquetFile(Path(root, name)).iter_batches(256):
            for row in batch.to_pylist():
                rule = found[f"{row['stage']}/{row['rule']}", "dropped"]
                if len(rule) < EXAMPLES:
                    rule.append(
                        row | {"text": row["text"][:CHARACTERS], "value": None, "threshold": None, "detail": None}
                    )
    by_place = {(row["source"], row["record"]): row for rule in found.values() for row in rule}
    records = pa.array(sorted({record for _, record in by_place}), pa.int64())
    for batch in _ledger(root, files, "drop"):
        read = batch.filter(pc.equal(batch.column("stage"), "read"))  # no text was read, so none was rejected
        near = batch.filter(pc.is_in(batch.column("record"), records))
        for row in _first_of_each(read, found, "dropped"):
            found[f"{row['stage']}/{row['rule']}", "dropped"].append(row | {"text": None})
        for row in near.to_pylist():
            if (row["source"], row["record"]) in by_place:
                wanted = by_place[row["source"], row["record"]]
                wanted |= {name: row[name] for name in ("value", "threshold", "detail")}
    return found


def _changed(root: str, files: dict[str, Any]) -> Examples:
    found: Examples = defaultdict(list)
    for batch in _ledger(root, files, "edit"):
        for row in _first_of_each(batch, found, "changed"):
            found[f"{row['stage']}/{row['rule']}", "changed"].append(row | {"text": None})
    return found


def _ledger(root: str, files: dict[str, Any], action: str) -> Iterator[pa.RecordBatch]:
    """The ledger's rows of one action, a batch in memory at a time."""
    for name in (f for f in files if f.startswith("ledger/")):
        for batch in pq.ParquetFile(Path(root, name)).iter_batches(10_000):
            yield batch.filter(pc.equal(batch.column("action"), action))


def _first_of_each(batch: pa.RecordBatch, found: Examples, action: str) -> Iterator[dict[str, Any]]:
    """The first rows of a batch of each rule that lacks examples."""
    for stage, rule in {(r["stage"], r["rule"]): None for r in batch.select(["stage", "rule"]).to_pylist()}:
        missing = EXAMPLES - len(found[f"{stage}/{rule}", action])
        if missing > 0:
            mine = pc.and_(pc.equal(batch.column("stage"), stage), pc.equal(batch.column("rule"), rule))
            yield from batch.filter(mine).slice(0, missing).to_pylist()


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


def _lengths(by_length: dict[str, int]) -> list[dict[str, Any]]:
    """`by_length`: the least number of characters -> documents of this to twice as many."""
    least = sorted(map(int, by_length))
    counts = {f"{low:,} to {2 * low - 1:,} characters": by_length[str(low)] for low in least}
    return _bars(counts, len(counts), order=False)


def _bars(counts: dict[str, int], most: int, order: bool = True) -> list[dict[str, Any]]:
    rows = sorted(counts.items(), key=lambda item: (-item[1], item[0])) if order else list(counts.items())
    top = max((n for _, n in rows), default=1)
    return [{"name": name, "count": n, "share": 100 * n / top} for name, n in rows[:most]]
