"""The phases in order: what each step reads and writes, when it is done again, who does it.

documents -> those of deduplication (see `duplicates`) -> corpus -> tokenizer -> encode -> shards

A step is a list of units; the units of a step may run anywhere and in any order, the next step begins when all are
committed. `plan_*` (of deduplication: `duplicates.plans`) makes the units of a step from the recipe and from the steps
before it; the digest of a unit covers the step's version, the settings that it reads and the digests of its inputs, and
nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from ..console import RequestError
from ..filters.pii.settings import fingerprint
from . import corpus, documents
from .duplicates import exact, index, near, paragraphs, passages, plans, rounds, shuffle
from .recipe import Recipe, TokenizerFile, to_json
from .stepfiles import Done, total
from .units import Unit, file_digest, make_unit

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
    return Step(mappers=shuffle.mappers, map=mapper, reduce=reducer, commit=partial(shuffle.commit_blocks, folder))


STEPS: dict[str, Step] = {
    "documents": Step(run=documents.run),
    "urls_sieve": Step(run=exact.sieve_urls),
    "urls": _shuffle(exact.map_urls, exact.reduce_urls, "work/urls"),
    "exact_sieve": Step(run=exact.sieve_exact),
    "exact": _shuffle(exact.map_exact, exact.reduce_exact, "work/exact"),
    "candidates": _shuffle(near.map_candidates, near.reduce_candidates, "work/candidates"),
    "components": Step(run=near.run_components),
    "links": Step(run=rounds.run_links),
    "large_star": Step(run=rounds.run_large_star),
    "small_star": Step(run=rounds.run_small_star),
    "labels": Step(run=rounds.run_labels),
    "weights": Step(run=rounds.run_weights),
    "deal": Step(run=rounds.run_deal),
    "shingles": Step(run=near.run_shingles),
    "verify": Step(run=near.run_verify),
    "paragraph_hashes": Step(run=paragraphs.run_hashes),
    "paragraph_sieve": Step(run=paragraphs.run_sieve),
    "paragraph_occurrences": Step(run=paragraphs.run_occurrences),
    "paragraph_keep": Step(run=paragraphs.run_keep),
    "paragraph_drops": Step(run=paragraphs.run_edits),
    "paragraph_occurrences_again": Step(run=paragraphs.run_occurrences),
    "paragraph_keep_again": Step(run=paragraphs.run_keep),
    "paragraphs": Step(run=paragraphs.run_edits),
    "passage_anchors": Step(run=passages.run_anchors),
    "passage_repeated": Step(run=passages.run_repeated),
    "passage_windows": Step(run=passages.run_windows),
    "passage_resolve": Step(run=passages.run_resolve),
    "passage_claims": Step(run=passages.run_claims),
    "passage_digests": Step(run=passages.run_digests),
    "substring": Step(run=passages.run_substring),
    "index": Step(run=index.run_index),
    "corpus": Step(run=corpus.run_corpus),
    "tokenizer": Step(run=corpus.run_tokenizer),
    "encode": Step(run=corpus.run_encode),
    "shards": Step(run=corpus.run_shard),
}


def plan_documents(
    recipe: Recipe, root: str, sources: list[dict], limit: int | None, sample: float | None, beside: list[list[str]]
) -> list[Unit]:
    """A unit a unit of input (see readers.inputs.units); `beside` as the function of that name gives it."""
    settings = {
        **documents.stage_settings(recipe),
        "beside": beside,
        "dedup": recipe.dedup.of_hashes(),
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
        units.append(make_unit("documents", documents.VERSION, root, source["name"], settings, reads, **more))
    return units


def beside(recipe: Recipe) -> list[list[str]]:
    """What the stages depend on beside their settings: [path, sha256] of each list and model, [stage, version], and of
    the key of replacements its fingerprint.

    Raises RequestError where a list, a model or the key is missing. Reads them all: asked once a run.
    """
    stages = documents.rule_stages(documents.stage_settings(recipe))
    paths = sorted({path for stage in [*stages, *([recipe.scrub] if recipe.scrub else [])] for path in stage.files()})
    key = fingerprint(recipe.scrub)
    told = [] if key is None else [["scrub key", key]]
    return [[path, file_digest(path)[1]] for path in paths] + [[stage.name, stage.version] for stage in stages] + told


def plan_corpus(recipe: Recipe, root: str, done: dict[str, Done]) -> list[Unit]:
    """A unit a unit of input."""
    settings = {
        "min_characters": recipe.corpus.min_characters,
        "rejected": recipe.rejected,
        "seed": recipe.seed,
    }
    removals, digests = plans.removals(done)
    units = []
    for entry in done["documents"].entries:
        text = entry.manifest.only("work/text")
        inputs = {"text": text, "removals": removals}
        reads = [entry.manifest.sha256, *digests]
        more = {"number": entry.number, "inputs": inputs, "size": entry.manifest.files[text]["bytes"]}
        units.append(make_unit("corpus", corpus.VERSION, root, entry.name, settings, reads, **more))
    return units


def plan_tokenizer(recipe: Recipe, root: str, done: dict[str, Done]) -> list[Unit]:
    """One unit: train, or copy."""
    if isinstance(recipe.tokenizer, TokenizerFile):
        try:
            reads = file_digest(recipe.tokenizer.path)
        except OSError as error:
            raise RequestError(f"tokenizer.path: {recipe.tokenizer.path}: {error.strerror}") from None
        return [make_unit("tokenizer", corpus.VERSION, root, "tokenizer", {"path": recipe.tokenizer.path}, reads)]
    settings = {"model": to_json(recipe.tokenizer), "sample_bytes": recipe.tokenizer.sample_bytes, "seed": recipe.seed}
    inputs = {"corpus": done["corpus"].file}
    return [make_unit("tokenizer", corpus.VERSION, root, "tokenizer", settings, done["corpus"].digest, inputs=inputs)]


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
        units.append(make_unit("encode", corpus.VERSION, root, entry.name, settings, reads, **more))
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
            units.append(make_unit("shards", corpus.VERSION, root, name, settings, done["encode"].digest, **more))
    return units
