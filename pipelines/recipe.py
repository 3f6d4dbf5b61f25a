"""The recipe: what a run reads, what it keeps, what it writes. Each step's settings belong to the room that does it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ..config import Settings, find, load
from ..dedup.settings import DedupSettings
from ..filters.addresses import AddressSettings
from ..filters.decontaminate import DecontaminateSettings
from ..filters.extraction.resiliparse import ExtractSettings
from ..filters.language import LanguageSettings
from ..filters.lists import DropSettings
from ..filters.pii.settings import ScrubSettings
from ..filters.quality.settings import QualitySettings
from ..tokenize.training import TokenizerSettings

Positive = Annotated[int, Field(gt=0)]


class InputSettings(Settings):
    """What is read."""

    paths: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        description="Files, folders and patterns, relative to the current directory (JSONL, Parquet, WARC, WET, text)"
    )
    root: str | None = Field(None, description="Folder that sources are named relative to; by default the common one")
    text_field: str = Field("text", description="Field or column that holds the text")
    id_field: str = Field("id", description="Field or column that holds the record's own id")
    max_record_bytes: Positive = Field(64 << 20, description="A longer record is dropped, rule `too_large`")
    max_bad_records: int | None = Field(
        None, ge=0, description="More damaged records than this end the run with exit code 1; null: any number passes"
    )


class CorpusSettings(Settings):
    """What of the survivors is written."""

    min_characters: int = Field(
        1, ge=1, description="Shorter texts are dropped at the end, where edits may have cut them"
    )


class ShardSettings(Settings):
    """Token shards."""

    shard_tokens: Positive = Field(1 << 24, description="Tokens a shard holds at most, about")
    validation: float = Field(0.005, ge=0, le=0.5, description="Share of documents held out, drawn by key")


class TokenizerFile(Settings):
    """A tokeniser that exists already."""

    path: str = Field(description="A tokenizer.json; relative to the current directory")
    end_of_text: str = Field("<|endoftext|>", description="The token that ends each document")


class Recipe(Settings):
    """A whole run, from raw text to token shards."""

    input: InputSettings = Field(description="What is read")
    output: str = Field(description="The run directory")
    seed: int = Field(0, ge=0, description="Every draw is a function of this seed, the document's key and a purpose")
    drop: DropSettings | None = Field(None, description="Ids and addresses that must go: removal requests, opt-outs")
    address: AddressSettings | None = Field(None, description="Block lists and words of addresses; null: none")
    extract: ExtractSettings | None = Field(ExtractSettings(), description="HTML to text; null takes pages as they are")
    language: LanguageSettings | None = Field(
        LanguageSettings(), description="Language of each document; null: not measured"
    )
    quality: QualitySettings | None = Field(
        QualitySettings(gopher_repetition={}, gopher_quality={}),
        description="Rules of quality in their order; those named here are on, null: none",
    )
    decontaminate: DecontaminateSettings | None = Field(
        None, description="Documents that hold items of evaluation sets; null: not looked for"
    )
    all_signals: bool = Field(
        False, description="Measure every rule on every document, not only up to the first that drops it"
    )
    scrub: ScrubSettings | None = Field(ScrubSettings(), description="Personal data; null leaves it in the text")
    dedup: DedupSettings = Field(DedupSettings(), description="Duplicates")
    corpus: CorpusSettings = Field(CorpusSettings(), description="Survivors")
    tokenizer: TokenizerSettings | TokenizerFile | None = Field(
        TokenizerSettings(), description="Trained on the survivors, or a file; null ends the run at documents/"
    )
    tokens: ShardSettings = Field(ShardSettings(), description="Token shards")
    rejected: Literal["sample", "all", "none"] = Field(
        "sample", description="Dropped texts to keep, scrubbed: 20 a rule chosen by key, all, or none"
    )
    keep_work: bool = Field(
        False, description="Keep work/, which lets a changed recipe redo only what depends on the change"
    )

    @model_validator(mode="after")
    def _whole(self) -> Recipe:
        if Path(self.output).resolve() == Path("/"):
            raise ValueError("output: the root of the file system is no run directory")
        return self


def to_json(model: Settings | None) -> dict[str, Any] | None:
    """Settings as they travel to workers."""
    return None if model is None else model.model_dump(mode="json")


def from_json(kind: type, value: dict[str, Any]) -> Any:
    """The inverse of `to_json`: settings of a kind, in a worker."""
    return kind.model_validate_json(json.dumps(value))


def load_recipe(name: str, overrides: Iterable[str] = ()) -> Recipe:
    """The recipe of a YAML file, or one that ships, after `path.to.key=value` overrides. Raises RequestError."""
    return load(Recipe, find(name, Path(__file__).parent / "recipes"), overrides)
