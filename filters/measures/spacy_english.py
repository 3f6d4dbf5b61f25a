"""What spaCy's English tokeniser does, asked of spaCy itself: its rules as small tables, and its tokens of a chunk.

A chunk is what stands between white space. spaCy cuts it by four lists of regular expressions (prefixes, suffixes,
infixes, addresses) and a list of special cases ("don't", "a.m.", ":)"). For ordinary chunks (letters or digits, marks
around them, hyphens, an apostrophe) all that follows from a few properties of single characters and pairs of them. They
are found here by trying the installed spaCy's own expressions on them, not by copying them, so that the compiled
cutter of `spacy_words` follows the version that is installed; whatever the tables do not settle goes to spaCy.

Two places are not spaCy's. A chunk of more than 20,000 characters is one word: spaCy takes time by the square of its
length. And "IS_ALPHA", which spaCy mistakes for one of its own symbols and forgets how to store, is a word like others.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ...console import RequestError
from .words import word_hash

LONGEST_CHUNK = 20_000  # characters
LONG_CHUNK = 64  # characters; longer ones are cut with searches that look at their ends alone

# Properties of code points below LIMIT, all that the compiled cutter knows; 0 sends a chunk to spaCy
LIMIT = 0x3000
LOWER, UPPER, DIGIT, PREFIX, SUFFIX, DOT_AFTER, FULL_STOP, JOINT = 1, 2, 4, 8, 16, 32, 64, 128
PUNCT, STOP = 8, 16  # bits of a token's kinds, beside those of `characters`: is_punct, and one of the sentencizer's

MARKS = "!\"#$%&'()*,-./:;<=>?[]_`{|}~§«»‘’“”„–—…¡¿·•£€©®°"  # those worth a place in the table of pairs


class Unit(NamedTuple):
    """A chunk, or several that hang together, as spaCy cuts it."""

    starts: list[int]  # of its tokens, in characters
    lengths: list[int]
    flags: list[int]  # PUNCT | STOP
    loose: bool  # neighbours may change it: see `neighbours`


class SpacyEnglish:
    """The tokeniser of `spacy.blank("en")`; built once a process. Raises RequestError where spaCy is not installed."""

    def __init__(self) -> None:
        try:
            import spacy
            from spacy.pipeline import Sentencizer
            from spacy.tokenizer import Tokenizer
        except ImportError:
            raise RequestError("words: spacy needs the package spaCy: pip install 'spacy>=3.8,<3.9'") from None
        self._vocab = spacy.blank("en").vocab
        self._cut = spacy.blank("en").tokenizer
        self._cut = Tokenizer(self._vocab, self._cut.rules, *self._searches(self._cut))
        short = self._cut
        self._cut_long = Tokenizer(
            self._vocab,
            short.rules,
            short.prefix_search,
            _EndSearch(short.suffix_search),
            short.infix_finditer,
            None,
            _address_search(short.url_match),
        )
        self._bare = Tokenizer(self._vocab, {}, *self._searches(short))
        self._stops = set(Sentencizer.default_punct_chars)
        self._specials = [s for s in short.rules if not any(c.isspace() for c in s)]

    @staticmethod
    def _searches(cut) -> tuple:
        return cut.prefix_search, cut.suffix_search, cut.infix_finditer, cut.token_match, cut.url_match

    def units(self, texts: list[str]) -> list[Unit]:
        """Each of `texts` as spaCy cuts it; they hold no white space but single spaces."""
        with self._vocab.memory_zone():
            return [self._unit(text) for text in texts]

    def _unit(self, text: str) -> Unit:
        if len(text) > LONGEST_CHUNK:
            parts = text.split(" ")
            if len(parts) == 1:
                return Unit([0], [len(text)], [0], False)
            return _side_by_side([self._unit(part) for part in parts], [len(part) for part in parts])
        cut = self._cut if len(text) <= LONG_CHUNK else self._cut_long
        doc = cut(text.replace("IS_ALPHA", "IS_ALPHB") if "IS_ALPHA" in text else text)
        flags = [PUNCT * t.is_punct | STOP * (t.text in self._stops) for t in doc]
        loose = " " not in text and text not in cut.rules and self._changed.search(text) is not None
        return Unit([t.idx for t in doc], [len(t) for t in doc], flags, loose)

    # -- special cases ----------------------------------------------------------------------------------------------

    @cached_property
    def _matched(self) -> list[str]:
        """Special cases that spaCy looks for among tokens, after all cutting, without heed to spaces between them."""
        cut = self._cut
        return [s for s in self._specials if cut.find_prefix(s) or cut.find_infix(s) or cut.find_suffix(s)]

    @cached_property
    def _changed(self) -> re.Pattern:
        """Finds those of them that come out otherwise than plain cutting would have it."""
        changed = []
        for special in self._matched:
            plain = [t.text for t in self._bare(special)]
            if plain != [t.text for t in self._cut(special)]:
                changed.append(special)
        return re.compile("|".join(map(re.escape, changed)))

    @cached_property
    def runs(self) -> np.ndarray:
        """uint64[k], sorted: hashes of all runs of letters and digits in special cases: no other run is part of one."""
        found = {run for special in self._specials for run in re.findall(r"[^\W_]+", special)}
        return np.array(sorted({word_hash(run) for run in found}), np.uint64)

    @cached_property
    def neighbours(self) -> np.ndarray:
        """uint64[k], sorted: hashes of the pairs of characters between which special cases are cut.

        spaCy lets a special case that seems to reach from one chunk into the next hide one inside a chunk, though it
        does not take it for one: chunks that such a pair joins are cut together, if one of them is loose.
        """
        cuts = ((special, token.idx) for special in self._matched for token in self._bare(special) if token.idx)
        return np.array(sorted({word_hash(special[i - 1 : i + 1]) for special, i in cuts}), np.uint64)

    @cached_property
    def _beside(self) -> set[str]:
        return {special[i : i + 2] for special in self._matched for i in range(len(special) - 1)}

    # -- properties -------------------------------------------------------------------------------------------------

    @cached_property
    def properties(self) -> np.ndarray:
        """uint8[LIMIT]: what a code point may be in a chunk that needs no spaCy."""
        table = np.zeros(LIMIT, np.uint8)
        for code in range(LIMIT):
            c = chr(code)
            if c.isascii() and c.isdigit():
                table[code] = DIGIT
            elif c.isalpha() and self._is_letter(c):
                table[code] = UPPER if self._suffix(c + ".") == 0 else LOWER
        for c in MARKS:
            table[ord(c)] = self._mark(c)
        return table

    @cached_property
    def pairs(self) -> np.ndarray:
        """bool[LIMIT's marks, squared] as [128 * index + index]: marks that stay two tokens side by side at an end.

        The index of a mark is its place in MARKS.
        """
        table = np.zeros(128 * 128, bool)
        for i, a in enumerate(MARKS):
            for j, b in enumerate(MARKS):
                alone = self._prefix(a + b + "a") <= 1 and self._suffix("a" + a + b) <= 1
                table[128 * i + j] = alone and a + b not in self._beside
        return table

    @cached_property
    def indices(self) -> np.ndarray:
        """uint8[LIMIT]: place of a code point in MARKS; of others 127."""
        table = np.full(LIMIT, 127, np.uint8)
        for i, c in enumerate(MARKS):
            table[ord(c)] = i
        return table

    @cached_property
    def mark_kinds(self) -> np.ndarray:
        """uint8[128]: PUNCT and STOP of each of MARKS as a token of its own."""
        kinds = np.zeros(128, np.uint8)
        for i, c in enumerate(MARKS):
            kinds[i] = PUNCT * self._vocab[c].is_punct | STOP * (c in self._stops)
        return kinds

    def _prefix(self, text: str) -> int:
        return self._cut.find_prefix(text)

    def _suffix(self, text: str) -> int:
        return self._cut.find_suffix(text)

    def _infixes(self, text: str) -> list[tuple[int, int]]:
        return [m.span() for m in self._cut.find_infix(text)]

    def _is_letter(self, c: str) -> bool:
        """Cut off nowhere, a letter to the infix rules on either side, and plainly small or plainly not."""
        small, large = self._suffix(c + "."), self._suffix(c + c + ".")
        return (
            self._prefix(c + "a") == self._suffix("a" + c) == self._suffix(c) == 0
            and not self._infixes(f"a{c}a")
            and self._infixes(f"{c}-a") == self._infixes(f"a-{c}") == [(1, 2)]
            and self._infixes(f"{c},a") == self._infixes(f"a,{c}") == [(1, 2)]
            and self._infixes(f"{c}/a") == self._infixes(f"a/{c}") == [(1, 2)]
            and (small == 1 or (small == 0 and large == 1 and self._suffix("A" + c + ".") == 1))
        )

    def _mark(self, c: str) -> int:
        """What a mark does around letters and digits alike; nothing where letters and digits differ."""
        bits = 0
        if self._prefix(c + "a") == self._prefix(c + "1") == self._prefix(c + "A") == self._prefix(c) == 1:
            bits |= PREFIX
        if all(self._suffix(head + c) == 1 for head in ("a", "1", "A", "AA", ")", "’s")):
            bits |= SUFFIX
        if self._suffix(f"a{c}.") == self._suffix(f"A{c}.") == self._suffix(f"1{c}.") == 1:
            bits |= DOT_AFTER
        if c == "." and [self._suffix(head + c) for head in ("a", "1", "AA", "A")] == [1, 1, 1, 0]:
            bits |= FULL_STOP
        if c in self._joints:
            bits |= JOINT
        return bits

    @cached_property
    def _joints(self) -> str:
        """Marks that may stand inside a chunk, where they behave as the compiled cutter has it."""
        found = ""
        for c in "'’":  # glue, but for a final 's
            glue = not self._infixes(f"a{c}a") and not self._infixes(f"1{c}1") and not self._infixes(f"a{c}1")
            if glue and not self._infixes(f"1{c}a") and self._suffix(f"a{c}s") == self._suffix(f"A{c}S") == 2:
                found += c
        for c in "-–—":  # cut before a letter, a hyphen between digits too
            cuts = self._infixes(f"a{c}a") == self._infixes(f"1{c}a") == [(1, 2)] and not self._infixes(f"a{c}1")
            if c == "-":  # two are one mark between letters
                cuts &= self._infixes("a--a") == self._infixes("A--A") == [(1, 3)]
            if cuts and self._infixes(f"1{c}1") == ([(1, 2)] if c == "-" else []):
                found += c
        for c in "/:":  # cut before a letter
            cuts = self._infixes(f"a{c}a") == self._infixes(f"1{c}a") == [(1, 2)]
            if cuts and not self._infixes(f"a{c}1") and not self._infixes(f"1{c}1"):
                found += c
        if self._infixes("a,a") == [(1, 2)] and not self._infixes("1,1"):  # cut between letters, glue between digits
            found += ","
        if not self._infixes("1.1"):
            found += "."
        return found


def _side_by_side(units: list[Unit], lengths: list[int]) -> Unit:
    starts: list[int] = []
    for unit, before in zip(units, np.cumsum([0] + [length + 1 for length in lengths]), strict=False):
        starts += [int(before) + start for start in unit.starts]
    return Unit(starts, [n for u in units for n in u.lengths], [f for u in units for f in u.flags], False)


class _EndSearch:
    """A search for suffixes that reads no more than the end of a long text: they all are anchored there, and short.

    But for dots, of which any number is one suffix.
    """

    def __init__(self, search):
        self._search = search

    def __call__(self, text: str):
        size = LONG_CHUNK
        while size < len(text) and text.endswith("." * (size // 2)):
            size *= 2
        return self._search(text[-size:])


def _address_search(match):
    """spaCy's test for addresses, in time by the length of the text: "user:password@" as one run of anything."""
    pattern = match.__self__.pattern
    plain = re.compile(pattern.replace(r"(?:\S+(?::\S*)?@)?", r"(?:\S+@)?")).match
    return lambda text: plain(text) if "." in text else None
