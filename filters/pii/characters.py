"""Sets of characters that `regex` and RE2 read alike.

The two engines, and Python, each know another Unicode: their digits, letters and white space differ, and so does what
they take for another case of a letter. A set here is exact for ASCII, as the `regex` package itself tells it, and goes
by blocks beyond: the four letters that are cases of ASCII letters, decimal digits, white space, the rest. It may hold
more than the class that it comes from, never less.

A set is an integer: a bit for each ASCII character and each of the four letters, then one for each block.
"""

from __future__ import annotations

import string
from collections.abc import Iterable
from functools import lru_cache
from re import _constants as op
from typing import Any

import re2
import regex

_BEYOND = "".join(map(chr, [*range(0x80, 0xD800), *range(0xE000, 0x110000)]))
_CASES = "\u0130\u0131\u017f\u212a"  # what `regex` takes for i, I, s and k when case does not count
_EXACT = "".join(map(chr, range(128))) + _CASES


def _bits(characters: Iterable[str]) -> int:
    return sum(1 << _EXACT.index(c) for c in set(characters))


_ASCII = (1 << 128) - 1
DIGITS, SPACES, REST = 1 << 132, 1 << 133, 1 << 134
ANY = (1 << 135) - 1
_UNCOMMON = _bits(_CASES) | DIGITS  # what a text that is folded holds none of
WORD = _bits(c for c in _EXACT[:128] if c.isalnum() or c == "_")
LOOSE = _bits(c for c in _EXACT if c.isalpha() or c.isspace()) | SPACES | REST
"""What prose is made of."""

_ORBITS = tuple(map(_bits, ("iI\u0130\u0131", "sS\u017f", "kK\u212a")))
_CATEGORIES = {
    op.CATEGORY_DIGIT: (r"\d", DIGITS),
    op.CATEGORY_SPACE: (r"\s", SPACES),
    op.CATEGORY_WORD: (r"\w", DIGITS | REST),
    op.CATEGORY_NOT_DIGIT: (r"\D", SPACES | REST),
    op.CATEGORY_NOT_SPACE: (r"\S", DIGITS | REST),
    op.CATEGORY_NOT_WORD: (r"\W", SPACES | REST),
}


def _ranges(characters: Iterable[str]) -> str:
    """Characters in ascending order as the inside of a character class."""
    spans: list[list[int]] = []
    for code in map(ord, characters):
        if spans and code == spans[-1][1] + 1:
            spans[-1][1] = code
        else:
            spans.append([code, code])
    return "".join(_character(a) if a == b else f"{_character(a)}-{_character(b)}" for a, b in spans)


def _character(code: int) -> str:
    return chr(code) if code > 127 or chr(code).isalnum() else f"\\x{code:02x}"


_BEYOND_DIGITS = regex.findall(r"\d", _BEYOND)
_DIGIT_RANGES = _ranges(_BEYOND_DIGITS)
_SPACE_RANGES = _ranges(regex.findall(r"\s", _BEYOND))
_PLAIN = dict(zip(_CASES, "iisk", strict=True))
_FOLD = str.maketrans(_PLAIN | dict.fromkeys(_BEYOND_DIGITS, "0"))
_uncommon = re2.compile(f"[{_CASES}{_DIGIT_RANGES}]")
_ASCII_DIGITS = _bits(string.digits)


def fold(text: str) -> str:
    """A text of the same length: digits beyond ASCII become 0, the four letters those that they are cases of.

    Most texts are the same when folded, and the same object. `text` holds no lone surrogates.
    """
    return text if text.isascii() or not _uncommon.search(text) else text.translate(_FOLD)


def folded(chars: int) -> int:
    """The set of what `fold` makes of a set."""
    chars |= _bits(letter for case, letter in _PLAIN.items() if chars & _bits(case))
    chars |= _bits("0") if chars & DIGITS else 0
    return chars & ~_UNCOMMON


def coarse(chars: int) -> int:
    """A set with all ASCII digits where it holds one."""
    return chars | _ASCII_DIGITS if chars & _ASCII_DIGITS else chars


@lru_cache(4_096)
def inside(chars: int) -> str:
    """A set as the inside of a character class."""
    if chars & REST:  # with all of the other blocks: one range is cheaper than what they leave of it
        return inside(chars & _ASCII) + "\x80-\U0010ffff"
    text = _ranges(c for place, c in enumerate(_EXACT) if chars >> place & 1)
    return text + _DIGIT_RANGES * bool(chars & DIGITS) + _SPACE_RANGES * bool(chars & SPACES)


def is_everything(chars: int) -> bool:
    """Whether a set, as `inside` writes it, holds all characters."""
    return chars & (_ASCII | REST) == _ASCII | REST


def one(chars: int) -> str:
    """A set as an expression for one character of it."""
    if chars == 0:
        return "[^\\x00-\U0010ffff]"
    text = inside(chars)
    return text if len(text) == 1 else f"[{text}]"


@lru_cache(4_096)
def characters(items: tuple[tuple[Any, Any], ...], ignore_case: bool) -> int:
    """The set of a class, given as what the parse tree of `re` has inside `IN`."""
    source, beyond = "", 0
    for kind, value in items:
        if kind is op.NEGATE:
            source, beyond = "^", DIGITS | SPACES | REST
        elif kind is op.CATEGORY:
            text, blocks = _CATEGORIES[value]
            source, beyond = source + text, beyond | blocks
        else:
            first, last = value if kind is op.RANGE else (value, value)
            source += f"\\U{first:08x}-\\U{last:08x}"
            if last > 127:
                beyond |= DIGITS | SPACES | REST
    chars = _bits(regex.findall(f"[{source}]", _EXACT, regex.IGNORECASE if ignore_case else 0)) | beyond
    if ignore_case:  # a back-reference matches any case of what its group matched
        for orbit in _ORBITS:
            chars |= orbit if chars & orbit else 0
    return chars
