"""Pages with words from a list. No list ships with the project: which words are bad is decided by a recipe.

The idea is C4's (Raffel et al. 2020, arXiv:1910.10683), which drops a page for one word of a public list of some four
hundred; mC4 drew one page in a thousand that stays all the same. The price is known: such lists also remove what
minorities write of themselves and medical text (Dodge et al. 2021, arXiv:2104.08758).

The tools differ in what must stand beside a word: `c4` asks for a character that is none of a to z, so that the first
and the last word of a page are never found; `datatrove` for none that is a letter, digit or underscore; `words` for
white space, so that a word with a comma is another word; `substring` asks nothing and is for scripts that write no
spaces (datatrove does so for Chinese, Japanese and Thai). A list for each language stands in the recipe's `languages`.
All words of a list are looked for in one pass, capitals or not.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field, model_validator

from ...config import Settings
from ...console import RequestError
from ...document import below, draws, json_text, key_words
from ..measures.texts import Texts
from ..rule import Limit, Measured, Rule


class BadWords(Rule):
    """Pages with words from a list of your own."""

    name = "bad_words"

    class Settings(Settings):
        """The list and how it is matched."""

        file: str | None = Field(None, description="A text file with a word or phrase a line, UTF-8")
        words: tuple[str, ...] = Field((), description="More words and phrases")
        dialect: Literal["c4", "datatrove", "words", "substring"] = Field(
            "datatrove", description="What must stand beside a word: no letter a-z, no word character, white space, any"
        )
        max_occurrences: int | None = Field(0, ge=0, description="Occurrences a page")
        keep_fraction: float = Field(
            0.0, ge=0, le=1, description="Share of the pages with bad words that stay all the same, drawn by their keys"
        )
        seed: int = Field(0, description="Of the draw")

        @model_validator(mode="after")
        def _named(self) -> Any:
            if self.file is None and not any(word.strip() for word in self.words):
                raise ValueError("bad_words needs a `file` or `words`")
            return self

    limits = (Limit("max_occurrences", "counted"),)

    def __init__(self, settings: Settings):
        """Raises RequestError where the list cannot be read."""
        super().__init__(settings)
        listed = list(settings.words) + (_read(settings.file) if settings.file is not None else [])
        self.words = sorted({word.strip() for word in listed} - {""})
        if settings.dialect == "words":
            self.words = sorted({" ".join(word.split()) for word in self.words})
        digest = hashlib.sha256("\n".join(self.words).encode()).hexdigest()
        self.version = f"{type(self).version}-{digest[:12]}"  # the ledger says which list it was
        self._automaton: Any = None

    def files(self) -> tuple[str, ...]:
        """The list."""
        return () if self.settings.file is None else (self.settings.file,)

    def measure(self, texts: Texts) -> Measured:
        """Occurrences, int64[n], and `counted`: the same, but 0 for a page that is drawn to stay."""
        from ..measures import patterns

        if self._automaton is None:
            self._automaton = patterns.automaton(self.words)
        beside = {
            "c4": patterns.NO_LATIN,
            "datatrove": patterns.NO_WORD,
            "words": patterns.BLANK,
            "substring": patterns.ANYWHERE,
        }
        occurrences, found = patterns.count_phrases(
            texts.data, texts.offsets, texts.active, self._automaton, beside[self.settings.dialect]
        )
        counted = occurrences
        if self.settings.keep_fraction:
            drawn = draws(key_words(texts.column("key")), self.settings.seed, self.name)
            stays = drawn < np.uint64(below(self.settings.keep_fraction))
            counted = np.where(stays, 0, occurrences)
        details: list[str | None] = [None] * len(texts)
        for row in np.unique(found[:, 0]).tolist():
            first, last = np.searchsorted(found[:, 0], (row, row + 1))
            details[row] = json_text({"words": sorted({self.words[p] for p in found[first:last, 1]})})
        signals = {"occurrences": occurrences, "counted": counted}
        return Measured(signals, {"max_occurrences": details})


def _read(file: str) -> list[str]:
    try:
        return Path(file).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"quality.bad_words.file: {file}: cannot be read: {error}") from None
