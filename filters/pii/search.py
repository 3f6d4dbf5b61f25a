"""The search for personal data in a text: Presidio's recognisers, ours, and those of the recipe.

Presidio decides by the form of what it finds and a word near it, and errs to the side of finding: any nine digits are
a passport number where "us" is a part of a word nearby. So beside recognisers of our own (`own/`) there are three
rules that leave findings of Presidio's out:

- kinds whose form says nothing (`catalogue.Entry.weak`) need a context word that stands as a whole word;
- what our recogniser of phone numbers, or of cards, knows to be something else is none (a date, an order number);
- a finding within one of another kind and a higher score is a part of that one: the digits of a card number that has
  passed its check are no phone number.

`recognizers: presidio` leaves all this out: then the findings are exactly those of Presidio's AnalyzerEngine, and the
recipe's.

Unicode. A text that holds soft hyphens, zero-width characters or direction marks, digits of other scripts, full-width
`@` or dots, no-break spaces or hyphens between digits, or a quoted local part ("jane roe"@...), is searched a second
time in plain form: without the invisible characters, in ASCII, the quoted part as one word. What either search finds
counts, and a finding includes the invisible characters within. International domains and addresses in any script need
none of this: Presidio finds them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from presidio_analyzer import PatternRecognizer

from .catalogue import CATALOGUE
from .finding import Finding, Kind, clusters
from .gate import Gate, readable
from .own import Recognizer
from .own.cards import CardRecognizer, no_card
from .own.emails import GluedEmailRecognizer
from .own.ibans import IbanRecognizer
from .own.phones import PhoneRecognizer, no_phone
from .own.secrets import Secrets
from .own.urls import UrlCredentials
from .replacements import INVISIBLE
from .scan import Scan

_ZEROS = "\u0660\u06f0\u0966\u09e6"  # of Arabic, Persian, Devanagari and Bengali; nine digits follow each
_OTHER_DIGITS = "".join(f"{zero}-{chr(ord(zero) + 9)}" for zero in _ZEROS)
_SPACES, _HYPHENS = "\u00a0\u2007\u202f", "\u2010\u2011"

_PLAIN_WANTED = re.compile(
    f'[{INVISIBLE}\uff10-\uff19\uff20{_OTHER_DIGITS}]|"@|[0-9][{_SPACES}{_HYPHENS}][0-9]|@[\\w-]{{1,63}}[\u3002\uff0e]'
)
_INVISIBLE = re.compile(f"[{INVISIBLE}]")
_QUOTED = re.compile(r'"(?:[^"\\\r\n]|\\.){1,64}"(?=@)')
_ASCII: dict[int, int | str] = {0xFF01 + i: 0x21 + i for i in range(94)}
_ASCII |= {ord(digit): str(int(digit)) for zero in _ZEROS for digit in map(chr, range(ord(zero), ord(zero) + 10))}
_ASCII |= dict.fromkeys(map(ord, _SPACES), " ") | dict.fromkeys(map(ord, _HYPHENS), "-") | {0x3002: "."}

_OWN: tuple[type[Recognizer], ...] = (
    GluedEmailRecognizer,
    CardRecognizer,
    IbanRecognizer,
    PhoneRecognizer,
    Secrets,
    UrlCredentials,
)
_SOMETHING_ELSE: dict[Kind, Callable[[str, int, int], bool]] = {"PHONE_NUMBER": no_phone, "CREDIT_CARD": no_card}


_BY = ("presidio", "gristmill", "recipe")  # whose a finding is that several have


class Search:
    """Finds personal data of some kinds in texts of one language. One a worker: what it remembers is bounded.

    `recipe`: the recogniser that the recipe describes. `presidio_alone`: see above. The others as in `Gate`.
    """

    def __init__(
        self,
        kinds: Sequence[Kind],
        min_score: float,
        language: str,
        phone_regions: Sequence[str],
        recipe: Sequence[PatternRecognizer] = (),
        presidio_alone: bool = False,
    ):
        self._alone, self._min_score = presidio_alone, min_score
        weak = {kind for kind in kinds if kind in CATALOGUE and CATALOGUE[kind].weak}
        strict = frozenset() if presidio_alone else weak
        self._gate = Gate(kinds, min_score, language, phone_regions, recipe, strict)
        self._own = [made() for made in _OWN if made.kind in kinds] if not presidio_alone else []
        self._scan = Scan([[own.must_hold] for own in self._own])

    def find(self, text: str, context: Sequence[str] = ()) -> list[Finding]:
        """The findings in order of (start, end, kind, score); those of different kinds may overlap.

        `context`: words that count as if they stood beside every finding.
        """
        findings = self._find(text, context)
        if not plain_wanted(text):
            return findings
        plain = _QUOTED.sub(lambda quoted: "Z" * len(quoted.group()), text.translate(_ASCII))
        places = [i for i, c in enumerate(plain) if not _INVISIBLE.match(c)]
        more = self._find("".join(plain[i] for i in places), context)
        both = {*findings, *(f._replace(start=places[f.start], end=places[f.end - 1] + 1) for f in more)}
        return sorted(both) if self._alone else _outermost(both)

    def _find(self, text: str, context: Sequence[str]) -> list[Finding]:
        text = readable(text)
        findings = self._gate.find(text, context)
        if self._alone:
            return findings
        findings = [f for f in findings if f.by != "presidio" or not _is_something_else(text, f)]
        more = [f for i in self._scan.hits(text) for f in self._own[i].find(text, context)]
        more = [f for f in more if f.score >= self._min_score]
        return _outermost([*findings, *more])


def plain_wanted(text: str) -> bool:
    """Whether a text has to be searched in its plain form too."""
    return '"@' in text if text.isascii() else _PLAIN_WANTED.search(text) is not None


def _knows_better(ours: Finding, presidios: Finding) -> bool:
    """Where Presidio errs about the borders of what we find.

    It takes a word behind an IBAN for a part of it, and the password of a URL for the start of an address.
    """
    if (ours.by, presidios.by) != ("gristmill", "presidio"):
        return False
    if ours.kind == "IBAN_CODE":
        same = presidios.kind == ours.kind
        return same and presidios.start <= ours.start and ours.end <= presidios.end and presidios[:2] != ours[:2]
    if ours.kind == "URL_CREDENTIALS":
        return presidios.kind == "EMAIL_ADDRESS" and ours.start <= presidios.start < ours.end < presidios.end
    return False


def _is_something_else(text: str, finding: Finding) -> bool:
    test = _SOMETHING_ELSE.get(finding.kind)
    return test is not None and test(text, finding.start, finding.end)


def _outermost(findings: Iterable[Finding]) -> list[Finding]:
    """Without what lies within a finding of its own kind and at least its score, or of another kind and a higher one.

    For one kind this is what Presidio's `EntityRecognizer.remove_duplicates` does.
    """
    kept: list[Finding] = []
    for cluster in clusters(sorted(findings)):
        outer: list[Finding] = []
        cluster = [f for f in cluster if not any(_knows_better(ours, f) for ours in cluster)]
        for finding in sorted(cluster, key=lambda f: (-f.score, f.start, -f.end, f.kind, _BY.index(f.by))):
            if not any(_covers(other, finding) for other in outer):
                outer.append(finding)
        kept += outer
    return sorted(kept)


def _covers(other: Finding, finding: Finding) -> bool:
    within = other.start <= finding.start and finding.end <= other.end
    return within and (other.kind == finding.kind or other.score > finding.score)
