"""Training a tokeniser: byte-level BPE on a sample of documents, the same file whoever trains it.

The idea: the sample is drawn by key and fed in the order of keys, so that file names, file order and workers do not
matter; the trainer counts pieces and breaks ties between pairs by their ids, so that neither the order of its hash
maps nor the number of threads shows (a test trains in processes that differ in both). Byte-level means a base
vocabulary of all 256 bytes: every text can be encoded and gets its bytes back. The trade-off of a sample: the rarest
words of a large corpus are split a little finer than they would be.

Sources: Sennrich, Haddow and Birch 2016 (BPE for words); Radford et al. 2019 (bytes, and the pattern of pieces).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Literal

import numpy as np
from pydantic import Field, field_validator

from ..config import Settings
from ..document import draws
from .cutting import cut

END_OF_TEXT = "<|endoftext|>"
BYTES = 256  # the base vocabulary


class TokenizerSettings(Settings):
    """How a tokeniser is trained."""

    kind: Literal["bpe"] = Field("bpe", description="byte-level byte-pair encoding")
    vocabulary: int = Field(16384, ge=300, le=1 << 20, description="tokens at most, bytes and special tokens included")
    sample_bytes: int = Field(
        100_000_000,
        ge=1,
        le=2**31 - 1,  # the trainer counts pairs in 32 bits
        description="UTF-8 bytes of text that the trainer reads at most, drawn by key",
    )
    special_tokens: tuple[str, ...] = Field(
        (END_OF_TEXT,), min_length=1, max_length=32, description="first in the vocabulary; the first ends a document"
    )

    @field_validator("special_tokens")
    @classmethod
    def _distinct(cls, tokens: tuple[str, ...]) -> tuple[str, ...]:
        if "" in tokens or len(set(tokens)) < len(tokens):
            raise ValueError("special tokens must be distinct and not empty")
        return tokens


def choose_sample(words: np.ndarray, sizes: np.ndarray, seed: int, sample_bytes: int) -> np.ndarray:
    """Row numbers int64[k] of the documents that the tokeniser is trained on, in the order of their keys.

    `words` uint64[n, 2] are the keys (see `document.key_words`), `sizes` int64[n] the UTF-8 bytes of each text. The
    documents with the smallest draws are taken as long as `sample_bytes` allows; one that is too large for what is left
    is passed over. The result as a set of documents does not depend on the order of the rows.
    """
    sizes, room = np.asarray(sizes, np.int64), sample_bytes
    rest, chosen = np.lexsort((words[:, 1], words[:, 0], draws(words, seed, "tokenizer"))), []
    while len(rest := rest[sizes[rest] <= room]):
        fit = int(np.searchsorted(np.cumsum(sizes[rest]), room, side="right"))
        chosen.append(rest[:fit])
        room -= int(sizes[rest[:fit]].sum())
        rest = rest[fit:]
    rows = np.concatenate(chosen) if chosen else np.empty(0, np.int64)
    return rows[np.lexsort((words[rows, 1], words[rows, 0]))]


def train(texts: Iterable[str], settings: TokenizerSettings) -> str:
    """The tokenizer.json, as text, of a tokeniser trained on `texts`, which the caller gives in the order of keys.

    The vocabulary is smaller than asked for when no pair of the sample occurs twice any more. Memory goes with the
    number of distinct words, not with the length of the sample.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=max(settings.vocabulary, BYTES + len(settings.special_tokens)),
        min_frequency=2,  # a pair that occurs once says nothing about language
        special_tokens=list(settings.special_tokens),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    with _one_thread():
        tokenizer.train_from_iterator((part for text in texts for part in cut(text)), trainer)
    return tokenizer.to_str(pretty=True) + "\n"


@contextmanager
def _one_thread() -> Iterator[None]:
    """The tokenizers library asks the environment at every call whether it may start threads."""
    before = os.environ.get("TOKENIZERS_PARALLELISM")
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    try:
        yield
    finally:
        if before is None:
            del os.environ["TOKENIZERS_PARALLELISM"]
        else:
            os.environ["TOKENIZERS_PARALLELISM"] = before
