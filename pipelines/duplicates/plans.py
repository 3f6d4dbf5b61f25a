"""The steps of phase 2 in order, as a recipe asks for them, and the units of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from .. import stepfiles
from ..recipe import Recipe
from ..stepfiles import Done, total
from ..units import Unit, make_unit
from . import VERSION, index, shuffle
from .standing import REMOVERS

Planned = tuple[str, Callable[[], list[Unit]]]


def road(recipe: Recipe, root: str, done: dict[str, Done], parts: list[dict[str, Any]]) -> Iterator[Planned]:
    """(step, its plan) in order; `done` holds, when the next is asked for, every step given before.

    `parts`: of the indexes that the recipe names (see index.open_indexes).
    """
    plan = _Plan(recipe, root, done, parts)
    dedup = recipe.dedup
    for step, settings in (("urls", dedup.url), ("exact", dedup.exact)):
        if settings is not None:
            if settings.bloom is not None:
                yield f"{step}_sieve", partial(plan.sieve, step)
            yield step, partial(plan.equal, step)
    if dedup.minhash is not None:
        yield "candidates", plan.candidates
        yield "components", plan.components
        yield "shingles", plan.shingles
        yield "verify", plan.verify
    if dedup.index:
        yield "index", plan.index


def removals(done: dict[str, Done]) -> tuple[dict[str, str], list[str]]:
    """(step -> step file, digests) of the steps so far that take something away: for `standing` and its reader."""
    steps = [step for step in REMOVERS if step in done]
    return {step: done[step].file for step in steps}, [done[step].digest for step in steps]


class _Plan:
    """The units of each step. A digest covers the steps before, since they decide what a step sees."""

    def __init__(self, recipe: Recipe, root: str, done: dict[str, Done], parts: list[dict[str, Any]]):
        self.recipe, self.root, self.done, self.parts = recipe, root, done, parts
        self.hashes = recipe.dedup.of_hashes()
        self.against = index.save_parts(root, parts) if parts else None

    def _inputs(self, *steps: str) -> tuple[dict[str, Any], list[Any]]:
        """(inputs, digests) of a unit that reads the first phase's documents, what was removed, and `steps`."""
        files, digests = removals(self.done)
        inputs = {"documents": self.done["documents"].file, "removals": files}
        inputs |= {step: self.done[step].file for step in steps}
        reads = [self.done["documents"].digest, digests, [self.done[step].digest for step in steps]]
        if self.against is not None:
            inputs["against"] = self.against[0]
            reads.append(self.against[1])
        return inputs, reads

    def _unit(self, step: str, name: str, settings: dict, reads: Any, **more: Any) -> Unit:
        return make_unit(step, VERSION, self.root, name, settings, reads, **more)

    def _passes(
        self, step: str, size: int, bands: int, settings: dict[str, Any], inputs: dict, reads: Any
    ) -> list[Unit]:
        documents = total(self.done["documents"].entries, "kept") + sum(part["rows"] for part in self.parts)
        partitions, passes = shuffle.plan_blocks(size, documents, self.recipe.dedup.memory_bytes, bands)
        return [
            self._unit(
                step,
                f"pass-{number:05d}",
                {**settings, "partitions": partitions, "blocks": blocks},
                reads,
                number=number,
                inputs=inputs,
            )
            for number, blocks in enumerate(passes)
        ]

    def sieve(self, step: str) -> list[Unit]:
        """One unit: what occurs more than once, in memory that does not grow."""
        inputs, reads = self._inputs()
        bloom = getattr(self.recipe.dedup, "url" if step == "urls" else step).bloom
        settings = {"bloom": bloom.model_dump(mode="json")}
        return [self._unit(f"{step}_sieve", "sieve", settings, reads, inputs=inputs)]

    def equal(self, step: str) -> list[Unit]:
        """A unit a pass over the blocks of hashes."""
        from .exact import HASHED

        inputs, reads = self._inputs()
        sieve = self.done.get(f"{step}_sieve")
        if sieve is not None:
            (entry,) = sieve.entries
            inputs["sieve"] = entry.manifest.only("work/sieves")
            reads.append(sieve.digest)
        return self._passes(step, HASHED.itemsize, 1, {}, inputs, reads)

    def candidates(self) -> list[Unit]:
        """A unit a pass over the (band, partition) blocks of band hashes."""
        from ...dedup.candidates import ENTRY

        minhash = self.hashes["minhash"]
        settings = {"minhash": minhash, "cluster": self.recipe.dedup.minhash.cluster if self.parts else None}
        return self._passes("candidates", ENTRY.itemsize, minhash["bands"], settings, *self._inputs())

    def components(self) -> list[Unit]:
        """One unit: the graph of all candidates."""
        inputs, reads = self._inputs("candidates")
        settings = {"partition_bytes": self.recipe.dedup.memory_bytes // 4}
        return [self._unit("components", "components", settings, reads, inputs=inputs)]

    def shingles(self) -> list[Unit]:
        """A unit each input unit, and each part of an index, that holds a candidate."""
        (components,) = self.done["components"].entries
        asked = components.manifest.files[components.manifest.only("work/requests")]["index"]
        minhash = {**self.hashes["minhash"], "verify": self.recipe.dedup.minhash.verify}
        settings = {"minhash": minhash, "budget": self.recipe.dedup.memory_bytes // 4}
        inputs, reads = self._inputs("components")
        units = []
        for entry in self.done["documents"].entries:
            if str(entry.number) in asked:
                text = entry.manifest.only("work/text")
                more = {"number": entry.number, "size": entry.manifest.files[text]["bytes"]}
                units.append(
                    self._unit("shingles", entry.name, settings, reads, inputs={**inputs, "text": text}, **more)
                )
        for i, part in enumerate(self.parts):
            number = index.OLD_UNITS + i
            if str(number) in asked:
                more = {"number": number, "size": part["size"], "inputs": inputs}
                units.append(self._unit("shingles", f"against-{i:05d}", settings, [reads, i], **more))
        return units

    def verify(self) -> list[Unit]:
        """A unit a partition of the candidate graph."""
        (components,) = self.done["components"].entries
        inputs, reads = self._inputs("components", "shingles")
        minhash = self.recipe.dedup.minhash.model_dump(mode="json")
        return [
            self._unit(
                "verify",
                f"partition-{number:05d}",
                {"partition": number, "minhash": minhash},
                reads,
                number=number,
                inputs=inputs,
            )
            for number in range(components.manifest.counts["partitions"])
        ]

    def index(self) -> list[Unit]:
        """A unit a unit of input."""
        minhash = self.recipe.dedup.minhash
        settings = {"dedup": self.hashes, "shingles": minhash is not None and minhash.verify == "exact"}
        inputs, reads = self._inputs()
        units = []
        for entry in self.done["documents"].entries:
            files = {name: entry.manifest.only(f"work/{name}") for name in ("hashes", "text")}
            more = {"number": entry.number, "size": entry.manifest.files[files["text"]]["bytes"]}
            units.append(self._unit("index", entry.name, settings, reads, inputs={**inputs, **files}, **more))
        return units


def report(done: dict[str, Done]) -> dict[str, Any]:
    """The counts of phase 2 for run.json."""
    counts: dict[str, Any] = {}
    for step in ("urls", "exact"):
        if step in done:
            counts[step] = _counts(done[step].entries, ("dropped", "compared", "compared_for_nothing"))
        if f"{step}_sieve" in done:
            (entry,) = done[f"{step}_sieve"].entries
            counts[step]["bloom"] = entry.manifest.counts
    if "verify" in done:
        counts["minhash"] = {
            **_counts(done["candidates"].entries, ("large_buckets", "largest_bucket")),
            **_counts(done["components"].entries, ("pairs", "provisional_clusters", "largest_provisional_cluster")),
            **_counts(done["verify"].entries, ("measured", "unmeasured", "dropped", "clusters", "largest_cluster")),
        }
        large = [found for entry in done["verify"].entries for found in entry.manifest.counts["large_clusters"]]
        counts["minhash"]["large_clusters"] = sorted(large, key=lambda found: (-found[1], found[0]))
    if "index" in done:
        entries = done["index"].entries
        size = sum(facts["bytes"] for e in entries for facts in e.manifest.files.values())
        documents = total(entries, "documents")
        counts["index"] = {
            "documents": documents,
            "bytes": size,
            "bytes_a_million": round(size / max(documents, 1) * 1e6),
        }
    return counts


def _counts(entries: list[stepfiles.Entry], names: tuple[str, ...]) -> dict[str, int]:
    found = dict.fromkeys(names, 0)
    for entry in entries:
        shuffle.add_counts(found, {name: entry.manifest.counts.get(name, 0) for name in names})
    return found
