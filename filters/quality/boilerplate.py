"""Text that stands on many pages and says nothing of any: dummy text, and notices on cookies, terms and accounts.

`lorem_ipsum` is C4's rule on its own, for the whole page as it came (C4 itself looks at the lines that its other rules
left). `boilerplate` is the share of lines with such a phrase, an idea of NeMo Curator's paragraphs (see `curator`); the
phrases are a setting, in English by default.
"""

from __future__ import annotations

from pydantic import Field

from ...config import Settings
from ..measures.texts import Texts
from ..rule import Limit, Measured, Rule, ratio
from .c4 import POLICY_PHRASES

PHRASES = (
    *POLICY_PHRASES,
    *("terms of service", "terms and conditions", "all rights reserved", "accept all cookies", "cookie settings"),
    *("enable javascript", "sign in to", "log in to", "create an account", "subscribe to our newsletter"),
    *("forgot your password", "add to cart", "skip to content", "powered by wordpress"),
)


class LoremIpsum(Rule):
    """Pages with the dummy text "lorem ipsum"."""

    name = "lorem_ipsum"

    class Settings(Settings):
        """The threshold; null switches it off."""

        max_occurrences: int | None = Field(0, ge=0, description='How often "lorem ipsum" occurs, capitals or not')

    limits = (Limit("max_occurrences", "occurrences"),)

    def measure(self, texts: Texts) -> Measured:
        """Counts, int64[n]."""
        from ..measures.patterns import ANYWHERE, automaton, count_phrases

        found, _ = count_phrases(texts.data, texts.offsets, texts.active, automaton(("lorem ipsum",)), ANYWHERE)
        return Measured({"occurrences": found})


class Boilerplate(Rule):
    """Pages whose lines are notices on cookies, terms and accounts."""

    name = "boilerplate"

    class Settings(Settings):
        """The phrases and the threshold; null switches it off."""

        max_boilerplate_lines: float | None = Field(0.4, ge=0, description="Share of lines with one of the phrases")
        phrases: tuple[str, ...] = Field(PHRASES, description="Capitals or not")

    limits = (Limit("max_boilerplate_lines", "boilerplate_lines"),)

    def measure(self, texts: Texts) -> Measured:
        """Counts, int64[n], and their share of the lines that are not blank, float64[n]."""
        from ..measures.patterns import automaton, lines_with

        phrases = automaton([phrase for phrase in self.settings.phrases if phrase])
        found, lines = lines_with(texts.data, texts.offsets, texts.active, phrases)
        return Measured({"lines": lines, "lines_with_phrase": found, "boilerplate_lines": ratio(found, lines)})
