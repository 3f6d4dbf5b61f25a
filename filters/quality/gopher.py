"""Gopher's rules of quality and repetition (Rae et al. 2021, arXiv:2112.11446, appendix A1.1, table A1).

The idea of the paper: text that people wrote has words of ordinary length, the small words of its language, lines that
do not all begin alike, and does not say the same thing again and again. Each rule is one number against one threshold.
The definitions are datatrove's, with words cut at white space (see `measures.counts`); the defaults are the paper's;
the order is that of FineWeb's recipe, repetition before quality. The trade-off: white space is fast and needs no
language, but where a script writes no spaces a sentence is one word: such languages need thresholds of their own.

To add a rule: count it in `measures.counts` if no count there serves, give its threshold a field in `GopherSettings`,
and add its line to `RULES`. Signals, verdicts and ledger follow from that line.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from pydantic import Field

from ...config import Settings
from ..rule import Drops, Outcome

STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")


def _limit(default: float, description: str) -> float:
    return Field(default, ge=0, description=description)


class GopherSettings(Settings):
    """Thresholds; a document is dropped by the first rule that it is beyond, and stays when it is exactly at it."""

    max_duplicate_paragraphs: float = _limit(0.30, "Share of paragraphs that repeat an earlier one")
    max_duplicate_paragraph_characters: float = _limit(0.20, "Share of characters in such paragraphs")
    max_duplicate_lines: float = _limit(0.30, "Share of lines that repeat an earlier one")
    max_duplicate_line_characters: float = _limit(0.20, "Share of characters in such lines")
    max_top_2_gram: float = _limit(0.20, "Share of characters in all copies of the most frequent pair of words")
    max_top_3_gram: float = _limit(0.18, "The same of three words")
    max_top_4_gram: float = _limit(0.16, "The same of four words")
    max_duplicate_5_grams: float = _limit(0.15, "Share of characters in repeats of runs of five words")
    max_duplicate_6_grams: float = _limit(0.14, "The same of six words")
    max_duplicate_7_grams: float = _limit(0.13, "The same of seven words")
    max_duplicate_8_grams: float = _limit(0.12, "The same of eight words")
    max_duplicate_9_grams: float = _limit(0.11, "The same of nine words")
    max_duplicate_10_grams: float = _limit(0.10, "The same of ten words")
    min_words: int = Field(50, ge=0, description="Words that are more than punctuation")
    max_words: int = Field(100_000, ge=0, description="Words that are more than punctuation")
    min_mean_word_length: float = _limit(3.0, "Mean characters of these words")
    max_mean_word_length: float = _limit(10.0, "Mean characters of these words")
    max_symbol_ratio: float = _limit(0.10, "Number signs a word, and ellipses a word, each on its own")
    max_bullet_lines: float = _limit(0.90, "Share of lines that begin with a bullet or a hyphen")
    max_ellipsis_lines: float = _limit(0.30, "Share of lines that end in an ellipsis")
    min_alphabetic_words: float = _limit(0.80, "Share of words with a letter in them")
    min_stop_words: int = Field(
        2, ge=0, description=f"How many different ones of {', '.join(STOP_WORDS)} occur; 0 for other languages"
    )


class Rule(NamedTuple):
    """One number, `count` / `of` or the bare count, against one setting whose name says on which side of it to stay."""

    limit: str  # the field of GopherSettings: min_... or max_...
    count: str  # a field of measures.counts.COUNTS
    of: str | None = None  # another; None leaves the count as it is
    name: str | None = None  # where one setting limits two numbers

    @property
    def rule(self) -> str:
        """The ledger's `rule`."""
        return f"gopher_{self.name or self.limit}"

    @property
    def signal(self) -> str:
        """The column of signals that keeps the number; a minimum and a maximum of one number share it."""
        return f"gopher_{(self.name or self.limit)[4:]}"

    def measure(self, counts: np.ndarray) -> np.ndarray:
        """int64[n] or float64[n] of COUNTS[n]; a share of nothing is NaN, not measured, and breaks no threshold."""
        if self.of is None:
            return np.ascontiguousarray(counts[self.count])
        of = counts[self.of]
        return np.divide(counts[self.count], of, out=np.full(len(counts), np.nan), where=of > 0)


RULES = (
    Rule("max_duplicate_paragraphs", "duplicate_paragraphs", "paragraphs"),
    Rule("max_duplicate_paragraph_characters", "duplicate_paragraph_characters", "characters"),
    Rule("max_duplicate_lines", "duplicate_lines", "lines"),
    Rule("max_duplicate_line_characters", "duplicate_line_characters", "characters"),
    Rule("max_top_2_gram", "top_2_gram", "characters"),
    Rule("max_top_3_gram", "top_3_gram", "characters"),
    Rule("max_top_4_gram", "top_4_gram", "characters"),
    Rule("max_duplicate_5_grams", "duplicate_5_gram", "characters"),
    Rule("max_duplicate_6_grams", "duplicate_6_gram", "characters"),
    Rule("max_duplicate_7_grams", "duplicate_7_gram", "characters"),
    Rule("max_duplicate_8_grams", "duplicate_8_gram", "characters"),
    Rule("max_duplicate_9_grams", "duplicate_9_gram", "characters"),
    Rule("max_duplicate_10_grams", "duplicate_10_gram", "characters"),
    Rule("min_words", "plain_words"),
    Rule("max_words", "plain_words"),
    Rule("min_mean_word_length", "plain_word_characters", "plain_words"),
    Rule("max_mean_word_length", "plain_word_characters", "plain_words"),
    Rule("max_symbol_ratio", "hashes", "words", name="max_hash_ratio"),
    Rule("max_symbol_ratio", "ellipses", "words", name="max_ellipsis_ratio"),
    Rule("max_bullet_lines", "bullet_lines", "text_lines"),
    Rule("max_ellipsis_lines", "ellipsis_lines", "text_lines"),
    Rule("min_alphabetic_words", "letter_words", "words"),
    Rule("min_stop_words", "stop_words"),
)


class Gopher:
    """The stage `quality`: every rule is measured on every document, and the drops come in the order of `RULES`."""

    name = "quality"
    version = "1"

    def __init__(self, settings: GopherSettings):
        self.settings = settings

    def __call__(self, batch: pa.RecordBatch) -> Outcome:
        """Signals int64[n] or float64[n] by rule, drops with the measured value and its threshold; no edits."""
        from ..measures.counts import count

        counts = count(batch.column("text"), STOP_WORDS)
        outcome = Outcome(batch)
        for rule in RULES:
            values = rule.measure(counts)
            limit = getattr(self.settings, rule.limit)
            rows = np.flatnonzero(values < limit if rule.limit.startswith("min_") else values > limit)
            outcome.signals[rule.signal] = values
            if len(rows):
                outcome.drops.append(Drops(rule.rule, rows, values[rows].astype(np.float64), float(limit)))
        return outcome
