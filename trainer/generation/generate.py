"""Text from a model: token by token, each read once thanks to the cache, shown as soon as its characters are whole.

A model knows positions up to the length it was trained with. Where a text grows past it, the model reads the newest
half of its window again and goes on from there: a full read once every length / 2 tokens.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer

from ...console import RequestError
from ..checkpoint import open_model
from ..compat import check_torch
from ..model.attention import Cache
from ..model.decoder import Decoder
from ..precision import Precision, choose
from .sampling import Sampler


@torch.no_grad()
def continue_tokens(
    model: Decoder, prompt: list[int], count: int, sampler: Sampler, stop: int | None, precision: Precision
) -> Iterator[int]:
    """Up to `count` tokens after `prompt` (at least one id), ending before token `stop` if it is drawn."""
    config, ids, cache, unread = model.config, list(prompt), None, list(prompt)
    for _ in range(count):
        if cache is None or cache.length + len(unread) > config.length:
            unread = ids if len(ids) <= config.length and cache is None else ids[-max(1, config.length // 2) :]
            cache = Cache(config, config.length)
        with precision.computing():
            x = torch.tensor([unread], device=precision.device)  # (1, T)
            logits = model.head(model.hidden(x, cache)[:, -1])  # (1, rows)
        token = sampler(logits[0, : config.vocabulary])
        if token == stop:
            return
        ids.append(token)
        unread = [token]
        yield token


def as_text(tokenizer: Tokenizer, tokens: Iterator[int]) -> Iterator[str]:
    """Pieces of text as tokens arrive. A token may end inside a character: its bytes wait for the rest."""
    held: list[int] = []  # tokens since the last place where the text was whole
    shown = 0  # characters of them already given
    for token in tokens:
        held.append(token)
        text = tokenizer.decode(held, skip_special_tokens=False)
        if text.endswith("\N{REPLACEMENT CHARACTER}") and len(held) < 8:
            continue
        yield text[shown:]
        held, shown = [token], len(tokenizer.decode([token], skip_special_tokens=False))
    if held:
        yield tokenizer.decode(held, skip_special_tokens=False)[shown:]


class Writer:
    """A model with its tokeniser, ready to write."""

    def __init__(self, model: Decoder, tokenizer: Tokenizer, end_of_text: int, precision: Precision):
        self.model, self.tokenizer, self.end_of_text, self.precision = model, tokenizer, end_of_text, precision
        tokenizer.encode_special_tokens = True  # "<|endoftext|>" in somebody's text is text

    def encode(self, text: str) -> list[int]:
        """Ids of `text` at the start of a document: after the token that ended the document before."""
        return [self.end_of_text, *self.tokenizer.encode(text, add_special_tokens=False).ids]

    def write(self, prompt: list[int], count: int, sampler: Sampler) -> Iterator[int]:
        """Up to `count` tokens after `prompt`, to the end of the document."""
        return continue_tokens(self.model, prompt, count, sampler, self.end_of_text, self.precision)

    def stream(self, prompt: str, count: int, sampler: Sampler) -> Iterator[str]:
        """What the model writes after `prompt`, in pieces."""
        return as_text(self.tokenizer, self.write(self.encode(prompt), count, sampler))


def open_writer(path: str | Path) -> tuple[Writer, dict[str, Any]]:
    """The model in a checkpoint or training directory as a writer, and the checkpoint's config.json.

    Needs nothing but the checkpoint. Raises RequestError where there is none, or a damaged one.
    """
    check_torch()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model, config = open_model(Path(path), device)
    try:
        tokenizer = Tokenizer.from_file(str(Path(config["folder"], "tokenizer.json")))
    except Exception as error:  # the library raises nothing narrower
        raise RequestError(f"{config['folder']}/tokenizer.json: cannot be read: {error}") from None
    return Writer(model, tokenizer, config["tokenizer"]["end_of_text"], choose("auto", device)), config
