"""What a recipe may say of repeated paragraphs and of Bloom filters. Light: read without NumPy and Numba."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ..config import Settings


class BloomSettings(Settings):
    """A Bloom filter of bounded memory before the exact comparison: what surely occurs once is not compared."""

    expected: int = Field(
        ge=1,
        le=10**12,
        description="Different documents, URLs or paragraphs to expect. Memory follows from it and the rate; with more "
        "of them the rate rises and is reported.",
    )
    rate: float = Field(
        0.001,
        ge=1e-9,
        le=0.5,
        description="False-positive rate: the share of what occurs once that is compared exactly all the same.",
    )
    expected_repeated: int | None = Field(
        None, ge=1, le=10**12, description="How many of them occur more than once; null: a quarter."
    )


class ParagraphSettings(Settings):
    """Paragraphs or lines that occur before, in the same document or in another, are removed: the first one stays.

    First is by the documents' rank and key and the place in the document, never by the order of arrival.
    """

    unit: Literal["line", "paragraph"] = Field(
        "line",
        description="line: what stands between line feeds (what CCNet and Dolma call a paragraph); "
        "paragraph: lines that follow each other without an empty one between them.",
    )
    normalise: Literal["ccnet", "text", "raw"] = Field(
        "ccnet",
        description="What counts as equal. ccnet: case, digits, punctuation, accents and spacing aside; text: case and "
        "spacing aside; raw: byte for byte. What stays keeps its own spelling.",
    )
    min_characters: int = Field(
        20, ge=0, description="Paragraphs of fewer characters are left alone; CCNet and Dolma remove them all: 0."
    )
    min_words: int = Field(0, ge=0, description="Paragraphs of fewer words, cut at white space, are left alone.")
    max_removed: float = Field(
        1.0,
        ge=0.0,
        le=1.0,
        description="A document that loses more than this share of its text is dropped whole. One that loses all of "
        "it is always dropped.",
    )
    share_of: Literal["characters", "words"] = Field("characters", description="What max_removed is a share of.")
    seed: int = Field(
        0,
        ge=0,
        lt=2**64,
        description="Seed of the 128-bit hash. A secret one keeps a stranger from writing two paragraphs that clash.",
    )
    bloom: BloomSettings | None = Field(None, description="A filter of bounded memory in front; null: all are compared")
