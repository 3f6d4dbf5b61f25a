"""Gopher's rules of quality and repetition (Rae et al. 2021, arXiv:2112.11446, appendix A1.1, table A1).

The idea of the paper: text that people wrote has words of ordinary length, the small words of its language, lines that
do not all begin alike, and does not say the same thing again and again. Each rule is one number against one threshold.
The paper leaves open what a word, a line, a copy or a denominator is, and the tools that implement "Gopher" differ on
ordinary pages; so the reading is a setting of its own, apart from the thresholds, which are the paper's:

- `datatrove` (huggingface/datatrove 0.10): symbols that stand alone are no words for counts and lengths; a copy is what
  repeats something earlier; shares are of all characters, white space included. Its own words are spaCy's.
- `dolma` (allenai/dolma, tagger gopher_v1): median length, bullets * and -, all copies count, shares are of the
  characters of words; the stop words are counted, not their kinds. It has no paragraphs.
- `dclm` (mlfoundations/dclm, content_filters): only words that begin with a letter or a digit are counted and compared,
  stop words in any case, the characters under any repeated run. Its words for repetition are Unicode's.
- `paper`: as near to the paper's wording as it goes; see `_paper` below for what it leaves open.

The words are a setting too, white space by default, which is fast and needs no language; where a script writes no
spaces a sentence is then one word: such languages need thresholds, or words, of their own.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from ...config import Settings
from ..measures.texts import Texts
from ..rule import Check, Limit, Measured, Rule, ratio

STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
BULLETS = "•‣⁃⁌⁍∙●○◘◦⦾⦿"  # what Unicode calls bullets, for the paper's "bullet point"

Words = Literal["whitespace", "spacy", "unicode"]
Dialect = Literal["datatrove", "dolma", "dclm", "paper"]
WORDS = "Where a text is cut into words: white space, spaCy's English tokens (datatrove's words) or Unicode's segments"
DIALECT = "Whose reading of the rules: of words, lines, copies and denominators; thresholds are settings of their own"


def _share(default: float, description: str) -> float | None:
    return Field(default, ge=0, description=description)


class GopherRepetition(Rule):
    """Gopher's repetition rules: the same line, paragraph or run of words again and again."""

    name = "gopher_repetition"
    prefix = "gopher"
    version = "2"

    class Settings(Settings):
        """Thresholds; null switches one off."""

        dialect: Dialect = Field("datatrove", description=DIALECT)
        words: Words = Field("whitespace", description=WORDS)
        min_characters: int | None = Field(1, ge=0, description="Characters; 1 drops empty texts (datatrove, dclm)")
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

    SIGNALS = (
        "duplicate_paragraphs",
        "duplicate_paragraph_characters",
        "duplicate_lines",
        "duplicate_line_characters",
        *(f"top_{n}_gram" for n in (2, 3, 4)),
        *(f"duplicate_{n}_grams" for n in range(5, 11)),
    )
    limits = (Limit("min_characters", "characters"), *(Limit(f"max_{signal}", signal) for signal in SIGNALS))

    def measure(self, texts: Texts) -> Measured:
        """Shares float64[n], and the characters int64[n]; NaN where the dialect has no such number."""
        return Measured(getattr(self, f"_{self.settings.dialect}")(texts))

    def _datatrove(self, texts: Texts) -> dict[str, np.ndarray]:
        from ..measures.counts import line_counts
        from ..measures.ngrams import scanned_ngrams

        lines, grams = line_counts(texts), scanned_ngrams(texts, self.settings.words)
        characters = lines["characters"]
        return {
            "characters": characters,
            "duplicate_paragraphs": ratio(lines["duplicate_paragraphs"], lines["paragraphs"]),
            "duplicate_paragraph_characters": ratio(lines["duplicate_paragraph_characters"], characters),
            "duplicate_lines": ratio(lines["duplicate_lines"], lines["lines"]),
            "duplicate_line_characters": ratio(lines["duplicate_line_characters"], characters),
            **{f"top_{n}_gram": ratio(grams[f"top_{n}_gram"], characters) for n in (2, 3, 4)},
            **{f"duplicate_{n}_grams": ratio(grams[f"duplicate_{n}_gram"], characters) for n in range(5, 11)},
        }

    def _dolma(self, texts: Texts) -> dict[str, np.ndarray]:
        from ..measures.counts import Pieces, piece_counts
        from ..measures.ngrams import copied_ngrams

        lines = piece_counts(texts, Pieces(runs=False, bullets="*-"))
        grams = copied_ngrams(texts, self.settings.words, headed=False)
        letters, none = grams["letters"], np.full(len(texts), np.nan)
        return {
            "characters": none,
            "duplicate_paragraphs": none,
            "duplicate_paragraph_characters": none,
            "duplicate_lines": ratio(lines["copies"], lines["pieces"]),
            "duplicate_line_characters": ratio(lines["copied_characters"], letters),
            **{f"top_{n}_gram": ratio(grams[f"top_{n}_first"] * grams[f"top_{n}_count"], letters) for n in (2, 3, 4)},
            **{
                f"duplicate_{n}_grams": ratio(grams[f"copied_{n}_grams"], grams[f"all_{n}_grams"]) for n in range(5, 11)
            },
        }

    def _dclm(self, texts: Texts) -> dict[str, np.ndarray]:
        from ..measures.counts import Pieces, piece_counts
        from ..measures.ngrams import copied_ngrams

        grams = copied_ngrams(texts, self.settings.words, headed=True)
        letters, signals = grams["letters"], {"characters": texts.characters()}
        for name, newlines in (("paragraph", 2), ("line", 1)):
            pieces = piece_counts(texts, Pieces(newlines, strip=True, blank=False))
            several = pieces["pieces"] != 1  # a text of one piece passes
            signals[f"duplicate_{name}s"] = ratio(pieces["copies"] * several, pieces["pieces"])
            signals[f"duplicate_{name}_characters"] = ratio(pieces["copied_characters"], pieces["characters"])
        for n in (2, 3, 4):
            count = grams[f"top_{n}_count"]
            signals[f"top_{n}_gram"] = ratio(grams[f"top_{n}_longest"] * count * (count > 1), letters)
        for n in range(5, 11):
            signals[f"duplicate_{n}_grams"] = ratio(grams[f"covered_{n}_grams"], letters)
        return signals

    def _paper(self, texts: Texts) -> dict[str, np.ndarray]:
        # Duplicates are the repeats after the first. Characters of n-grams are of words, "taking care not to count
        # characters that occur in overlapping n-grams more than once"; one that occurs once is no repetition.
        from ..measures.counts import Pieces, piece_counts
        from ..measures.ngrams import copied_ngrams

        grams = copied_ngrams(texts, self.settings.words, headed=False)
        letters, signals = grams["letters"], {"characters": texts.characters()}
        for name, newlines in (("paragraph", 2), ("line", 1)):
            pieces = piece_counts(texts, Pieces(newlines, strip=True, blank=False))
            signals[f"duplicate_{name}s"] = ratio(pieces["duplicates"], pieces["pieces"])
            signals[f"duplicate_{name}_characters"] = ratio(pieces["duplicate_characters"], pieces["characters"])
        for n in (2, 3, 4):
            count = grams[f"top_{n}_count"]
            signals[f"top_{n}_gram"] = ratio(grams[f"top_{n}_first"] * count * (count > 1), letters)
        for n in range(5, 11):
            signals[f"duplicate_{n}_grams"] = ratio(grams[f"covered_{n}_grams"], letters)
        return signals


class GopherQuality(Rule):
    """Gopher's quality rules: number and length of words, symbols, bullets, ellipses, letters, stop words."""

    name = "gopher_quality"
    prefix = "gopher"
    version = "2"

    class Settings(Settings):
        """Thresholds; null switches one off."""

        dialect: Dialect = Field("datatrove", description=DIALECT)
        words: Words = Field("whitespace", description=WORDS)
        min_words: int | None = Field(50, ge=0, description="Words that are more than punctuation")
        max_words: int | None = Field(100_000, ge=0, description="Words that are more than punctuation")
        min_mean_word_length: float | None = _share(3.0, "Mean characters of these words (dolma: the median)")
        max_mean_word_length: float | None = _share(10.0, "Mean characters of these words (dolma: the median)")
        max_symbol_ratio: float | None = _share(
            0.10, "Number signs a word, and ellipses a word, each on its own (dolma, dclm: together)"
        )
        max_bullet_lines: float | None = _share(0.90, "Share of lines that begin with a bullet or a hyphen")
        max_ellipsis_lines: float | None = _share(0.30, "Share of lines that end in an ellipsis")
        min_alphabetic_words: float | None = _share(0.80, "Share of words with a letter in them")
        min_stop_words: int | None = Field(
            2, ge=0, description="How many different ones of `stop_words` occur (dolma, dclm: how often any does)"
        )
        stop_words: tuple[str, ...] = Field(
            STOP_WORDS, max_length=64, description="Small words of the language, capitals told apart (not by dclm)"
        )

    limits = (
        Limit("min_words", "words"),
        Limit("max_words", "words"),
        Limit("min_mean_word_length", "mean_word_length"),
        Limit("max_mean_word_length", "mean_word_length"),
        Limit("max_symbol_ratio", "hash_ratio", "max_hash_ratio"),
        Limit("max_symbol_ratio", "ellipsis_ratio", "max_ellipsis_ratio"),
        Limit("max_symbol_ratio", "symbol_ratio"),
        Limit("max_bullet_lines", "bullet_lines"),
        Limit("max_ellipsis_lines", "ellipsis_lines"),
        Limit("min_alphabetic_words", "alphabetic_words"),
        Limit("min_stop_words", "stop_words"),
    )

    def checks(self) -> tuple[Check, ...]:
        """What the dialect asks."""
        apart = ("gopher_hash_ratio", "gopher_ellipsis_ratio")
        other = ("gopher_symbol_ratio",) if self.settings.dialect in ("datatrove", "paper") else apart
        return tuple(check for check in super().checks() if check.signal not in other)

    def measure(self, texts: Texts) -> Measured:
        """Counts int64[n] and shares float64[n]; NaN where the dialect has no such number."""
        none = np.full(len(texts), np.nan)
        signals = {"hash_ratio": none, "ellipsis_ratio": none, "symbol_ratio": none}
        return Measured(signals | getattr(self, f"_{self.settings.dialect}")(texts))

    def _datatrove(self, texts: Texts) -> dict[str, np.ndarray]:
        from ..measures.counts import line_counts
        from ..measures.words import word_counts

        lines, words = line_counts(texts), word_counts(texts, self.settings.words, self.settings.stop_words)
        return {
            "words": words["plain_words"],
            "mean_word_length": ratio(words["plain_letters"], words["plain_words"]),
            "hash_ratio": ratio(lines["hashes"], words["words"]),
            "ellipsis_ratio": ratio(lines["ellipses"], words["words"]),
            "bullet_lines": ratio(lines["bullet_lines"], lines["text_lines"]),
            "ellipsis_lines": ratio(lines["ellipsis_lines"], lines["text_lines"]),
            "alphabetic_words": ratio(words["letter_words"], words["words"]),
            "stop_words": words["different_stop_words"],
        }

    def _dolma(self, texts: Texts) -> dict[str, np.ndarray]:
        from ..measures.counts import Pieces, piece_counts
        from ..measures.words import word_counts

        lines = piece_counts(texts, Pieces(runs=False, bullets="*-"))
        words = word_counts(texts, self.settings.words, self.settings.stop_words, median=True)
        return {
            "words": words["words"],
            "mean_word_length": ratio(words["twice_median"], 2 * (words["words"] > 0)),
            "symbol_ratio": ratio(words["marked_words"], words["words"]),
            "bullet_lines": ratio(lines["bulleted"], lines["pieces"]),
            "ellipsis_lines": ratio(lines["ellipses"], lines["pieces"]),
            "alphabetic_words": ratio(words["letter_words"], words["words"]),
            "stop_words": words["stop_words"],
        }

    def _dclm(self, texts: Texts) -> dict[str, np.ndarray]:
        from ..measures.counts import Pieces, piece_counts
        from ..measures.words import word_counts

        lines = piece_counts(texts, Pieces(strip=True, blank=False, bullets="●•*-"))
        words = word_counts(texts, self.settings.words)
        small = tuple(sorted({word.lower() for word in self.settings.stop_words}))
        ellipses = ("#", "...", ". . .", "…")
        symbols = sum(texts.occurrences(symbol) for symbol in ellipses)
        return {
            "words": words["headed_words"],
            "mean_word_length": ratio(words["letters"], words["words"]),
            "symbol_ratio": ratio(symbols, words["words"]),
            "bullet_lines": ratio(lines["bulleted"], lines["pieces"]),
            "ellipsis_lines": ratio(lines["dots"] + lines["spaced_dots"] + lines["ellipses"], lines["pieces"]),
            "alphabetic_words": ratio(words["letter_words"], words["words"]),
            "stop_words": _any_case(texts, self.settings.words, small),
        }

    def _paper(self, texts: Texts) -> dict[str, np.ndarray]:
        # All words count and have lengths. The paper does not say which bullets there are (here those of Unicode), nor
        # what an ellipsis is ("…" and "...").
        from ..measures.counts import Pieces, line_counts, piece_counts
        from ..measures.words import word_counts

        lines, marks = piece_counts(texts, Pieces(strip=True, blank=False, bullets=BULLETS)), line_counts(texts)
        words = word_counts(texts, self.settings.words, self.settings.stop_words)
        return {
            "words": words["words"],
            "mean_word_length": ratio(words["letters"], words["words"]),
            "hash_ratio": ratio(marks["hashes"], words["words"]),
            "ellipsis_ratio": ratio(marks["ellipses"], words["words"]),
            "bullet_lines": ratio(lines["bulleted"], lines["pieces"]),
            "ellipsis_lines": ratio(lines["dots"] + lines["ellipses"], lines["pieces"]),
            "alphabetic_words": ratio(words["letter_words"], words["words"]),
            "stop_words": words["different_stop_words"],
        }


def _any_case(texts: Texts, source: Words, stop_words: tuple[str, ...]) -> np.ndarray:
    """int64[n]: how many words are stop words once they are written small."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from ..measures.words import word_counts

    def fill(wanted: np.ndarray, out: np.ndarray) -> None:
        rows = np.flatnonzero(wanted)
        small = pc.utf8_lower(texts.column("text").take(pa.array(rows)))
        lowered = Texts(pa.RecordBatch.from_arrays([small], ["text"]))
        out[rows] = word_counts(lowered, source, stop_words)["stop_words"]

    return texts.shared(("stop words in any case", source, stop_words), np.int64, fill)
