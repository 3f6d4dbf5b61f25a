"""Documents that hold items of evaluation sets: dropped, or what they hold cut out; the ledger names the item.

An item was seen in training if enough of its word n-grams stand in a document, compared without case, accents,
punctuation and spacing (`measures.folded_words`). Items too short for an n-gram count whole. n is 13 by default, and a
short item has 8 words at least: GPT-3's bounds (Brown et al. 2020, arXiv:2005.14165, appendix C), where fewer words
gave mostly chance hits. Others take less: PaLM 8 words and 70 % of an item's n-grams (arXiv:2204.02311, section 8),
datatrove 12, Llama 2 ten tokens. A lower n finds more rewritten items and more common phrases; boilerplate that many
items share (`max_items`) or that a list names (`ignore`) is left out.

`exact`: some n-grams of one item; `containment`: a share of one item's; `document`: a share of the document's.

The index is built once, kept in one file and mapped into memory by all workers.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from ..config import Settings
from ..console import say
from .evaluation_sets import EvaluationSet, read_items, set_files
from .listfiles import as_paths, blocks, digest, require
from .measures.texts import Texts
from .rule import Check, Cuts, Measured, Rule, ratio
from .rules import RuleStage

if TYPE_CHECKING:
    from .measures.arrayfile import Arrays
    from .measures.ngram_index import Hits

VERSION = 1


class DecontaminateSettings(Settings):
    """Evaluation items in documents."""

    sets: Annotated[dict[str, EvaluationSet], Field(min_length=1)] = Field(description="Evaluation sets by name")
    n: int = Field(13, ge=4, le=50, description="Words of an n-gram; 8 to 13 is usual, twice that for Han and Thai")
    min_words: int = Field(
        8, ge=1, description="Texts of fewer than n words are looked for whole from so many words on"
    )
    mode: Literal["exact", "containment", "document"] = Field(
        "exact",
        description="What counts: n-grams of one item, the share of one item's, or the share of the document's",
    )
    min_matches: int = Field(
        1, ge=1, description="exact: as many n-grams of one item drop the document; so does an item found whole"
    )
    max_containment: float = Field(
        0.7, ge=0, le=1, description="containment: a larger share of one item's n-grams drops the document"
    )
    max_document_share: float = Field(
        0.1, ge=0, le=1, description="document: a larger share of n-grams that are some item's drops the document"
    )
    action: Literal["drop", "cut"] = Field("drop", description="Drop the document, or cut what was found out of it")
    cut_margin: int = Field(0, ge=0, le=10_000, description="cut: characters that go with it on both sides")
    ignore: str | tuple[str, ...] | None = Field(
        None, description="Files of common phrases, one a line, whose n-grams count for nothing"
    )
    max_items: int | None = Field(
        None, ge=1, description="n-grams that more items have count for nothing (shared instructions); null: all count"
    )

    @model_validator(mode="after")
    def _whole(self) -> DecontaminateSettings:
        if self.min_words > self.n:
            raise ValueError(f"min_words: {self.min_words} is more than n, {self.n}")
        return self


def inputs(settings: DecontaminateSettings) -> list[str]:
    """Every file that the stage depends on. Raises RequestError for one that is missing or unreadable."""
    files = [file for name, group in settings.sets.items() for file in set_files(name, group)]
    return files + [require("decontaminate.ignore", path) for path in as_paths(settings.ignore)]


def decontaminate_stage(settings: DecontaminateSettings, folder: Path | None = None) -> RuleStage:
    """The stage `decontaminate` of a recipe. The index is kept in `folder`, and found there by the next who asks."""
    return RuleStage("decontaminate", [Contamination(settings, folder)])


def build_index(settings: DecontaminateSettings, folder: Path | None = None) -> Arrays:
    """The n-grams of all items (`measures.ngram_index`), read from `folder` while neither files nor settings change.

    None builds in memory. Raises RequestError for a missing or damaged file and for a field that no item has.
    """
    from .measures.arrayfile import read
    from .measures.ngram_index import build

    inputs(settings)
    sets = [
        (name, group.model_dump(exclude={"paths"}), [digest(file) for file in set_files(name, group)])
        for name, group in settings.sets.items()
    ]
    ignored = [digest(path) for path in as_paths(settings.ignore)]
    told = [VERSION, unicodedata.unidata_version, sets, ignored, settings.n, settings.min_words, settings.max_items]
    name = hashlib.blake2b(repr(told).encode(), digest_size=16).hexdigest()
    place = None if folder is None else Path(folder, f"decontaminate-{name[:16]}.index")
    if place is not None and (kept := read(place, name)):
        return kept
    return build(
        _items(settings),
        n=settings.n,
        least=settings.min_words,
        ignore=_ignored(settings),
        most_items=settings.max_items,
        path=place,
        meta={"digest": name},
    )


def _items(settings: DecontaminateSettings) -> Iterator[tuple[int, str, list[str]]]:
    for number, (name, group) in enumerate(settings.sets.items()):
        for called, texts in read_items(name, group):
            yield number, called, texts


def _ignored(settings: DecontaminateSettings) -> Iterator[str]:
    for path in as_paths(settings.ignore):
        for block in blocks("decontaminate.ignore", path):
            yield from block.decode("utf-8", "replace").split("\n")


class Contamination(Rule):
    """Documents that hold items of evaluation sets."""

    name = "decontaminate"
    prefix = "contaminated"
    edits: ClassVar[dict[str, str]] = {"spans": "spans"}

    def __init__(self, settings: DecontaminateSettings, folder: Path | None = None):
        super().__init__(settings)
        self.folder, self.sets = folder, list(settings.sets)
        if settings.action == "drop":
            self.edits = {}

    @cached_property
    def index(self) -> Arrays:
        """The n-grams of all items, built or mapped when it is first asked."""
        return build_index(self.settings, self.folder)

    def files(self) -> tuple[str, ...]:
        """The evaluation sets, and what is ignored. Raises RequestError as `inputs` does."""
        return tuple(inputs(self.settings))

    def prepare(self) -> None:
        """Build the index, and say what is too short to be found. Raises RequestError as `build_index` does."""
        short = self.index.meta["items_too_short"]
        if short:
            say(f"decontaminate: {short:,} texts of fewer than {self.settings.min_words} words are not looked for")

    def checks(self) -> tuple[Check, ...]:
        """What the mode asks; nothing where spans are cut instead."""
        if self.settings.action == "cut":
            return ()
        asked = {
            "exact": [("ngrams", self.settings.min_matches - 1.0), ("item", np.nextafter(1.0, 0.0))],
            "containment": [("item", self.settings.max_containment)],
            "document": [("document", self.settings.max_document_share)],
        }
        named = [(f"contaminated_{signal}", limit) for signal, limit in asked[self.settings.mode]]
        return tuple(Check(name, name, float(limit), False) for name, limit in named)

    def measure(self, texts: Texts) -> Measured:
        """`ngrams` int64[n]: the most different n-grams of one item that stand in the document; `item` float64[n]: the
        largest share of one item's; `document` float64[n]: the share of the document's that are some item's (NaN if it
        has none); where spans are cut, `spans` int64[n]: how many.
        """
        from .measures.ngram_index import find

        n = len(texts)
        hits = find(self.index, texts.data, texts.offsets, texts.active)
        rows, items, counts, pairs_of_hit = _pairs(self.index, hits)
        totals = np.maximum(self.index["totals"][items].astype(np.int64), 1) if len(items) else counts
        shares = np.minimum(counts, totals) / totals
        signals = {
            "ngrams": np.zeros(n, np.int64),
            "item": np.zeros(n),
            "document": ratio(hits.found, hits.windows),
        }
        np.maximum.at(signals["ngrams"], rows, counts)
        np.maximum.at(signals["item"], rows, shares)
        details = self._details(n, rows, items, counts, totals)
        if self.settings.action == "drop":
            return Measured(signals, dict.fromkeys(signals, details))
        signals["spans"] = np.zeros(n, np.int64)
        guilty = self._guilty(signals["document"], rows, counts, shares)
        cuts = self._cuts(texts, hits, guilty, pairs_of_hit, signals["spans"])
        return Measured(signals, {"spans": details}, cuts)

    def _details(
        self, n: int, rows: np.ndarray, items: np.ndarray, counts: np.ndarray, totals: np.ndarray
    ) -> list[str | None]:
        """For each row with hits the item of which most was found, the first of equals; never its text."""
        from .measures.ngram_index import item_name

        details: list[str | None] = [None] * n
        order = np.lexsort((items, -counts, rows))
        firsts = order[np.flatnonzero(np.diff(rows[order], prepend=-1))]
        for pair, several in zip(firsts, np.bincount(rows, minlength=n)[rows[firsts]], strict=True):
            item = int(items[pair])
            told = {"set": self.sets[self.index["sets"][item]], "item": item_name(self.index, item)}
            told |= {"ngrams": int(counts[pair]), "of": int(totals[pair]), "items": int(several)}
            details[rows[pair]] = json.dumps(told, ensure_ascii=False)
        return details

    def _guilty(self, document: np.ndarray, rows: np.ndarray, counts: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """bool[p]: pairs of row and item that are over the threshold."""
        if self.settings.mode == "exact":
            return (counts >= self.settings.min_matches) | (shares >= 1)
        if self.settings.mode == "containment":
            return shares > self.settings.max_containment
        return document[rows] > self.settings.max_document_share

    def _cuts(
        self,
        texts: Texts,
        hits: Hits,
        guilty: np.ndarray,
        pairs_of_hit: tuple[np.ndarray, np.ndarray],
        spans: np.ndarray,
    ) -> tuple[Cuts, ...]:
        """The spans of all n-grams of items that are over the threshold."""
        from .measures.spans import widen

        hit, pair = pairs_of_hit
        cut = np.zeros(len(hits.rows), bool)
        cut[hit[guilty[pair]]] = True
        if not cut.any():
            return ()
        found = (hits.rows[cut], hits.starts[cut], hits.ends[cut])
        rows, starts, ends = widen(texts.data, texts.offsets, *found, self.settings.cut_margin)
        spans += np.bincount(rows, minlength=len(spans))
        return (Cuts("spans", rows, starts, ends),)


def _pairs(index: Arrays, hits: Hits) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Rows and items that have n-grams in common, and how many different ones: (rows, items, counts) int64[p] each.

    And which hits belong to which of these pairs: (hit, pair) int64[h] each.
    """
    from .measures.ngram_index import items_of

    size = max(1, len(index["keys"]))
    distinct, place = np.unique(hits.rows * size + hits.grams, return_inverse=True)
    which, items = items_of(index, distinct % size)
    many = max(1, len(index["totals"]))
    pairs, pair, counts = np.unique((distinct // size)[which] * many + items, return_inverse=True, return_counts=True)
    # every hit stands for its n-gram, and that for all pairs of its row
    order = np.argsort(place, kind="stable")
    copies = np.bincount(place, minlength=len(distinct))
    begins = np.cumsum(copies) - copies
    repeats = copies[which]
    within = np.arange(int(repeats.sum())) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    hit = order[np.repeat(begins[which], repeats) + within]
    return pairs // many, pairs % many, counts, (hit, np.repeat(pair, repeats))
