"""manifest.json: what a directory of tokens holds, and what whoever trains on it may rely on.

The idea: readers follow the manifest and never list the folder. It declares the format, the kind of rows and their
columns, so that a reader refuses what it does not know instead of guessing; the tokeniser, so that a model and its data
cannot be of two vocabularies; and for each shard rows, tokens, bytes and sha256. Its own digest names the whole
directory: a training run that keeps the digest can be traced to these very tokens.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from ..config import Settings, validate
from ..console import RequestError, WorkError
from ..document import key_words, token_schema
from .shards import Shard, ShardInfo, shard_values

NAME = "manifest.json"
FORMAT = 1


class TokenizerInfo(Settings):
    """The tokeniser of the ids."""

    file: str = Field(description="path of the tokenizer.json, relative to the manifest")
    sha256: str = Field(description="sha256 of that file, in hex")
    vocabulary: int = Field(ge=1, description="one more than the largest id")
    end_of_text: int = Field(ge=0, description="the id that closes every document")


class Splits(Settings):
    """The shards of each split, in order."""

    train: tuple[ShardInfo, ...] = Field((), description="what is trained on")
    validation: tuple[ShardInfo, ...] = Field((), description="what is held out")


class Manifest(Settings):
    """The manifest of a directory of tokens."""

    format: Literal[1] = Field(FORMAT, description="version of this file's form")
    kind: Literal["text"] = Field("text", description="what a row is: a document and its end-of-text id")
    columns: tuple[str, ...] = Field(description="the columns of every shard")
    dtype: Literal["uint16", "uint32"] = Field(description="type of the token ids")
    tokenizer: TokenizerInfo = Field(description="the tokeniser of the ids")
    seed: int = Field(description="seed of the order and the split")
    recipe: str = Field(description="digest of the recipe that made the tokens")
    splits: Splits = Field(description="the shards of each split")

    @model_validator(mode="after")
    def _names_are_safe(self) -> Manifest:
        names = [self.tokenizer.file, *(shard.file for _, shard in self.shards())]
        if len(set(names)) < len(names):
            raise ValueError("a file is named twice")
        for name in names:
            path = PurePosixPath(name)
            if not name or path.is_absolute() or ".." in path.parts or "\\" in name:
                raise ValueError(f"the file name {name!r} leads out of the directory")
        return self

    def shards(self) -> Iterator[tuple[str, ShardInfo]]:
        """(split, shard) of every shard."""
        for split in ("train", "validation"):
            for shard in getattr(self.splits, split):
                yield split, shard

    @property
    def text(self) -> str:
        """The file's content: JSON with sorted keys."""
        return json.dumps(self.model_dump(mode="json"), indent=1, sort_keys=True, ensure_ascii=False) + "\n"

    @property
    def digest(self) -> str:
        """sha256, in hex, of the file's content: the name of these tokens."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def write(self, directory: str | Path) -> Path:
        """Write `directory`/manifest.json, aside and renamed: the directory is whole from that moment."""
        path = Path(directory, NAME)
        aside = path.with_name(f"{NAME}.part")
        aside.write_text(self.text, encoding="utf-8")
        os.replace(aside, path)
        return path

    @classmethod
    def read(cls, directory: str | Path) -> Manifest:
        """The manifest of `directory`. Raises RequestError naming what is missing, unknown or wrong."""
        path = Path(directory, NAME)
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise RequestError(f"{path}: no such file; a directory of tokens has one") from None
        except (OSError, ValueError) as error:
            raise RequestError(f"{path}: cannot be read: {error}") from None
        if not isinstance(data, dict):
            raise RequestError(f"{path}: expected a mapping of keys")
        if data.get("format") != FORMAT:
            raise RequestError(f"{path}: format {data.get('format')!r}; this version reads format {FORMAT}")
        if data.get("kind") != "text":
            raise RequestError(f"{path}: tokens of kind {data.get('kind')!r}; this version reads kind 'text'")
        return validate(cls, data, str(path))


# -- checking --------------------------------------------------------------------------------------------------------


def verify(directory: str | Path) -> list[str]:
    """What is wrong with a directory of tokens, a line each; empty where all is as its manifest says.

    Reads every byte: sizes, sha256, rows, tokens, the range of the ids, one end-of-text id a document and at its end,
    the order of the documents. Memory is bounded by a record batch.
    """
    manifest, directory, found = Manifest.read(directory), Path(directory), []
    if manifest.columns != tuple(token_schema(pa.uint16()).names):
        found.append(f"{NAME}: columns {', '.join(manifest.columns)} are not those of kind {manifest.kind!r}")
    tokenizer = manifest.tokenizer
    if _sha256(directory / tokenizer.file) != tokenizer.sha256:
        found.append(f"{tokenizer.file}: missing, or not the tokenizer that the manifest names")
    last: dict[str, tuple[int, int, int]] = {}
    for split, info in manifest.shards():
        path = directory / info.file
        if not path.is_file():
            found.append(f"{info.file}: no such file")
        elif (size := path.stat().st_size) != info.bytes:
            found.append(f"{info.file}: {size} bytes, {info.bytes} in the manifest")
        elif _sha256(path) != info.sha256:
            found.append(f"{info.file}: its sha256 is not the one in the manifest")
        else:
            try:
                found += [f"{info.file}: {problem}" for problem in _check_shard(manifest, path, info, split, last)]
            except WorkError as error:
                found.append(str(error))
    return found


def _sha256(path: Path) -> str | None:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None


def _check_shard(manifest: Manifest, path: Path, info: ShardInfo, split: str, last: dict) -> Iterator[str]:
    """Problems of one whole file; `last` keeps the (value, key) of the last document of each split so far."""
    shard, end, ends = Shard(path), manifest.tokenizer.end_of_text, 0
    if (shard.rows, shard.tokens) != (info.rows, info.tokens):
        yield f"{shard.rows} rows and {shard.tokens} tokens, {info.rows} and {info.tokens} in the manifest"
    for batch in shard.batches:
        try:
            batch.rows.validate(full=True)
        except pa.ArrowException as error:
            yield f"damaged: {error}"
            return
        if batch.tokens.dtype != manifest.dtype:
            yield f"ids of type {batch.tokens.dtype}, {manifest.dtype} in the manifest"
            return
        largest = int(batch.tokens.max(initial=0))
        if largest >= manifest.tokenizer.vocabulary:
            yield f"id {largest}, the vocabulary has {manifest.tokenizer.vocabulary}"
        lengths = np.diff(batch.offsets)
        if (lengths < 1).any() or (batch.tokens[batch.offsets[1:] - 1] != end).any():
            yield f"a document does not end with id {end}"
        ends += int((batch.tokens == end).sum())
        words = key_words(batch.rows["key"])
        places = np.column_stack([shard_values(words, manifest.seed), words])
        edge = last.get(split)
        if (edge is not None and tuple(places[0].tolist()) < edge) or not _ascending(places):
            yield f"the documents are not in the order of seed {manifest.seed}"
        last[split] = tuple(places[-1].tolist())
    if ends != shard.rows:
        yield f"id {end} ends documents and stands {ends} times, for {shard.rows} documents"


def _ascending(places: np.ndarray) -> bool:
    """Whether the rows of uint64[n, 3] never descend."""
    before, after = places[:-1], places[1:]
    less, equal = before < after, before == after
    return bool((less[:, 0] | equal[:, 0] & (less[:, 1] | equal[:, 1] & (less[:, 2] | equal[:, 2]))).all())
