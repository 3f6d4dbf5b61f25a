"""Text to token ids: a batch of documents in, a list of ids a document out, each closed by the end-of-text token.

The idea: a tokenizer.json is taken as it is, except for what would damage a corpus without a word. Truncation and
padding are switched off; special tokens are added by us alone, so a page that spells `<|endoftext|>` is plain text and
cannot end a document. Long texts go through in parts (see `cutting`), and batches in chunks that bound memory.
The trade-off: one thread a process, since the workers of a pipeline are processes already.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ..console import RequestError
from .cutting import cut, may_cut
from .training import END_OF_TEXT

if TYPE_CHECKING:
    from tokenizers import Tokenizer

CHUNK_TEXTS = 512  # more at once is slower: the ids of a chunk leave the processor's caches
CHUNK_CHARACTERS = 1 << 21


class Encoder:
    """Encodes and decodes by one tokenizer.json.

    `vocabulary` is one more than the largest id, `end_of_text` the id that closes a document, `dtype` the Arrow type of
    the ids (uint16 up to 65,536 of them, else uint32), `digest` the sha256 of the file's bytes.
    """

    def __init__(self, tokenizer_json: str, end_of_text: str = END_OF_TEXT):
        """Raises RequestError where the text is no tokenizer.json or has no token `end_of_text`."""
        self.tokenizer = _parse(tokenizer_json)
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        self.tokenizer.encode_special_tokens = True
        self.json, self.digest = tokenizer_json, hashlib.sha256(tokenizer_json.encode()).hexdigest()
        self.vocabulary = max(self.tokenizer.get_vocab(with_added_tokens=True).values(), default=-1) + 1
        found = self.tokenizer.token_to_id(end_of_text)
        if found is None:
            raise RequestError(f"the tokenizer has no token {end_of_text!r} to end a document with")
        self.end_of_text = found
        self.dtype = pa.uint16() if self.vocabulary <= 1 << 16 else pa.uint32()
        self._may_cut = may_cut(json.loads(tokenizer_json))

    @classmethod
    def open(cls, path: str | Path, end_of_text: str = END_OF_TEXT) -> Encoder:
        """The encoder of a tokenizer.json file. Raises RequestError naming the file."""
        try:
            return cls(_read(path), end_of_text)
        except RequestError as error:
            raise RequestError(f"{path}: {error}") from None

    def encode(self, texts: pa.Array | pa.ChunkedArray) -> pa.LargeListArray:
        """large_list<dtype not null>[n]: the ids of each of n texts and the end-of-text id. A null reads as empty."""
        kind = np.dtype(str(self.dtype))
        arrays, offsets = [], np.zeros(len(texts) + 1, np.int64)
        for chunk in self._chunks(texts):
            encodings = self.tokenizer.encode_batch_fast([part for _, part in chunk], add_special_tokens=False)
            for (row, _), encoding in zip(chunk, encodings, strict=True):
                arrays.append(np.array(encoding.ids, kind))
                offsets[row + 1] += len(arrays[-1])
        offsets[1:] += 1
        np.cumsum(offsets, out=offsets)
        ids = np.empty(offsets[-1], kind)
        inner = np.ones(len(ids), bool)
        inner[offsets[1:] - 1] = False
        ids[~inner] = self.end_of_text
        if arrays:
            ids[inner] = np.concatenate(arrays)
        kind = pa.large_list(pa.field("item", self.dtype, nullable=False))
        return pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(ids, self.dtype), type=kind)

    def _chunks(self, texts: pa.Array | pa.ChunkedArray) -> Iterator[list[tuple[int, str]]]:
        """(row, part of its text) in order, in lists of bounded length."""
        chunk, held = [], 0
        for first in range(0, len(texts), CHUNK_TEXTS):
            for row, text in enumerate(texts.slice(first, CHUNK_TEXTS).to_pylist(), first):
                for part in cut(text or "") if self._may_cut else [text or ""]:
                    if chunk and (len(chunk) >= CHUNK_TEXTS or held + len(part) > CHUNK_CHARACTERS):
                        yield chunk
                        chunk, held = [], 0
                    chunk.append((row, part))
                    held += len(part)
        if chunk:
            yield chunk

    def decode(self, ids: Iterable[int]) -> str:
        """The text of `ids`, special tokens spelt out; bytes that are no whole character become U+FFFD."""
        return self.tokenizer.decode([int(i) for i in ids], skip_special_tokens=False)


def read_tokenizer(path: str | Path) -> Tokenizer:
    """The tokenizer of a tokenizer.json file, as the library gives it. Raises RequestError naming the file."""
    try:
        return _parse(_read(path))
    except RequestError as error:
        raise RequestError(f"{path}: {error}") from None


def _parse(tokenizer_json: str) -> Tokenizer:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_str(tokenizer_json)
    except Exception as error:  # the library raises bare Exception
        raise RequestError(f"not a tokenizer.json: {error}") from None


def _read(path: str | Path) -> str:
    try:
        return Path(path).read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise RequestError("no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"cannot be read: {error}") from None
