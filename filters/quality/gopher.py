"""Gopher's rules of quality and repetition (Rae et al. 2021, arXiv:2112.11446, appendix A1.1, table A1).

The idea of the paper: text that people wrote has words of ordinary length, the small words of its language, lines that
do not all begin alike, and does not say the same thing again and again. Each rule is one number against one threshold.
The definitions are datatrove's, with words cut at white space (see `measures.counts`); the defaults are the paper's.
The trade-off: white space is fast and needs no language, but where a script writes no spaces a sentence is one word:
such languages need thresholds of their own.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from ...config import Settings
from ..measures.texts import Texts
from ..rule import Limit, Measured, Rule, ratio

STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")


def _share(default: float, description: str) -> float | None:
    return Field(default, ge=0, description=description)


class GopherRepetition(Rule):
    """Gopher's repetition rules: the same line, paragraph or run of words again and again."""

    name = "gopher_repetition"
    prefix = "gopher"

    class Settings(Settings):
        """Thresholds; null switches one off."""

        max_duplicate_paragraphs: float | None = _share(0.30, "Share of paragraphs that repeat an earlier one")
        max_duplicate_paragraph_characters: float | None = _share(0.20, "Share of characters in such paragraphs")
        max_duplicate_lines: float | None = _share(0.30, "Share of lines that repeat an earlier one")
        max_duplicate_line_characters: float | None = _share(0.20, "Share of characters in such lines")
        max_top_2_gram: float | None = _share(0.20, "Share of characters in all copies of the most frequent two words")
        max_top_3_gram: float | None = _share(0.18, "The same of three words")
        max_top_4_gram: float | None = _share(0.16, "The same of four words")
        max_duplicate_5_grams: float | None = _share(0.15, "Share of characters in repeats of runs of five words")
        max_duplicate_6_grams: float | None = _share(0.14, "The same of six words")
        max_duplicate_7_grams: float | None = _share(0.13, "The same of seven words")
        max_duplicate_8_grams: float | None = _share(0.12, "The same of eight words")
        max_duplicate_9_grams: float | None = _share(0.11, "The same of nine words")
        max_duplicate_10_grams: float | None = _share(0.10, "The same of ten words")

    COUNTED = (  # signal, count, of
        ("duplicate_paragraphs", "duplicate_paragraphs", "paragraphs"),
        ("duplicate_paragraph_characters", "duplicate_paragraph_characters", "characters"),
        ("duplicate_lines", "duplicate_lines", "lines"),
        ("duplicate_line_characters", "duplicate_line_characters", "characters"),
        *((f"top_{n}_gram", f"top_{n}_gram", "characters") for n in (2, 3, 4)),
        *((f"duplicate_{n}_grams", f"duplicate_{n}_gram", "characters") for n in range(5, 11)),
    )
    limits = tuple(Limit(f"max_{signal}", signal) for signal, _, _ in COUNTED)

    def measure(self, texts: Texts) -> Measured:
        """Shares, float64[n]."""
        counts = word_counts(texts)
        return Measured({signal: ratio(counts[count], counts[of]) for signal, count, of in self.COUNTED})


class GopherQuality(Rule):
    """Gopher's quality rules: number and length of words, symbols, bullets, ellipses, letters, stop words."""

    name = "gopher_quality"
    prefix = "gopher"

    class Settings(Settings):
        """Thresholds; null switches one off."""

        min_words: int | None = Field(50, ge=0, description="Words that are more than punctuation")
        max_words: int | None = Field(100_000, ge=0, description="Words that are more than punctuation")
        min_mean_word_length: float | None = _share(3.0, "Mean characters of these words")
        max_mean_word_length: float | None = _share(10.0, "Mean characters of these words")
        max_symbol_ratio: float | None = _share(0.10, "Number signs a word, and ellipses a word, each on its own")
        max_bullet_lines: float | None = _share(0.90, "Share of lines that begin with a bullet or a hyphen")
        max_ellipsis_lines: float | None = _share(0.30, "Share of lines that end in an ellipsis")
        min_alphabetic_words: float | None = _share(0.80, "Share of words with a letter in them")
        min_stop_words: int | None = Field(2, ge=0, description="How many different ones of `stop_words` occur")
        stop_words: tuple[str, ...] = Field(
            STOP_WORDS, max_length=64, description="Small words of the language, capitals told apart"
        )

    limits = (
        Limit("min_words", "words"),
        Limit("max_words", "words"),
        Limit("min_mean_word_length", "mean_word_length"),
        Limit("max_mean_word_length", "mean_word_length"),
        Limit("max_symbol_ratio", "hash_ratio", "max_hash_ratio"),
        Limit("max_symbol_ratio", "ellipsis_ratio", "max_ellipsis_ratio"),
        Limit("max_bullet_lines", "bullet_lines"),
        Limit("max_ellipsis_lines", "ellipsis_lines"),
        Limit("min_alphabetic_words", "alphabetic_words"),
        Limit("min_stop_words", "stop_words"),
    )

    def measure(self, texts: Texts) -> Measured:
        """Counts int64[n] and shares float64[n]."""
        counts = word_counts(texts, self.settings.stop_words)
        return Measured(
            {
                "words": counts["plain_words"],
                "mean_word_length": ratio(counts["plain_word_characters"], counts["plain_words"]),
                "hash_ratio": ratio(counts["hashes"], counts["words"]),
                "ellipsis_ratio": ratio(counts["ellipses"], counts["words"]),
                "bullet_lines": ratio(counts["bullet_lines"], counts["text_lines"]),
                "ellipsis_lines": ratio(counts["ellipsis_lines"], counts["text_lines"]),
                "alphabetic_words": ratio(counts["letter_words"], counts["words"]),
                "stop_words": counts["stop_words"],
            }
        )


def word_counts(texts: Texts, stop_words: tuple[str, ...] = STOP_WORDS) -> np.ndarray:
    """The counts of both families, measured together once."""
    from ..measures.counts import COUNTS, count

    def fill(wanted: np.ndarray, out: np.ndarray) -> None:
        rows = np.flatnonzero(wanted)
        whole = len(rows) == len(wanted)
        column = texts.column("text")
        out[rows] = count(column if whole else column.take(rows), stop_words)

    return texts.shared(("word counts", stop_words), COUNTS, fill)
