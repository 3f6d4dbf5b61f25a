"""What a recipe may say of repeated passages. Light on purpose: a recipe is checked without NumPy or Numba."""

from __future__ import annotations

from pydantic import Field, model_validator

from ..config import Settings

MIN_WORDS = 50  # Lee et al. 2022 take tokens


class SubstringSettings(Settings):
    """Repeated passages: all but the first occurrence, by rank and key of the documents, are cut out of them."""

    min_words: int | None = Field(
        None,
        ge=8,
        le=100_000,
        description=f"Words (between white space) in a row that are a passage; null: {MIN_WORDS}, or min_bytes counts",
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

    @model_validator(mode="after")
    def _one_unit(self) -> SubstringSettings:
        """One of min_words and min_bytes becomes a number, the other stays null; and so a model travels."""
        if self.min_words is not None and self.min_bytes is not None:
            raise ValueError("min_words and min_bytes are two ways to say how long a passage is; give one of them")
        if self.whole_words and self.min_bytes is None:
            raise ValueError("whole_words goes with min_bytes: with min_words cuts are always of whole words")
        if self.min_bytes is None:
            object.__setattr__(self, "min_words", self.min_words or MIN_WORDS)  # frozen for everyone else
        return self

    @property
    def words(self) -> bool:
        """Whether a unit is a word, not a byte."""
        return self.min_words is not None

    @property
    def length(self) -> int:
        """Units in a passage."""
        return self.min_words or self.min_bytes or 0
