"""FineWeb's rules (Penedo et al. 2024, arXiv:2406.17557), as datatrove 0.10's FineWebQualityFilter has them.

The idea: pages that are lists, menus and forms have lines that end in no mark of punctuation, are short, come twice, or
hold few words. The thresholds were found by comparing the histograms of good and bad crawls. A line is what stands
between newlines and is not blank; white space at its ends is part of it, so a line with a carriage return at its end
ends in no punctuation.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from ...config import Settings
from ..measures.texts import Texts
from ..rule import Limit, Measured, Rule, ratio
from .gopher import WORDS, Words, _share


class FineWeb(Rule):
    """FineWeb's rules of lines: their ends, their lengths, their repeats, and newlines a word."""

    name = "fineweb"

    class Settings(Settings):
        """Thresholds; null switches one off."""

        words: Words = Field("whitespace", description=WORDS)
        min_lines: int | None = Field(1, ge=0, description="Lines that are not blank")
        min_terminal_lines: float | None = _share(0.12, "Share of lines that end in terminal punctuation")
        terminal_exclude_zero: bool = Field(False, description="A text without any such line is not asked for them")
        terminal_punctuation: tuple[Annotated[str, Field(min_length=1, max_length=1)], ...] | None = Field(
            None, description="The characters that end a line; by default those of all scripts"
        )
        max_short_lines: float | None = _share(0.67, "Share of lines of at most `short_line_length`")
        short_line_length: int = Field(30, ge=0, description="Characters of a short line, white space included")
        max_duplicate_line_characters: float | None = _share(
            0.01, "Share of characters, newlines left out, in lines that repeat an earlier one"
        )
        max_newlines_per_word: float | None = _share(0.3, "Newlines a word")

    limits = (
        Limit("min_lines", "lines"),
        Limit("min_terminal_lines", "terminal_lines"),
        Limit("max_short_lines", "short_lines"),
        Limit("max_duplicate_line_characters", "duplicate_line_characters"),
        Limit("max_newlines_per_word", "newlines_per_word"),
    )

    def measure(self, texts: Texts) -> Measured:
        """Lines int64[n] and shares float64[n]."""
        from ..measures.characters import SENTENCE_ENDS
        from ..measures.counts import line_counts
        from ..measures.words import word_counts

        s = self.settings
        ends = SENTENCE_ENDS if s.terminal_punctuation is None else "".join(s.terminal_punctuation)
        lines, words = line_counts(texts, s.short_line_length, ends), word_counts(texts, s.words)
        terminal = ratio(lines["ended_lines"], lines["filled_lines"])
        if s.terminal_exclude_zero:
            terminal = np.where(lines["ended_lines"] == 0, np.nan, terminal)
        inner = lines["characters"] - lines["newlines"]
        return Measured(
            {
                "lines": lines["filled_lines"],
                "terminal_lines": terminal,
                "short_lines": ratio(lines["short_lines"], lines["filled_lines"]),
                "duplicate_line_characters": ratio(lines["duplicate_filled_line_characters"], inner),
                "newlines_per_word": ratio(lines["newlines"], words["words"]),
            }
        )
