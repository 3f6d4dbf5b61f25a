"""What a recipe may say of repeated passages. Light on purpose: a recipe is checked without NumPy or Numba."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from ..config import Settings


class SubstringSettings(Settings):
    """Repeated passages: every occurrence but the first is cut out of its document."""

    min_words: int | None = Field(
        50, ge=8, le=100_000, description="Words (between white space) in a row that are a passage; null with min_bytes"
    )
    min_bytes: int | None = Field(
        None, ge=32, le=1_000_000, description="Instead of min_words, bytes of UTF-8: for scripts without spaces"
    )
    whole_words: bool = Field(
        False, description="With min_bytes: cuts end at white space, not between any two characters; words never tear"
    )
    within_documents: bool = Field(
        True, description="A passage that stands twice in one document and nowhere else is a repeat as well"
    )
    keep: Literal["first"] = Field(
        "first", description="Which occurrence stays: that in the first document by rank and key, there the first"
    )

    @model_validator(mode="after")
    def _one_unit(self) -> SubstringSettings:
        if (self.min_words is None) == (self.min_bytes is None):
            raise ValueError("one of min_words and min_bytes must be a number and the other null")
        if self.whole_words and self.min_bytes is None:
            raise ValueError("whole_words goes with min_bytes: with min_words cuts are always of whole words")
        return self

    @property
    def words(self) -> bool:
        """Whether a unit is a word, not a byte."""
        return self.min_words is not None

    @property
    def length(self) -> int:
        """Units in a passage."""
        return self.min_words or self.min_bytes or 0
