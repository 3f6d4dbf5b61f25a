"""RefinedWeb's corrections of lines (Penedo et al. 2023, arXiv:2306.01116, appendix G.2).

The idea of the paper: an extractor leaves lines that belong to a page and not to its text: counters of social media,
headings in capitals, dates, buttons. They are taken out line by line, and where they were more than 5 % of the words
the page is dropped, since such a page is seldom worth mending. The paper gives the rules and one example of each; the
lists below are this project's, of such phrases as a page holds between its texts. What "mainly" is (half of a line's
characters) is DCLM's reading (Li et al. 2024, arXiv:2406.11794).

The trade-off: one word a line is also what a poem or a table may have; then the page is dropped.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from ...config import Settings
from ..measures.texts import Texts
from ..rule import Cuts, Limit, Measured, Rule, ratio

NOUNS = (
    *("like", "share", "comment", "retweet", "repost", "quote", "bookmark", "upvote", "downvote", "download"),
    *("view", "follower", "subscriber", "vote", "point", "play", "post", "photo", "rating", "review"),
)
COUNTERS = (*NOUNS, *(f"{noun}s" for noun in NOUNS), "following", "reply", "replies")
AT_START = ("sign-in", "sign in", "sign up", "log in", "login", "register", "home", "skip to content", "share this")
AT_END = (
    "read more",
    "read more...",
    "read more…",
    "read more »",
    "continue reading",
    "see more",
    "show more",
    "view all",
)
ANYWHERE = ("items in cart", "item in cart", "add to cart", "your cart is empty", "all rights reserved")


class RefinedWebLines(Rule):
    """RefinedWeb: counters, capitals, numbers, single words and buttons go, and pages where that was too much."""

    name = "refinedweb_lines"

    class Settings(Settings):
        """Rules for lines; null, false or an empty list switches one off."""

        max_uppercase: float | None = Field(0.5, ge=0, description="Share of capitals in a line's characters")
        remove_numeric: bool = Field(True, description="Remove lines of nothing but numbers")
        counters: tuple[str, ...] = Field(
            COUNTERS, description='Nouns of counters: lines like "3 likes" or "1.2k views" are removed'
        )
        min_words_per_line: int = Field(2, ge=1, description="Words; a shorter line is removed")
        max_phrase_words: int = Field(10, ge=0, description="Words of the longest line that loses the phrases below")
        at_start: tuple[str, ...] = Field(AT_START, description="Phrases cut at the beginning of a line")
        at_end: tuple[str, ...] = Field(AT_END, description="Phrases cut at the end of a line")
        anywhere: tuple[str, ...] = Field(ANYWHERE, description="Phrases cut wherever they stand")
        max_removed_words: float | None = Field(0.05, ge=0, description="Share of the page's words so removed")

    limits = (Limit("max_removed_words", "removed_word_share"),)
    edits: ClassVar = {"lines": "cut_bytes"}

    def __init__(self, settings: Settings):
        super().__init__(settings)
        self._tables: Any = None

    def measure(self, texts: Texts) -> Measured:
        """Counts, int64[n], the share of words removed, float64[n], and the cuts `lines`."""
        from ..measures.line_rules import COUNTS, correct, phrases_of
        from ..measures.patterns import automaton

        s = self.settings
        if self._tables is None:
            listed = [[phrase for phrase in phrases if phrase] for phrases in (s.at_start, s.at_end, s.anywhere)]
            self._tables = automaton([noun for noun in s.counters if noun]), phrases_of(*listed)
        counters, phrases = self._tables
        found = correct(
            texts.data,
            texts.offsets,
            texts.active,
            max_uppercase=s.max_uppercase,
            numeric=s.remove_numeric,
            counters=counters,
            min_words=s.min_words_per_line,
            phrases=phrases,
            max_phrase_words=s.max_phrase_words,
        )
        signals = {name: found.counts[name] for name in COUNTS.names}
        signals["removed_word_share"] = ratio(found.counts["removed_words"], found.counts["words"])
        cuts = Cuts("lines", found.rows, found.starts, found.ends)
        return Measured(signals, {"lines": _details(found)}, (cuts,))


def _details(found: Any) -> list[str | None]:
    """JSON for each document that is cut: `{"numeric_lines": 1, "lines": [2]}`; lines from 1, the first hundred."""
    from ..measures.line_rules import REASONS

    details: list[str | None] = [None] * len(found.counts)
    rows = np.unique(found.noted[:, 0])
    first = np.searchsorted(found.noted[:, 0], rows).tolist()
    last = np.searchsorted(found.noted[:, 0], rows, side="right").tolist()
    numbers = found.noted[:, 1].tolist()
    columns = [found.counts[name][rows].tolist() for name in REASONS]
    for row, start, end, *values in zip(rows.tolist(), first, last, *columns, strict=True):
        parts = [f'"{name}":{value}' for name, value in zip(REASONS, values, strict=True) if value]
        details[row] = "{" + ",".join([*parts, f'"lines":[{",".join(map(str, numbers[start:end]))}]']) + "}"
    return details
