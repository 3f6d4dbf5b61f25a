"""What a pattern implies: something cheap that a text must hold, and how little of the text decides the rest.

A recogniser of Presidio is a handful of patterns for the backtracking `regex` engine, and nearly every text that they
are tried on holds nothing. A walk over the parse tree of a pattern (`walk.py`) gives

- a condition in RE2's syntax, met by every text in which the pattern matches: what asserts is dropped, a back-reference
  becomes the pattern of its group, optional ends are cut off. Many conditions go into one `re2.Set`, and a text is read
  once, in linear time, for all of them.
- the characters that a match or its look-around may hold, and how many more beside them the pattern looks at. A match
  lies within one run of these characters, and no other run can change it: the runs in which the condition holds, with
  what stands beside them, are all that the recogniser must read (`windows`).

Conditions and windows are those of the text as `characters.fold` has it, with ASCII's digits in place of all others:
they are spared the 70 ranges of Unicode's digits, which make automata large, and ask for more word boundaries.

What the walk does not know implies nothing: the whole text is read. That a pattern implies a cheaper one is the idea of
Russ Cox, "Regular Expression Matching with a Trigram Index" (2012, https://swtch.com/~rsc/regexp/regexp4.html).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

import re2
import regex

from . import characters
from .walk import Unknown, Walk

_LARGEST = 20_000  # instructions of a compiled condition: beyond, it costs more than it saves
_MEMORY = 64 << 20  # for the states of a condition
_NEAR = 100  # windows this near are read as one: a call of Presidio's costs more than reading so many characters


class Implied(NamedTuple):
    """What holds wherever a pattern matches something."""

    must_hold: str
    """In RE2's syntax: every text with a match matches it somewhere when folded. "" when nothing is known."""

    window: str
    """Inside of a character class: all that a match, or one of `must_hold`, may hold. "" when that is anything."""

    around: int | None
    """How many characters beside a run of `window` characters the pattern looks at; None when without bound."""


NOTHING = Implied("", "", None)


def implied(pattern: str, flags: int) -> Implied:
    """What a pattern of the `regex` package implies with these flags."""
    try:
        walk = Walk(pattern, int(flags))
        window = walk.window()
        around = walk.around(window)
        must_hold, window = walk.must_hold(window, around)
        if must_hold == "" or _compiled(must_hold).programsize > _LARGEST:
            return NOTHING
    except (Unknown, re.error, re2.error, OverflowError, RecursionError, Warning):
        return NOTHING
    return Implied(must_hold, "" if characters.is_everything(window) else characters.inside(window), around)


def together(parts: Iterable[Implied]) -> Implied:
    """What holds wherever one of several patterns matches something, as for the patterns of one recogniser."""
    must_holds, inside, arounds = zip(*parts, strict=True)
    if "" in must_holds:
        return NOTHING
    window = "" if "" in inside else "".join(dict.fromkeys(inside))
    return Implied("|".join(dict.fromkeys(must_holds)), window, None if None in arounds else max(arounds))


def windows(text: str, what: Implied) -> list[tuple[int, int]]:
    """The parts of a text that decide: what a pattern finds in them, each read alone, is what it finds in the text.

    In order and apart from one another. Nothing is found in what a window shows beside its runs: it holds no character
    of a match. `text` has no lone surrogates.
    """
    if what.must_hold == "":
        return [(0, len(text))]
    text = characters.fold(text)
    data = text.encode()
    condition = _compiled(what.must_hold)
    hit = condition.search(data)
    if hit is None:
        return []
    if what.window == "" or what.around is None:
        return [(0, len(text))]
    runs = _runs(what.window)
    found: list[tuple[int, int]] = []
    one_byte = len(data) == len(text)
    place = byte = end = 0  # one place, in characters and in bytes; the end of the last run
    while hit is not None:
        place, byte = hit.start() if one_byte else place + len(data[byte : hit.start()].decode()), hit.start()
        start, end = runs.around(text, place, end, what.around)
        first, last = max(0, start - what.around), min(len(text), end + what.around)
        if found and first - found[-1][1] <= _NEAR:
            found[-1] = found[-1][0], last
        else:
            found.append((first, last))
        place, byte = end, end if one_byte else byte + len(text[place:end].encode())
        hit = condition.search(data, byte)
    return found


class _Runs:
    """Runs of the characters of a window in a text."""

    def __init__(self, window: str):
        self._next, self._last = regex.compile(f"[{window}]"), regex.compile(f"(?r)[{window}]")
        self._next_other, self._last_other = regex.compile(f"[^{window}]"), regex.compile(f"(?r)[^{window}]")

    def around(self, text: str, place: int, least: int, near: int) -> tuple[int, int]:
        """The run around a place, from `least` on, with all runs that are less than `near` apart from it.

        With them, since what shows of a run beside a window could match where the whole run does not.
        """
        start, end = self._start(text, place, least), self._end(text, place)
        while near > 1 and (other := self._last.search(text, max(least, start - near), start)):
            start = self._start(text, other.start(), least)
        while near > 1 and (other := self._next.search(text, end, end + near)):
            end = self._end(text, other.start())
        return start, end

    def _start(self, text: str, place: int, least: int) -> int:
        other = self._last_other.search(text, least, place)
        return other.end() if other else least

    def _end(self, text: str, place: int) -> int:
        other = self._next_other.search(text, place)
        return other.start() if other else len(text)


@lru_cache(1_024)
def _runs(window: str) -> _Runs:
    return _Runs(window)


@lru_cache(1_024)
def _compiled(must_hold: str) -> re2._Regexp:
    options = re2.Options()
    options.max_mem, options.log_errors = _MEMORY, False
    return re2.compile(must_hold, options)
