"""What a recipe may say of deduplication. Light on purpose: a recipe is checked without NumPy, Numba or SciPy."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from ..config import Settings

MAX_PERMUTATIONS = 1024
MAX_BANDS = 64  # the bands that found a pair are the bits of one uint64
MAX_NGRAM = 256


class ExactSettings(Settings):
    """Exact deduplication: of documents with the same final text, byte for byte, one stays. It has no options."""


class MinHashSettings(Settings):
    """Near-duplicate detection by MinHash and LSH, every candidate pair measured before it counts."""

    ngram: int = Field(
        5,
        ge=1,
        le=MAX_NGRAM,
        description="Words in a shingle; a document of fewer words has one shingle of all its words.",
    )
    bands: int = Field(
        14,
        ge=1,
        le=MAX_BANDS,
        description="Bands of the signature; documents that agree in all rows of one band are a candidate pair.",
    )
    rows: int = Field(
        8,
        ge=1,
        le=MAX_PERMUTATIONS,
        description="Rows in a band. A pair of Jaccard similarity J is found with probability 1-(1-J^rows)^bands.",
    )
    threshold: float = Field(
        0.8,
        gt=0.0,
        le=1.0,
        description="Measured Jaccard similarity of the shingle sets from which two documents are duplicates.",
    )
    seed: int = Field(1, ge=0, lt=2**32, description="Seed of the permutations.")
    keep: Literal["longest"] = Field(
        "longest",
        description="Which of several duplicates stays: the one of most characters, between equals the smallest key.",
    )

    @property
    def permutations(self) -> int:
        """Length of a signature: bands x rows."""
        return self.bands * self.rows

    @model_validator(mode="after")
    def _bounded(self) -> MinHashSettings:
        if self.permutations > MAX_PERMUTATIONS:
            raise ValueError(
                f"bands x rows is {self.bands} x {self.rows} = {self.permutations}; at most {MAX_PERMUTATIONS} allowed"
            )
        return self
