"""The heuristics that NVIDIA's NeMo Curator adds to Gopher's (its `heuristic_filter` definitions, Apache-2.0).

The idea: web pages that are no prose give themselves away by their characters (numbers, brackets, white space,
addresses), by lines that do not end and by what their lines say again. Each setting names Curator's constant that it
stands for; the defaults are Curator's. Where Curator's reading needs a sentence tokeniser, or knows ASCII only, this
one does not: sentences without an end mark are lines here, and letters and digits are those of any script.

A document exactly at a threshold stays. What Gopher's and FineWeb's rules measure as well (words, ellipses, letters) is
there; bullets, repeated lines and mean word length are here too, because the tools count them differently.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from ...config import Settings
from ..measures.texts import Texts
from ..rule import Limit, Measured, Rule, ratio
from .c4 import POLICY_PHRASES

COMMON_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")


def _share(default: float, description: str) -> float | None:
    return Field(default, ge=0, description=description)


class _Curator(Rule):
    """What the three families share: one pass counts for all of them."""

    prefix = "curator"

    def counts(self, texts: Texts, common: tuple[str, ...], blocked: tuple[str, ...], boilerplate: tuple[str, ...]):
        """`page_counts.COUNTS[n]` with these lists; families with other lists ask for counts of their own."""
        from ..measures.page_counts import COUNTS, Tables, count

        lists = tuple(tuple(word for word in words if word) for words in (common, blocked, boilerplate))

        def fill(wanted: np.ndarray, out: np.ndarray) -> None:
            found = count(texts.data, texts.offsets, wanted, Tables(*lists))
            out[wanted] = found[wanted]

        return texts.shared(("page counts", lists), COUNTS, fill)


class CuratorCharacters(_Curator):
    """NeMo Curator: pages of numbers, brackets, white space or addresses."""

    name = "curator_characters"

    class Settings(Settings):
        """Thresholds; null switches one off."""

        max_non_alphanumeric: float | None = _share(
            0.25,
            "Share of characters other than letters, digits, newlines and ?!,. (max_non_alpha_numeric_to_text_ratio)",
        )
        max_numbers: float | None = _share(0.15, "Share of digits in the characters (max_number_to_text_ratio)")
        max_white_space: float | None = _share(
            0.25, "Share of white space in the stripped text (max_white_space_ratio)"
        )
        max_parentheses: float | None = _share(0.10, "Share of (), [], {} and ⟨⟩ (max_parentheses_ratio)")
        max_urls: float | None = _share(0.20, "Share of characters in http addresses (max_url_to_text_ratio)")
        max_blocked_urls: int | None = Field(
            0, ge=0, description="Addresses in the text with a word of `blocked_words`"
        )
        blocked_words: tuple[str, ...] = Field(("porn",), description="Words of addresses (PornographicUrlsFilter)")

    limits = (
        Limit("max_non_alphanumeric", "non_alphanumeric"),
        Limit("max_numbers", "numbers"),
        Limit("max_white_space", "white_space"),
        Limit("max_parentheses", "parentheses"),
        Limit("max_urls", "urls"),
        Limit("max_blocked_urls", "blocked_urls"),
    )

    def measure(self, texts: Texts) -> Measured:
        """Shares, float64[n], and a count, int64[n]."""
        c = self.counts(texts, COMMON_WORDS, self.settings.blocked_words, POLICY_PHRASES)
        return Measured(
            {
                "non_alphanumeric": ratio(c["characters"] - c["plain_characters"], c["characters"]),
                "numbers": ratio(c["digits"], c["characters"]),
                "white_space": ratio(c["blanks"], c["stripped_characters"]),
                "parentheses": ratio(c["parentheses"], c["characters"]),
                "urls": ratio(c["url_characters"], c["characters"]),
                "blocked_urls": c["blocked_urls"],
            }
        )


class CuratorWords(_Curator):
    """NeMo Curator: length of words, symbols, common words; words are pieces between white space."""

    name = "curator_words"

    class Settings(Settings):
        """Thresholds; null switches one off."""

        min_mean_word_length: float | None = _share(3.0, "Mean characters of all words (min_mean_word_length)")
        max_mean_word_length: float | None = _share(10.0, "Mean characters of all words (max_mean_word_length)")
        max_word_length: int | None = Field(1000, ge=0, description="Characters of the longest word (max_word_length)")
        max_symbol_words: float | None = _share(
            0.10, "Share of words that are an ellipsis or mostly number signs (max_symbol_to_word_ratio)"
        )
        min_common_words: int | None = Field(2, ge=0, description="Occurrences of common words (min_num_common_words)")
        common_words: tuple[str, ...] = Field(
            COMMON_WORDS, description="Common words of the language, up to 16 characters, capitals told apart"
        )

    limits = (
        Limit("min_mean_word_length", "mean_word_length"),
        Limit("max_mean_word_length", "mean_word_length"),
        Limit("max_word_length", "longest_word"),
        Limit("max_symbol_words", "symbol_words"),
        Limit("min_common_words", "common_words"),
    )

    def measure(self, texts: Texts) -> Measured:
        """Counts, int64[n], and shares, float64[n]."""
        c = self.counts(texts, self.settings.common_words, ("porn",), POLICY_PHRASES)
        return Measured(
            {
                "mean_word_length": ratio(c["word_characters"], c["words"]),
                "longest_word": c["longest_word"],
                "symbol_words": ratio(c["symbol_words"], c["words"]),
                "common_words": c["common_words"],
            }
        )


class CuratorLines(_Curator):
    """NeMo Curator: lines without an end, bullets, repeated lines and paragraphs, boilerplate."""

    name = "curator_lines"

    class Settings(Settings):
        """Thresholds; null switches one off."""

        max_unmarked_lines: float | None = _share(
            0.85, "Share of lines without an end mark (max_num_sentences_without_endmark_ratio, of sentences)"
        )
        max_bullet_lines: float | None = _share(
            0.90, "Share of lines that begin with a bullet (max_bullet_lines_ratio)"
        )
        max_repeated_lines: float | None = _share(
            0.30, "Share of lines that repeat an earlier one (1 - max_repeated_line_fraction)"
        )
        max_repeated_paragraphs: float | None = _share(
            0.30, "Share of paragraphs that repeat an earlier one (1 - max_repeated_paragraphs_ratio)"
        )
        max_repeated_line_characters: float | None = _share(
            0.20, "Share of characters in repeated lines (1 - max_repeated_lines_char_ratio)"
        )
        max_repeated_paragraph_characters: float | None = _share(
            0.20, "Share of characters in repeated paragraphs (1 - max_repeated_paragraphs_char_ratio)"
        )
        max_boilerplate_paragraphs: float | None = _share(
            0.40, "Share of paragraphs with one of `boilerplate` (max_boilerplate_string_ratio)"
        )
        max_boilerplate_at_edge: int | None = Field(
            0, ge=0, description="0: the first and the last paragraph must have none (remove_if_at_top_or_bottom)"
        )
        boilerplate: tuple[str, ...] = Field(POLICY_PHRASES, description="Phrases, capitals or not")

    limits = tuple(
        Limit(f"max_{signal}", signal)
        for signal in (
            "unmarked_lines",
            "bullet_lines",
            "repeated_lines",
            "repeated_paragraphs",
            "repeated_line_characters",
            "repeated_paragraph_characters",
            "boilerplate_paragraphs",
            "boilerplate_at_edge",
        )
    )

    def measure(self, texts: Texts) -> Measured:
        """Shares, float64[n], and 0 or 1, int64[n]."""
        c = self.counts(texts, COMMON_WORDS, ("porn",), self.settings.boilerplate)
        return Measured(
            {
                "unmarked_lines": ratio(c["unmarked_lines"], c["lines"]),
                "bullet_lines": ratio(c["bullet_lines"], c["lines"]),
                "repeated_lines": ratio(c["repeated_lines"], c["lines"]),
                "repeated_paragraphs": ratio(c["repeated_paragraphs"], c["paragraphs"]),
                "repeated_line_characters": ratio(c["repeated_line_characters"], c["line_characters"]),
                "repeated_paragraph_characters": ratio(c["repeated_paragraph_characters"], c["paragraph_characters"]),
                "boilerplate_paragraphs": ratio(c["boilerplate_paragraphs"], c["paragraphs"]),
                "boilerplate_at_edge": c["boilerplate_at_edge"],
            }
        )
