"""What a recipe may say of deduplication. Light on purpose: a recipe is checked without NumPy, Numba or SciPy."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ..config import Settings
from .paragraph_settings import BloomSettings, ParagraphSettings
from .scurve import optimal
from .substring_settings import SubstringSettings

MAX_PERMUTATIONS = 1024
MAX_BANDS = 64  # the bands that found a pair are the bits of one uint64
MAX_NGRAM = 256

BANDS, ROWS = 14, 8  # datatrove's and FineWeb's
DERIVED_PERMUTATIONS = 128  # datasketch's


class HighestSignal(Settings):
    """The document with the highest value of a signal stays."""

    signal: str = Field(description="A number that the recipe's stages measure, as signals/ names its column")


class SourcePriority(Settings):
    """The document from the source that the list names first stays."""

    sources: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        description="Patterns of sources (`books/*`), the best first; a source that none matches comes last"
    )


Keep = Literal["longest", "earliest"] | HighestSignal | SourcePriority


class UrlSettings(Settings):
    """Of documents with one address, canonical, one stays; documents without an address stay."""

    bloom: BloomSettings | None = Field(None, description="A filter of bounded memory in front; null: all are compared")


class ExactSettings(Settings):
    """Of documents with the same final text one stays."""

    form: Literal["raw", "text", "ccnet"] = Field(
        "raw",
        description="What counts as the same: raw, byte for byte; text, case and spacing aside; ccnet, besides digits,"
        " punctuation and accents",
    )
    bloom: BloomSettings | None = Field(None, description="A filter of bounded memory in front; null: all are compared")


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
    verify: Literal["exact", "signatures"] = Field(
        "exact",
        description="How a candidate pair is measured: by its shingle sets, or estimated from its signatures, which"
        " needs no text",
    )
    cluster: Literal["star", "components"] = Field(
        "star",
        description="star: whoever is removed is within the threshold of the one that stays; components: of all that"
        " are connected by pairs within it, one stays",
    )
    large_cluster: int = Field(
        1000, ge=2, description="Clusters of more documents are reported as a warning, with examples"
    )

    def of_signatures(self) -> MinHashSettings:
        """The same with what signatures, their bands and shingle sets do not depend on at its default."""
        others = ("threshold", "false_negative_weight", "verify", "cluster", "large_cluster")
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


class DedupSettings(Settings):
    """Duplicates across documents."""

    keep: Keep = Field(
        "longest",
        description="Which of several duplicates stays: `longest` (most characters), `earliest` (by its date; without"
        " one last), `{signal: NAME}` (the highest) or `{sources: [PATTERN, ...]}` (the first named). Between equals"
        " the smallest key, a hash of the record's content",
    )
    url: UrlSettings | None = Field(None, description="Equal addresses; null: not looked at")
    exact: ExactSettings | None = Field(ExactSettings(), description="Equal texts; null switches it off")
    minhash: MinHashSettings | None = Field(MinHashSettings(), description="Similar texts; null switches it off")
    paragraphs: ParagraphSettings | None = Field(None, description="Repeated lines or paragraphs; null: not looked for")
    substring: SubstringSettings | None = Field(None, description="Repeated passages; null: not looked for")
    against: tuple[str, ...] = Field(
        (), description="Earlier runs with an index: what they have seen is a duplicate here, and theirs stays"
    )
    index: bool = Field(False, description="Write dedup/index, with which later runs are deduplicated against this one")
    memory_bytes: Annotated[int, Field(ge=1 << 20)] = Field(
        256 << 20, description="Bytes that one pass of the hash shuffle or one verification partition may hold"
    )

    def of_hashes(self) -> dict[str, Any]:
        """What the first phase computes of each survivor depends on: plain values, as they travel to workers."""
        return {
            "keep": self.keep if isinstance(self.keep, str) else self.keep.model_dump(mode="json"),
            "url": self.url is not None,
            "exact": None if self.exact is None else self.exact.form,
            "minhash": None if self.minhash is None else self.minhash.of_signatures().model_dump(mode="json"),
        }
