"""Pages that are program code, or text whose markup was not taken away. Definitions of this project, see
`measures.markup_counts`; both rules are generous by default: a page of prose with an example in it stays.

The trade-off: counting signs of syntax is no parser. Prose about mathematics has some, a listing in a language of words
few; whoever wants code out or in for good needs a classifier.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from ...config import Settings
from ..measures.texts import Texts
from ..rule import Limit, Measured, Rule, ratio


class Code(Rule):
    """Pages that are program code: lines that look like it, and signs of syntax."""

    name = "code"

    class Settings(Settings):
        """Thresholds; null switches one off."""

        max_code_lines: float | None = Field(0.5, ge=0, description="Share of lines that look like code")
        max_code_signs: float | None = Field(0.15, ge=0, description="Share of characters among {}[]()<>=;_\\|&^~$@")

    limits = (Limit("max_code_lines", "code_lines"), Limit("max_code_signs", "code_signs"))

    def measure(self, texts: Texts) -> Measured:
        """Shares, float64[n]."""
        counts = _counts(texts)
        return Measured(
            {
                "code_lines": ratio(counts["code_lines"], counts["lines"]),
                "code_signs": ratio(counts["code_signs"], texts.characters()),
            }
        )


class Markup(Rule):
    """Pages with much HTML, wiki text or Markdown left in them."""

    name = "markup"

    class Settings(Settings):
        """Thresholds; null switches one off."""

        max_tags: float | None = Field(0.2, ge=0, description="Share of characters in <tags> and &entities;")
        max_marks: float | None = Field(
            0.2, ge=0, description="Share of characters in marks: [[ ]] {{ }} '' == ** __ ` # and link targets"
        )

    limits = (Limit("max_tags", "tags"), Limit("max_marks", "marks"))

    def measure(self, texts: Texts) -> Measured:
        """Shares, float64[n]."""
        counts, characters = _counts(texts), texts.characters()
        return Measured(
            {
                "tags": ratio(counts["tag_characters"], characters),
                "marks": ratio(counts["mark_characters"], characters),
            }
        )


def _counts(texts: Texts) -> np.ndarray:
    """What both rules need, counted once."""
    from ..measures.markup_counts import COUNTS, count

    def fill(wanted: np.ndarray, out: np.ndarray) -> None:
        out[wanted] = count(texts.data, texts.offsets, wanted)[wanted]

    return texts.shared("markup counts", COUNTS, fill)
