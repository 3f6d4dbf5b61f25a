"""Cutting a long text where the tokeniser would cut it anyway, so that the ids of the parts are the ids of the whole.

The idea: byte-level BPE never merges across the pieces of its pre-tokeniser, and every alternative of the GPT-2 pattern

    's|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+

that matches a character other than white space stops before the white space after it. So between such a character and
a space or a line feed there is always a boundary; the pattern never looks behind, and its one look ahead concerns runs
of white space, which are not divided here. The gain is bounded memory: the tokeniser spends about a hundred bytes on
each byte of a text while it works. The trade-off: a text without any such place (a megabyte of one letter) stays whole.

Source of the pattern: Radford et al. 2019 (GPT-2), `encoder.py`.
"""

from __future__ import annotations

import re
from typing import Any

LENGTH = 1 << 18  # characters of a part, at least, before the next safe place is taken

# Some tables count these three as white space, some do not: no cut after them.
_SAFE = re.compile("[^\\s\u180e\u200b\ufeff](?=[ \n])")


def cut(text: str, length: int = LENGTH) -> list[str]:
    """`text` in parts of about `length` characters that a GPT-2 pattern encodes as it encodes the whole."""
    if len(text) <= length:
        return [text]
    parts, start = [], 0
    while len(text) - start > length and (place := _SAFE.search(text, start + length - 1)):
        parts.append(text[start : place.end()])
        start = place.end()
    if start < len(text):
        parts.append(text[start:])
    return parts


def may_cut(tokenizer: dict[str, Any]) -> bool:
    """Whether `cut` leaves the ids unchanged under this tokenizer.json (parsed), special tokens being plain text.

    True for the GPT-2 pattern without a normaliser or with NFC: a space and a line feed compose with nothing before
    them. Other tokens added to the vocabulary are found before the pattern runs, so none of them may reach over a cut.
    """
    pieces, normalizer = tokenizer.get("pre_tokenizer") or {}, tokenizer.get("normalizer") or {"type": None}
    reach_over = any(
        token.get("rstrip") or re.search(r"\S\s", token["content"])
        for token in tokenizer.get("added_tokens") or ()
        if not token.get("special")
    )
    return (
        pieces.get("type") == "ByteLevel"
        and pieces.get("use_regex", True)
        and not pieces.get("add_prefix_space", True)
        and normalizer["type"] in (None, "NFC")
        and not reach_over
    )
