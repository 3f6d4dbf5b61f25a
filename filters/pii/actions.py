"""What is done to a finding: where it stood there is a tag such as `<EMAIL>`, a fake, a hash, a mask, or nothing.

Findings of different kinds overlap (a card number holds a phone number; Presidio gives both). What overlaps, directly
or through others, is one region and is replaced as one: cutting at the edge of one finding would leave half of the
other in the text. Its kind, and so its action, is that of the longest finding; among equally long ones, the one with
the higher score, then the kind that stands first in `catalogue.KINDS`. Findings that only touch are two regions.

A tag holds no digit, quote, backslash or `@`, so no text becomes personal data, or broken JSON, by being tagged; nor
by a hash, `<EMAIL:...>` with 16 letters. Tags do hold words that Presidio takes for context ("phone", "ssn"):
`Actions.hide` makes them unreadable before a text is searched, so that tags do not raise the scores of what stands
beside them. It does the same with fakes, which a search would find.

A fake has to be recognised as one where it stands, and what stands beside it may prevent that (a digit that touches
it, an e-mail address around it). Then a tag takes its place.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple, get_args

from .catalogue import KINDS
from .finding import By, Finding, Kind, clusters
from .replacements import HASH_LENGTH, HASH_LETTERS, fake, fakes, hashed, masked

Action = Literal["tag", "fake", "hash", "mask", "remove"]
ACTIONS: tuple[Action, ...] = get_args(Action)

_SHORT: dict[Kind, str] = {
    "EMAIL_ADDRESS": "EMAIL",
    "PHONE_NUMBER": "PHONE",
    "CREDIT_CARD": "CARD",
    "IP_ADDRESS": "IP",
    "IBAN_CODE": "IBAN",
    "US_SSN": "SSN",
    "MAC_ADDRESS": "MAC",
    "URL_CREDENTIALS": "CREDENTIALS",
}


def tag_of(kind: Kind) -> str:
    """`<EMAIL>` and so on: the kind's name, or a short one, in angle brackets."""
    return f"<{_SHORT.get(kind, kind)}>"


@lru_cache(maxsize=8)
def _tags(kinds: tuple[Kind, ...]) -> re.Pattern:
    """Any tag of the kinds, as it stands in a text; asked for once a batch."""
    names = "|".join(tag_of(kind).strip("<>") for kind in kinds)
    return re.compile(rf"<(?:{names})(?::[{HASH_LETTERS}]{{{HASH_LENGTH}}})?>")


class Region(NamedTuple):
    """Characters [start, end) to be replaced as one, the kind that names them, and who found that."""

    start: int
    end: int
    kind: Kind
    by: By = "presidio"


def regions(findings: Iterable[Finding]) -> list[Region]:
    """The regions that cover all findings, in order, none overlapping another."""
    result = []
    for group in clusters(sorted(findings)):
        naming = max(group, key=lambda f: (f.end - f.start, f.score, -_RANK.get(f.kind, len(_RANK))))
        result.append(Region(group[0].start, max(f.end for f in group), naming.kind, naming.by))
    return result


_RANK = {kind: rank for rank, kind in enumerate(KINDS)}


class Actions:
    """What to do with findings: an action for every kind that may come, and the secret key of those that need one."""

    def __init__(self, actions: Mapping[Kind, Action], key: bytes | None = None):
        self._write: dict[Kind, Callable[[Kind, str], str]] = {}
        for kind, action in actions.items():
            self._write[kind] = {
                "tag": _tagged,
                "fake": lambda kind, value: fake(key, kind, value),
                "hash": lambda kind, value: f"{tag_of(kind)[:-1]}:{hashed(key, kind, value)}>",
                "mask": lambda kind, value: masked(value),
                "remove": lambda kind, value: "",
            }[action]
        self._faked = {kind for kind, action in actions.items() if action == "fake"}
        self._tags = _tags(tuple(dict.fromkeys((*KINDS, *actions))))

    def hide(self, text: str) -> str:
        """`text`, as long as before, without the tags and fakes, which a search must not see."""
        text = self._hide_tags(text)
        return hide_fakes(text) if self._faked else text

    def _hide_tags(self, text: str) -> str:
        """`text`, as long as before, with the letters of every tag replaced by one that is in no context word."""
        return self._tags.sub(lambda tag: _veil(len(tag.group())), text) if "<" in text else text

    def replace(self, text: str, places: Sequence[Region]) -> str:
        """`text` with each region replaced as its kind wants it."""
        news = [self._write[place.kind](place.kind, text[place.start : place.end]) for place in places]
        while True:
            result, starts = _joined(text, places, news)
            faked = [i for i, place in enumerate(places) if place.kind in self._faked]
            checked = [i for i in faked if news[i] != tag_of(places[i].kind)]
            hidden = hide_fakes(self._hide_tags(result)) if checked else ""
            lost = [i for i in checked if not _hidden(news[i], hidden[starts[i] : starts[i] + len(news[i])])]
            if not lost:
                return result
            for i in lost:
                news[i] = tag_of(places[i].kind)


def replace_by_tags(text: str, places: Sequence[Region]) -> str:
    """`text` with each region replaced by the tag of its kind."""
    return _joined(text, places, [tag_of(place.kind) for place in places])[0]


def _tagged(kind: Kind, value: str) -> str:
    return tag_of(kind)


def _joined(text: str, places: Sequence[Region], news: Sequence[str]) -> tuple[str, list[int]]:
    """(the text with the regions replaced, where each replacement starts)."""
    pieces, starts, end, length = [], [], 0, 0
    for place, new in zip(places, news, strict=True):
        length += place.start - end
        starts.append(length)
        pieces += (text[end : place.start], new)
        length += len(new)
        end = place.end
    pieces.append(text[end:])
    return "".join(pieces), starts


def _hidden(new: str, view: str) -> bool:
    """Whether no letter or digit of a replacement can be read in `view` of it."""
    return not any(c.isalnum() and seen not in "<Z>" for c, seen in zip(new, view, strict=True))


def hide_fakes(text: str) -> str:
    """`text`, as long as before, with every fake looking like a hidden tag."""
    pieces, end = [], 0
    for start, stop in sorted(fakes(text)):
        if start >= end:
            pieces += (text[end:start], _veil(stop - start))
            end = stop
    return "".join([*pieces, text[end:]])


def beside_veils(hidden: str, findings: Sequence[Finding]) -> list[Finding]:
    """Findings in a text with its tags hidden: those within a hidden tag are none, those that cut one take all of it.

    A recipe's pattern may match what hides a tag. So each replacement leaves less of the text, or fewer tags.
    """
    veils = [veil.span() for veil in _VEIL.finditer(hidden)]
    if not veils:
        return list(findings)
    starts, ends = [start for start, _ in veils], [end for _, end in veils]
    kept = []
    for f in findings:
        cut = veils[bisect_right(ends, f.start) : bisect_left(starts, f.end)]
        if not (cut and cut[0][0] <= f.start and f.end <= cut[0][1]):
            around = [(f.start, f.end), *cut]
            kept.append(f._replace(start=min(a for a, _ in around), end=max(b for _, b in around)))
    return kept


_VEIL = re.compile("<Z+>")


def _veil(length: int) -> str:
    return f"<{'Z' * (length - 2)}>"
