"""What a recipe may say of deduplication. Light on purpose: a recipe is checked without NumPy, Numba or SciPy."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from ..config import Settings
from .scurve import optimal

MAX_PERMUTATIONS = 1024
MAX_BANDS = 64  # the bands that found a pair are the bits of one uint64
MAX_NGRAM = 256

BANDS, ROWS = 14, 8  # datatrove's and FineWeb's
DERIVED_PERMUTATIONS = 128  # datasketch's


class ExactSettings(Settings):
    """Exact deduplication: of documents with the same final text, byte for byte, one stays. It has no options."""


class ShingleSettings(Settings):
    """What a shingle is."""

    shingle: Literal["words", "characters"] = Field(
        "words",
        description="Runs of words, or of characters of the words joined by one space each (24 or so are usual)",
    )
    ngram: int = Field(
        5,
        ge=1,
        le=MAX_NGRAM,
        description="Words or characters in a shingle; a document of fewer has one shingle of all it has",
    )
    lowercase: bool = Field(True, description="Upper and lower case are the same: Python's `str.lower()`")
    words: Literal["alphanumeric", "whitespace"] = Field(
        "alphanumeric",
        description=r"Words are runs of letters, digits and underscores (Python's `\w+`), or what white space divides",
    )


class MinHashSettings(ShingleSettings):
    """Near-duplicate detection by MinHash and LSH, every candidate pair measured before it counts."""

    scheme: Literal["fast", "datasketch-sha1", "datasketch-xxh32", "datasketch-legacy"] = Field(
        "fast",
        description="Hashes of shingles: `fast`, or those that make a signature datasketch's bit for bit "
        "(`legacy`: SHA-1 and the permutations before its version 2)",
    )
    permutations: int | None = Field(
        None,
        ge=1,
        le=MAX_PERMUTATIONS,
        description=f"Length of a signature; null: bands x rows, or {DERIVED_PERMUTATIONS} where these are derived",
    )
    bands: int | None = Field(
        BANDS,
        ge=1,
        le=MAX_BANDS,
        description="Bands of the signature; documents that agree in all rows of one band are a candidate pair. "
        "Null, with rows: derived from the threshold as datasketch does",
    )
    rows: int | None = Field(
        ROWS,
        ge=1,
        le=MAX_PERMUTATIONS,
        description="Rows in a band. A pair of Jaccard similarity J is found with probability 1-(1-J^rows)^bands",
    )
    false_negative_weight: float = Field(
        0.5,
        gt=0.0,
        lt=1.0,
        description="Where bands and rows are derived: weight of missed pairs against pairs compared in vain",
    )
    threshold: float = Field(
        0.7,
        gt=0.0,
        le=1.0,
        description="Measured Jaccard similarity of the shingle sets from which two documents are duplicates",
    )
    seed: int = Field(1, ge=0, lt=2**32, description="Seed of the permutations")
    keep: Literal["longest"] = Field(
        "longest",
        description="Which of several duplicates stays: the one of most characters, between equals the smallest key",
    )

    def of_signatures(self) -> MinHashSettings:
        """The same with what signatures, their bands and shingle sets do not depend on at its default."""
        others = ("threshold", "false_negative_weight", "keep")
        return self.model_copy(update={name: type(self).model_fields[name].default for name in others})

    @model_validator(mode="after")
    def _resolved(self) -> MinHashSettings:
        """Bands, rows and permutations become numbers: a model never holds null there, and so it travels."""
        bands, rows, permutations = self.bands, self.rows, self.permutations
        if (bands is None) != (rows is None):
            raise ValueError("bands and rows are given both, or both null to have them derived from the threshold")
        if bands is None:
            permutations = permutations or DERIVED_PERMUTATIONS
            bands, rows = optimal(self.threshold, permutations, self.false_negative_weight, MAX_BANDS)
        if bands * rows > (permutations or MAX_PERMUTATIONS):
            told = f"{MAX_PERMUTATIONS} allowed" if permutations is None else f"{permutations}, the permutations"
            raise ValueError(f"bands x rows is {bands} x {rows} = {bands * rows}; at most {told}")
        for name, value in (("bands", bands), ("rows", rows), ("permutations", permutations or bands * rows)):
            object.__setattr__(self, name, value)  # frozen for everyone else
        return self
