"""The phases in order: what each step reads and writes, when it is done again, who does it.

documents -> exact -> candidates -> components -> shingles -> verify -> corpus -> tokenizer -> encode -> shards

A step is a list of units; the units of a step may run anywhere and in any order, the next step begins when all are
committed. `plan_*` makes the units of a step from the recipe and from the steps before it; the digest of a unit
covers the step's version, the settings that it reads and the digests of its inputs, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..console import RequestError
from . import corpus, documents, duplicates
from .recipe import Recipe, TokenizerFile, to_json
from .stepfiles import Entry, total
from .units import Unit, digest_of, file_digest

ENCODE_BUDGET = 32 << 20  # bytes of token rows a worker holds before it writes them to their slots


@dataclass(frozen=True)
class Step:
    """Who does a unit of a step: `run`, or for a pass of a shuffle `mappers`, `map`, `reduce` and `commit`."""

    run: Callable[[Unit], None] | None = None
    mappers: Callable[[Unit], list[int]] | None = None
    map: Callable[[Unit, int], Iterator[tuple[int, bytes]]] | None = None
    reduce: Callable[[Unit, int, list[bytes]], None] | None = None
    commit: Callable[[Unit], None] | None = None

    @property
    def shuffles(self) -> bool:
        return self.map is not None


def _shuffle(mapper: Callable, reducer: Callable, folder: str) -> Step:
    return Step(
        mappers=duplicates.mappers, map=mapper, reduce=reducer, commit=partial(duplicates.commit_blocks, folder)
    )


STEPS: dict[str, Step] = {
    "documents": Step(run=documents.run),
    "exact": _shuffle(duplicates.map_exact, duplicates.reduce_exact, "work/exact"),
    "candidates": _shuffle(duplicates.map_candidates, duplicates.reduce_candidates, "work/candidates"),
    "components": Step(run=duplicates.run_components),
    "shingles": Step(run=duplicates.run_shingles),
    "verify": Step(run=duplicates.run_verify),
    "corpus": Step(run=corpus.run_corpus),
    "tokenizer": Step(run=corpus.run_tokenizer),
    "encode": Step(run=corpus.run_encode),
    "shards": Step(run=corpus.run_shard),
}


@dataclass(frozen=True)
class Done:
    """A finished step, as the next ones see it."""

    file: str  # see stepfiles
    digest: str
    entries: list[Entry]


def _unit(step: str, version: int, root: str, name: str, settings: dict, reads: Any, **more: Any) -> Unit:
    return Unit(step, name, root, digest_of(step, version, name, settings, reads), settings=settings, **more)


def plan_documents(
    recipe: Recipe, root: str, sources: list[dict], limit: int | None, sample: float | None, beside: list[list[str]]
) -> list[Unit]:
    """A unit a unit of input (see readers.inputs.units); `beside` as the function of that name gives it."""
    settings = {
        **documents.stage_settings(recipe),
        "beside": beside,
        "minhash": _signature_settings(recipe),
        "seed": recipe.seed,
        "sample": sample,
        "rejected": recipe.rejected,
    }
    units = []
    for number, source in enumerate(sources):
        share = None if limit is None else limit // len(sources) + (number < limit % len(sources))
        inputs = {**source, "limit": share, "max_bad_records": recipe.input.max_bad_records}
        reads = [source["stamp"], source["text_field"], source["id_field"], source["max_record_bytes"], share]
        more = {"number": number, "size": source["size"], "inputs": inputs}
        units.append(_unit("documents", documents.VERSION, root, source["name"], settings, reads, **more))
    return units


def beside(recipe: Recipe) -> list[list[str]]:
    """What the stages depend on beside their settings: [path, sha256] of each list and model, [stage, version].

    Raises RequestError where a list or a model is missing. Reads them all: asked once a run.
    """
    stages = documents.rule_stages(documents.stage_settings(recipe))
    paths = sorted({path for stage in stages for path in stage.files()})
    return [[path, file_digest(path)[1]] for path in paths] + [[stage.name, stage.version] for stage in stages]


def _signature_settings(recipe: Recipe) -> dict | None:
    """Of the MinHash settings, those that the signatures depend on (the others at their defaults)."""
    if recipe.dedup.minhash is None:
        return None
    return to_json(recipe.dedup.minhash.of_signatures())


def plan_exact(recipe: Recipe, root: str, done: dict[str, Done]) -> list[Unit]:
    """A unit a pass over the blocks of content hashes."""
    return _passes("exact", recipe, root, done, duplicates.CONTENT.itemsize, 1, {}, ["documents"])


def plan_candidates(recipe: Recipe, root: str, done: dict[str, Done]) -> list[Unit]:
    """A unit a pass over the (band, partition) blocks of band hashes."""
    from ..dedup.candidates import ENTRY

    minhash = _signature_settings(recipe)
    settings = {"minhash": minhash}
    return _passes("candidates", recipe, root, done, ENTRY.itemsize, minhash["bands"], settings, ["documents", "exact"])


def _passes(
    step: str, recipe: Recipe, root: str, done: dict[str, Done], size: int, bands: int, settings: dict, reads: list[str]
) -> list[Unit]:
    kept = total(done["documents"].entries, "kept")
    partitions, passes = duplicates.plan_blocks(size, kept, recipe.dedup.memory_bytes, bands)
    inputs = {name: done[name].file for name in reads if name in done}
    digests = [done[name].digest for name in reads if name in done]
    return [
        _unit(
            step,
            duplicates.VERSION,
            root,
            f"pass-{number:05d}",
            {**settings, "partitions": partitions, "blocks": blocks},
            digests,
            number=number,
            inputs=inputs,
        )
        for number, blocks in enumerate(passes)
    ]


def plan_components(recipe: Recipe, root: str, done: dict[str, Done]) -> list[Unit]:
    """One unit: the graph of all candidates."""
    settings = {"partition_bytes": recipe.dedup.memory_bytes // 4}
    inputs = {name: done[name].file for name in ("documents", "candidates")}
    reads = [done["documents"].digest, done["candidates"].digest]
    return [_unit("components", duplicates.VERSION, root, "components", settings, reads, inputs=inputs)]


def plan_shingles(recipe: Recipe, root: str, done: dict[str, Done]) -> list[Unit]:
    """A unit each input unit that holds a candidate."""
    (components,) = done["components"].entries
    index = components.manifest.files[components.manifest.only("work/requests")]["index"]
    settings = {"minhash": _signature_settings(recipe), "budget": recipe.dedup.memory_bytes // 4}
    units = []
    for entry in done["documents"].entries:
        if str(entry.number) in index:
            text = entry.manifest.only("work/text")
            inputs = {"text": text, "components": done["components"].file}
            reads = [entry.manifest.sha256, done["components"].digest]
            more = {"number": entry.number, "inputs": inputs, "size": entry.manifest.files[text]["bytes"]}
            units.append(_unit("shingles", duplicates.VERSION, root, entry.name, settings, reads, **more))
    return units


def plan_verify(recipe: Recipe, root: str, done: dict[str, Done]) -> list[Unit]:
    """A unit a partition of the candidate graph."""
    (components,) = done["components"].entries
    inputs = {name: done[name].file for name in ("components", "shingles")}
    reads = [done["components"].digest, done["shingles"].digest]
    threshold = recipe.dedup.minhash.threshold
    return [
        _unit(
            "verify",
            duplicates.VERSION,
            root,
            f"partition-{number:05d}",
            {"partition": number, "threshold": threshold},
            reads,
            number=number,
            inputs=inputs,
        )
        for number in range(components.manifest.counts["partitions"])
    ]


def plan_corpus(recipe: Recipe, root: str, done: dict[str, Done]) -> list[Unit]:
    """A unit a unit of input."""
    settings = {
        "min_characters": recipe.corpus.min_characters,
        "rejected": recipe.rejected,
        "seed": recipe.seed,
    }
    drops = {name: done[name] for name in ("exact", "verify") if name in done}
    units = []
    for entry in done["documents"].entries:
        text = entry.manifest.only("work/text")
        inputs = {"text": text, **{name: step.file for name, step in drops.items()}}
        reads = [entry.manifest.sha256, *(step.digest for step in drops.values())]
        more = {"number": entry.number, "inputs": inputs, "size": entry.manifest.files[text]["bytes"]}
        units.append(_unit("corpus", corpus.VERSION, root, entry.name, settings, reads, **more))
    return units


def plan_tokenizer(recipe: Recipe, root: str, done: dict[str, Done]) -> list[Unit]:
    """One unit: train, or copy."""
    if isinstance(recipe.tokenizer, TokenizerFile):
        try:
            reads = file_digest(recipe.tokenizer.path)
        except OSError as error:
            raise RequestError(f"tokenizer.path: {recipe.tokenizer.path}: {error.strerror}") from None
        return [_unit("tokenizer", corpus.VERSION, root, "tokenizer", {"path": recipe.tokenizer.path}, reads)]
    settings = {"model": to_json(recipe.tokenizer), "sample_bytes": recipe.tokenizer.sample_bytes, "seed": recipe.seed}
    inputs = {"corpus": done["corpus"].file}
    return [_unit("tokenizer", corpus.VERSION, root, "tokenizer", settings, done["corpus"].digest, inputs=inputs)]


def end_of_text(recipe: Recipe) -> str:
    """The token that ends each document."""
    tokenizer = recipe.tokenizer
    return tokenizer.end_of_text if isinstance(tokenizer, TokenizerFile) else tokenizer.special_tokens[0]


def plan_encode(recipe: Recipe, root: str, done: dict[str, Done]) -> list[Unit]:
    """A unit a file of documents/."""
    (tokenizer,) = done["tokenizer"].entries
    name = tokenizer.manifest.only("work/tokenizer")
    settings = {
        "seed": recipe.seed,
        "validation": recipe.tokens.validation,
        "end_of_text": end_of_text(recipe),
        "slots": corpus.slots(total(done["corpus"].entries, "text_bytes")),
        "budget": ENCODE_BUDGET,
    }
    units = []
    for entry in done["corpus"].entries:
        file = entry.manifest.only("documents")
        facts = entry.manifest.files[file]
        inputs = {"documents": file, "tokenizer": name}
        reads = [facts["sha256"], tokenizer.manifest.files[name]["sha256"]]
        more = {"number": entry.number, "inputs": inputs, "size": facts["bytes"]}
        units.append(_unit("encode", corpus.VERSION, root, entry.name, settings, reads, **more))
    return units


def plan_shards(recipe: Recipe, root: str, done: dict[str, Done], vocabulary: int) -> list[Unit]:
    """A unit a shard of each split that holds tokens."""
    units = []
    slots = corpus.slots(total(done["corpus"].entries, "text_bytes"))
    dtype = "uint16" if vocabulary <= 1 << 16 else "uint32"
    for split in corpus.SPLITS:
        tokens = total(done["encode"].entries, f"{split}_tokens")
        shards = -(-tokens // recipe.tokens.shard_tokens)
        for shard in range(shards):
            settings = {"split": split, "shard": shard, "shards": shards, "slots": slots, "dtype": dtype}
            settings["seed"] = recipe.seed
            name = f"{split}-{shard:05d}-of-{shards:05d}"
            more = {"number": len(units), "inputs": {"encode": done["encode"].file}}
            units.append(_unit("shards", corpus.VERSION, root, name, settings, done["encode"].digest, **more))
    return units
