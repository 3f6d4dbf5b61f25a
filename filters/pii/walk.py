"""A walk over the parse tree of a pattern: what its matches hold, how far it looks, what a text must hold for one.

The tree is that of the standard library's `re`, whose syntax is a part of the `regex` package's. What the two read in
different ways, or only `regex` reads (fuzzy matching, recursion, properties of characters), raises `Unknown` or a
`re.error`.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from re import _constants as op
from re import _parser
from typing import Any

import regex

from . import characters as chars_of

MANY = 1_000  # RE2 counts no further
LONG = 20  # so many letters and digits without a break are rare in prose, whichever they are

_REPEATS = (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT)
_LOOKS = (op.ASSERT, op.ASSERT_NOT)
_ONE = (op.LITERAL, op.NOT_LITERAL, op.IN, op.ANY)
_POSIX = re.compile(r"\[:\^?\w+:\]")  # a class to `regex`, plain characters to `re`
_FLAGS = int(regex.IGNORECASE | regex.MULTILINE | regex.DOTALL | regex.UNICODE)

_Node = tuple[Any, Any]
_Items = Sequence[_Node]


class Unknown(Exception):
    """A part of a pattern from which nothing is concluded."""


class Walk:
    """The parse tree of one pattern, for texts that are folded (`characters.fold`)."""

    def __init__(self, pattern: str, flags: int):
        tree = _parse(pattern)
        flags |= tree.state.flags
        if flags & ~_FLAGS or _POSIX.search(pattern):
            raise Unknown
        self.items: _Items = tree
        self.ignore_case = bool(flags & regex.IGNORECASE)
        self.multiline = bool(flags & regex.MULTILINE)
        self.coarse = False  # whether one digit is written as any digit
        self.groups: dict[int, _Items] = {}
        for kind, value in _all(tree):
            if kind is op.SUBPATTERN and value[0] is not None:
                self.groups[value[0]] = value[3]

    # -- what it consumes --

    def _parts(self, node: _Node) -> list[_Items]:
        """The sequences that a node consumes one of."""
        kind, value = node
        if kind is op.GROUPREF:
            if value not in self.groups:
                raise Unknown
            return [self.groups[value]]
        return [] if kind in _LOOKS else _parts(node)

    def _one(self, node: _Node) -> int:
        """The set of a node that consumes one character."""
        kind, value = node
        if kind is op.ANY:
            chars = chars_of.ANY
        elif kind is op.IN:
            chars = chars_of.characters(tuple(value), self.ignore_case)
        elif kind is op.LITERAL and value == ord("{"):
            raise Unknown  # may be fuzzy matching
        else:
            negation = ((op.NEGATE, None),) if kind is op.NOT_LITERAL else ()
            chars = chars_of.characters((*negation, (op.LITERAL, value)), self.ignore_case)
        return chars_of.folded(chars)

    def _chars(self, items: _Items) -> int:
        """The set of all characters that the items may consume."""
        union = 0
        for node in items:
            union |= self._one(node) if node[0] in _ONE else 0
            for part in self._parts(node):
                union |= self._chars(part)
        return union

    def _width(self, items: _Items) -> tuple[int, int]:
        """How many characters the items consume at least and at most; above `MANY`: more than that."""
        least = most = 0
        for node in items:
            kind, value = node
            widths = [self._width(part) for part in self._parts(node)] or [(kind in _ONE, kind in _ONE)]
            low, high = min(low for low, _ in widths), max(high for _, high in widths)
            if kind in _REPEATS:
                low, high = low * value[0], high * value[1]
            least, most = min(least + low, MANY + 1), min(most + high, MANY + 1)
        return least, most

    # -- how far it looks --

    def window(self) -> int:
        """The set of what a match may hold, and of what is looked at for more than one character beside it.

        Looks at characters at large stay out of it: they count in `around`.
        """
        window = self._chars(self.items)
        for _, (_, look) in self._looks(self.items):
            for items in _arms(look):
                chars = self._chars(items)
                if self._width(items)[1] > 1 and not chars & chars_of.REST:
                    window |= chars
        return window

    def around(self, window: int) -> int | None:
        """How far beyond a run of `window` characters the pattern looks from within it; None when without bound."""
        reach: list[int | None] = [2 if anchor is op.AT_END and not self.multiline else 1 for anchor in self._anchors()]
        reach += [self._reach(items, direction, window) for _, (direction, items) in self._looks(self.items)]
        return None if None in reach else max(reach, default=0)

    def _anchors(self) -> list[Any]:
        return [value for kind, value in _all(self.items) if kind is op.AT]

    def _looks(self, items: _Items) -> list[_Node]:
        return [node for node in _all(items) if node[0] in _LOOKS]

    def _reach(self, items: _Items, direction: int, window: int) -> int | None:
        """How far beyond a run a look in a direction gets that starts within it or at its end.

        Items of `window` characters alone stay in the run, and looks within them are asked about by themselves. From
        the first other item on, all that may be consumed counts.
        """
        items = list(items)[::direction]
        while items and not self._chars(items[:1]) & ~window:
            items = items[1:]
        if not items:
            return 1
        if len(_arms(items)) > 1:
            reach = [self._reach(arm, direction, window) for arm in _arms(items)]
            return None if None in reach else max(reach)
        width = self._width(items)[1] + sum(self._width(look)[1] for _, (_, look) in self._looks(items))
        if any(kind is op.AT for kind, _ in _all(items)):
            width += 2
        return width if width <= MANY else None

    # -- what must be there --

    def must_hold(self, window: int, around: int | None) -> tuple[str, int]:
        """An expression of RE2 that matches wherever the pattern does, and `window` with all that it may hold.

        It is the pattern itself, after what it looks back at, or something that it looks ahead at. "" when nothing is
        needed.
        """
        items = _flat(self.items)
        choices = [items]
        for place, (kind, value) in enumerate(items):
            if kind is op.ASSERT and (around is None or not self._chars(value[1]) & ~window):
                direction, look = value
                if direction > 0:
                    choices.append(list(look))
                elif place == 0:
                    choices[0] = [*look, *items[1:]]
        items = max(choices, key=self._rare)
        text = self._expression(items, True, True)
        if text == "" or text.startswith(r"\b"):
            return text, window
        return self._anywhere(items), chars_of.coarse(window)

    def _anywhere(self, items: _Items) -> str:
        """A condition that may start at every character.

        RE2 has to remember which of the last characters were a start. Where nearly any may be one, and the next ones
        may be what they like, each further character of a text of random digits would make it build another state.
        """
        self.coarse = True
        chars, least = self._chars(items), self._width(items)[0]
        if least >= LONG and not chars & ~chars_of.WORD:
            return _counted(chars_of.one(chars), least, least)
        return self._expression(items, True, True)

    def _rare(self, items: _Items) -> int:
        """How many characters are needed that prose is not made of."""
        count = 0
        for node in items:
            if node[0] in _ONE:
                count += not self._one(node) & chars_of.LOOSE
            else:
                least = node[1][0] if node[0] in _REPEATS else 1
                count += least * min(map(self._rare, self._parts(node)), default=0)
        return count

    def _expression(self, items: _Items, left: bool, right: bool) -> str:
        """The items in RE2's syntax. `left`, `right`: nothing comes before, after them, so that less will do there."""
        items = list(items)
        boundary = [self._is_boundary(items, place) for place in range(len(items))]
        first, last = 0, len(items)
        while left and first < last and not boundary[first] and self._width(items[first : first + 1])[0] == 0:
            first += 1
        while right and first < last and not boundary[last - 1] and self._width(items[last - 1 : last])[0] == 0:
            last -= 1
        return "".join(
            r"\b" if boundary[place] else self._node(items[place], left and place == first, right and place == last - 1)
            for place in range(first, last)
        )

    def _node(self, node: _Node, left: bool, right: bool) -> str:
        kind, value = node
        if kind in _ONE:
            chars = self._one(node)
            return chars_of.one(chars_of.coarse(chars) if self.coarse else chars)
        if kind in _REPEATS:
            return self._repeat(*value, left, right)
        ends = (False, False) if kind is op.GROUPREF else (left, right)
        arms = list(dict.fromkeys(self._expression(part, *ends) for part in self._parts(node)))
        if not arms or ((left or right) and "" in arms):
            return ""
        return f"(?:{'|'.join(arms)})" if len(arms) > 1 else arms[0]

    def _repeat(self, least: int, most: int, items: _Items, left: bool, right: bool) -> str:
        least = min(least, MANY)
        if not (left or right):
            return _counted(self._expression(items, False, False), least, most)
        if least < 2:  # the last time, of what it ends with; the first, of what it begins with
            return self._expression(items, left, right) if least else ""
        before = self._expression(items, True, False) if left else ""
        after = self._expression(items, False, True) if right else ""
        between = least - left - right
        return before + _counted(self._expression(items, False, False), between, between) + after

    def _is_boundary(self, items: list[_Node], place: int) -> bool:
        r"""Whether an item is a \b that RE2, to which only ASCII makes words, sees wherever `regex` does.

        So it is beside an ASCII character of a word: what is on its other side is no such character to either.
        """
        if items[place] != (op.AT, op.AT_BOUNDARY):
            return False
        return self._starts_word(items[place + 1 :], 1) or self._starts_word(items[:place], -1)

    def _starts_word(self, items: _Items, direction: int) -> bool:
        """Whether the items certainly start (or, in direction -1, end) with an ASCII character of a word."""
        for node in list(items)[::direction]:
            kind, value = node
            if kind in _ONE:
                return not self._one(node) & ~chars_of.WORD
            parts = self._parts(node)
            if not all(self._starts_word(part, direction) for part in parts):
                return False
            if parts and not (kind in _REPEATS and value[0] == 0):
                return True
        return False


def _parse(pattern: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of what a later Python may read in another way
        try:
            return _parser.parse(pattern)
        except re.error as error:
            if pattern.count("(?i)") == 1 and error.msg.startswith("global flags not at the start"):
                return _parser.parse("(?i)" + pattern.replace("(?i)", ""))
            raise


def _parts(node: _Node) -> list[_Items]:
    """The sequences that a node of the tree is made of; several are alternatives."""
    kind, value = node
    if kind in (*_ONE, op.AT, op.GROUPREF):
        return []
    if kind is op.BRANCH:
        return value[1]
    if kind in _REPEATS:
        return [value[2]]
    if kind in _LOOKS:
        return [value[1]]
    if kind is op.ATOMIC_GROUP:
        return [value]
    if kind is op.SUBPATTERN and not value[1] and not value[2]:
        return [value[3]]
    raise Unknown  # flags within the pattern, conditions on groups


def _arms(items: _Items) -> list[_Items]:
    """The alternatives of a sequence that is nothing else."""
    return _parts(items[0]) if len(items) == 1 and items[0][0] is op.BRANCH else [items]


def _all(items: _Items) -> Iterator[_Node]:
    """Every node of a tree."""
    for node in items:
        yield node
        for part in _parts(node):
            yield from _all(part)


def _flat(items: _Items) -> list[_Node]:
    """The items with groups replaced by what is in them."""
    flat: list[_Node] = []
    for node in items:
        flat += _flat(_parts(node)[0]) if node[0] is op.SUBPATTERN else [node]
    return flat


def _counted(text: str, least: int, most: int) -> str:
    """An expression repeated; `most` above `MANY`: any number of times."""
    if text == "" or most == 0:
        return ""
    if least == most == 1:
        return text
    if len(text) > 1 and not (text[0] == "[" and text.find("]") == len(text) - 1):
        text = f"(?:{text})"
    short = {(0, 1): "?", (0, MANY + 1): "*", (1, MANY + 1): "+"}.get((least, min(most, MANY + 1)))
    if short:
        return text + short
    return text + (f"{{{least}}}" if least == most else f"{{{least},{most if most <= MANY else ''}}}")
