"""The steps of phase 2 in order, as a recipe asks for them, and the units of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from ...console import say
from .. import stepfiles
from ..recipe import Recipe
from ..stepfiles import Done, total
from ..units import Unit, make_unit
from . import VERSION, index, paragraphs, passages, rounds, shuffle
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
                _warn(done[f"{step}_sieve"], f"dedup.{'url' if step == 'urls' else step}.bloom")
            yield step, partial(plan.equal, step)
    if dedup.minhash is not None:
        yield "candidates", plan.candidates
        yield from plan.clusters()
        yield "shingles", plan.shingles
        yield "verify", plan.verify
    if dedup.paragraphs is not None:
        if dedup.paragraphs.bloom is not None:
            yield "paragraph_hashes", plan.paragraph_hashes
            yield "paragraph_sieve", plan.paragraph_sieve
            _warn(done["paragraph_sieve"], "dedup.paragraphs.bloom")
        yield "paragraph_occurrences", plan.paragraph_occurrences
        yield "paragraph_keep", plan.paragraph_keep
        again = ""
        if dedup.paragraphs.max_removed < 1.0:
            yield "paragraph_drops", plan.paragraph_edits
            if total(done["paragraph_drops"].entries, "dropped"):
                again = "_again"
                yield "paragraph_occurrences_again", partial(plan.paragraph_occurrences, again)
                yield "paragraph_keep_again", partial(plan.paragraph_keep, again)
        yield "paragraphs", partial(plan.paragraph_edits, again, "paragraphs")
    if dedup.substring is not None:
        for step in passages.READS:
            yield step, partial(plan.passages, step)
    if dedup.index:
        yield "index", plan.index


def removals(done: dict[str, Done]) -> tuple[dict[str, str], list[str]]:
    """(step -> step file, digests) of the steps so far that take something away: for `standing` and its reader."""
    steps = [step for step in REMOVERS if step in done]
    return {step: done[step].file for step in steps}, [done[step].digest for step in steps]


def _warn(sieve: Done, setting: str) -> None:
    """Say that a filter was too small, and for what it should be made."""
    (entry,) = sieve.entries
    told = entry.manifest.counts
    for name, least in told["too_low"].items():
        say(
            f"{setting}.{name} is too low: it should be above {least:,}. Up to {told['false_positive_rate']:.2%} of"
            f" what occurs once is compared for nothing, and {told['asked_rate']:.2%} was asked for; what is removed"
            " does not depend on it"
        )


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

    def _documents(self) -> int:
        return total(self.done["documents"].entries, "kept") + sum(part["rows"] for part in self.parts)

    def _passes(
        self, step: str, documents: int, size: int, bands: int, settings: dict[str, Any], inputs: dict, reads: Any
    ) -> list[Unit]:
        """`documents`: how many cross the shuffle at most, each with `size` bytes a band."""
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
        sieve, documents = self.done.get(f"{step}_sieve"), self._documents()
        if sieve is not None:
            (entry,) = sieve.entries
            documents = entry.manifest.counts["let_through"]
            inputs["sieve"] = entry.manifest.only("work/sieves")
            reads.append(sieve.digest)
        return self._passes(step, documents, HASHED.itemsize, 1, {}, inputs, reads)

    def candidates(self) -> list[Unit]:
        """A unit a pass over the (band, partition) blocks of band hashes."""
        from ...dedup.candidates import ENTRY

        minhash = self.hashes["minhash"]
        settings = {"minhash": minhash, "cluster": self.recipe.dedup.minhash.cluster if self.parts else None}
        bands = minhash["bands"]
        return self._passes("candidates", self._documents(), ENTRY.itemsize, bands, settings, *self._inputs())

    def clusters(self) -> Iterator[Planned]:
        """The step `components`, in one worker or in rounds."""
        from ...dedup.components import fits

        memory = self.recipe.dedup.memory_bytes
        if fits(rounds.edges(self.done), memory):
            yield "components", self.components
        else:
            yield from rounds.road(memory, self.root, self.done, *self._inputs("candidates"))

    def components(self) -> list[Unit]:
        """One unit: the graph of all candidates."""
        inputs, reads = self._inputs("candidates")
        settings = {"partition_bytes": self.recipe.dedup.memory_bytes // 4}
        return [self._unit("components", "components", settings, reads, inputs=inputs)]

    def _destinations(self, folder: str) -> set[int]:
        """Whom the step `components` left anything in `folder`."""
        files = stepfiles.exchange_files(self.root, self.done["components"].entries, folder)
        return {int(number) for _, places in files for number in places}

    def shingles(self) -> list[Unit]:
        """A unit each input unit, and each part of an index, that holds a candidate."""
        asked = self._destinations("work/requests")
        minhash = {**self.hashes["minhash"], "verify": self.recipe.dedup.minhash.verify}
        settings = {"minhash": minhash, "budget": self.recipe.dedup.memory_bytes // 4}
        inputs, reads = self._inputs("components")
        units = []
        for entry in self.done["documents"].entries:
            if entry.number in asked:
                text = entry.manifest.only("work/text")
                more = {"number": entry.number, "size": entry.manifest.files[text]["bytes"]}
                units.append(
                    self._unit("shingles", entry.name, settings, reads, inputs={**inputs, "text": text}, **more)
                )
        for i, part in enumerate(self.parts):
            number = index.OLD_UNITS + i
            if number in asked:
                more = {"number": number, "size": part["size"], "inputs": inputs}
                units.append(self._unit("shingles", f"against-{i:05d}", settings, [reads, i], **more))
        return units

    def verify(self) -> list[Unit]:
        """A unit a partition of the candidate graph."""
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
            for number in sorted({place // 2 for place in self._destinations("work/tasks")})
        ]

    def _by_unit(self, step: str, settings: dict[str, Any], inputs: dict[str, Any], reads: Any) -> list[Unit]:
        """A unit a unit of input: its text is read again."""
        units = []
        for entry in self.done["documents"].entries:
            size = entry.manifest.files[entry.manifest.only("work/text")]["bytes"]
            more = {"number": entry.number, "size": size, "inputs": inputs}
            units.append(self._unit(step, entry.name, settings, reads, **more))
        return units

    def _paragraphs(self, *, hashes: bool = True, again: str = "") -> tuple[dict[str, Any], dict[str, Any], list[Any]]:
        """(settings, inputs, digests) of a step that cuts and hashes the paragraphs of texts."""
        others = {"bloom", "max_removed", "share_of"} if hashes else {"bloom"}
        settings = {"paragraphs": self.recipe.dedup.paragraphs.model_dump(mode="json", exclude=others)}
        inputs, reads = self._inputs()
        if "paragraph_sieve" in self.done:
            (entry,) = self.done["paragraph_sieve"].entries
            inputs["sieve"] = entry.manifest.only("work/sieves")
            reads.append(self.done["paragraph_sieve"].digest)
        if again:
            inputs["dropped"] = self.done["paragraph_drops"].file
            reads.append(self.done["paragraph_drops"].digest)
        return settings, inputs, reads

    def paragraph_hashes(self) -> list[Unit]:
        """A unit a unit of input."""
        return self._by_unit("paragraph_hashes", *self._paragraphs())

    def paragraph_sieve(self) -> list[Unit]:
        """One unit: what occurs more than once, in memory that does not grow."""
        hashes = self.done["paragraph_hashes"]
        settings = {"bloom": self.recipe.dedup.paragraphs.bloom.model_dump(mode="json")}
        inputs = {"hashes": hashes.file}
        return [self._unit("paragraph_sieve", "sieve", settings, hashes.digest, inputs=inputs)]

    def paragraph_occurrences(self, again: str = "") -> list[Unit]:
        """A unit a unit of input."""
        settings, inputs, reads = self._paragraphs(again=again)
        memory = self.recipe.dedup.memory_bytes
        slots = paragraphs.slots(total(self.done["documents"].entries, "text_bytes"), memory)
        settings |= {"slots": slots, "memory": memory}
        return self._by_unit(f"paragraph_occurrences{again}", settings, inputs, reads)

    def paragraph_keep(self, again: str = "") -> list[Unit]:
        """A unit a range of hashes that memory can hold, as many as there are occurrences for."""
        sent = self.done[f"paragraph_occurrences{again}"]
        memory = self.recipe.dedup.memory_bytes
        slots = paragraphs.slots(total(self.done["documents"].entries, "text_bytes"), memory)
        count = paragraphs.partitions(total(sent.entries, "sent"), memory)
        inputs = {"occurrences": sent.file}
        units = []
        for number in range(count):
            settings = {"partition": number, "partitions": count, "slots": slots}
            name, more = f"partition-{number:05d}", {"number": number, "inputs": inputs}
            units.append(self._unit(f"paragraph_keep{again}", name, settings, sent.digest, **more))
        return units

    def paragraph_edits(self, again: str = "", step: str = "paragraph_drops") -> list[Unit]:
        """A unit a unit of input."""
        settings, inputs, reads = self._paragraphs(hashes=False, again=again)
        settings["drops_only"] = step == "paragraph_drops"
        keep = self.done[f"paragraph_keep{again}"]
        inputs["keep"] = keep.file
        return self._by_unit(step, settings, inputs, [*reads, keep.digest])

    def passages(self, step: str) -> list[Unit]:
        """A unit a unit of input that the step has to do with, or a partition."""
        settings = passages.plan_settings(step, self.recipe, self.done)
        inputs, reads = self._inputs(*passages.READS[step])
        entries = {entry.number: entry for entry in self.done["documents"].entries}
        units = []
        for number in passages.plan_numbers(step, settings, self.done):
            name, size = f"partition-{number:05d}", 0
            if step not in passages.BY_PARTITION:
                name, size = entries[number].name, entries[number].manifest.counts["text_bytes"]
            units.append(self._unit(step, name, settings, reads, number=number, size=size, inputs=inputs))
        return units

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
    if "paragraphs" in done:
        counts["paragraphs"] = _paragraph_counts(done)
    if "substring" in done:
        counts["substring"] = passages.report(done)
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


def _paragraph_counts(done: dict[str, Done]) -> dict[str, Any]:
    first = done["paragraph_occurrences"].entries
    drops = done["paragraph_drops"].entries if "paragraph_drops" in done else []
    counts: dict[str, Any] = {
        **_counts(first, ("paragraphs", "compared")),
        "compared_for_nothing": total(done["paragraph_keep"].entries, "alone"),
        **_counts(done["paragraphs"].entries, ("edited", "dropped")),
        "removed": total(drops, "removed") + total(done["paragraphs"].entries, "removed"),
        "second_round": "paragraph_keep_again" in done,
    }
    if "paragraph_sieve" in done:
        (entry,) = done["paragraph_sieve"].entries
        counts["bloom"] = entry.manifest.counts
    return counts


def _counts(entries: list[stepfiles.Entry], names: tuple[str, ...]) -> dict[str, int]:
    found = dict.fromkeys(names, 0)
    for entry in entries:
        shuffle.add_counts(found, {name: entry.manifest.counts.get(name, 0) for name in names})
    return found
