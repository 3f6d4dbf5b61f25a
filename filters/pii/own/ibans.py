"""International bank account numbers, of every country in the registry, in the forms in which they are written.

Each country has one length and one structure, and every number its check modulo 97, which one in ninety-seven strings
of the structure passes: little else looks like an IBAN. Presidio has no pattern for thirteen countries (BI DJ FK HN MN
NI OM RU SD SO ST SV YE), asks for digits where the registry has letters in others, knows no separators but a space and
a hyphen, and takes the words behind a number in groups for a part of it.

Written are an IBAN in one piece and in fours, with spaces, no-break spaces or hyphens. In small letters only in one
piece and behind the word IBAN, since half of the hexadecimal digits are small letters.

Source: ISO 13616-1 and its registry (SWIFT, "IBAN Registry", the BBAN structures), ISO 7064 (MOD 97-10).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ..checks import mod_97
from ..finding import Finding, Kind

SCORE = 1.0

# Country and structure of the national number: n digits, a capital letters, c either
_REGISTRY = """
AD8n12c AE19n AL8n16c AT16n AZ4a20c BA16n BE12n BG4a6n8c BH4a14c BI23n BR23n1a1c BY4c4n16c CH5n12c CR18n CY8n16c CZ20n
DE18n DJ23n DK14n DO4c20n EE16n EG25n ES20n FI14n FK2a12n FO14n FR10n11c2n GB4a14n GE2a16n GI4a15c GL14n GR7n16c
GT24c HN4a20n HR17n HU24n IE4a14n IL19n IQ4a15n IS22n IT1a10n12c JO4a4n18c KW4a22c KZ3n13c LB4n20c LC4a24c LI5n12c
LT16n LU3n13c LV4a13c LY21n MC10n11c2n MD20c ME18n MK3n10c2n MN16n MR23n MT4a5n18c MU4a19n3a NI4a20n NL4a10n NO11n
OM3n16c PK4a16c PL24n PS4a21c PT21n QA4a21c RO4a16c RS18n RU14n15c SA2n18c SC4a20n3a SD14n SE20n SI15n SK20n SM1a10n12c
SO19n ST21n SV4a20n TL19n TN20n TR6n16c UA6n19c VA18n VG4a16n XK16n YE4a4n18c
"""
STRUCTURES: dict[str, tuple[tuple[int, str], ...]] = {
    entry[:2]: tuple((int(size), sign) for size, sign in re.findall(r"(\d+)([nac])", entry[2:]))
    for entry in _REGISTRY.split()
}
_CHARACTERS = {"n": "[0-9]", "a": "[A-Z]", "c": "[0-9A-Z]"}
_GAP = " \u00a0\u2007\u202f\u2010\u2011-"


def _pattern(country: str) -> re.Pattern[str]:
    """An IBAN of a country in one piece or in fours with one kind of separator, and nothing more of a word behind."""
    signs = "nn" + "".join(sign * size for size, sign in STRUCTURES[country])
    pattern = country
    for place, sign in enumerate(signs, 2):
        if place % 4 == 0:
            pattern += f"([{_GAP}]?)" if place == 4 else r"\1"
        pattern += _CHARACTERS[sign]
    return re.compile(rf"{pattern}(?![^\W_])")


_PATTERNS = {country: _pattern(country) for country in STRUCTURES}
_COUNTRY = "|".join(STRUCTURES)
_HEAD = re.compile(r"[A-Z](?:(?<![^\W_].)|(?<=IBAN.))[A-Z][0-9]{2}", re.DOTALL)
_SMALL = re.compile(
    r"(?<![^\W_])iban(?:[ _-]?(?:number|no|nr|code)\.?)?[\"']?[\s:=]{0,3}[\"']?"
    rf"((?:{_COUNTRY})[0-9]{{2}}[0-9a-z]{{11,30}})(?![^\W_])",
    re.IGNORECASE,
)
_WORD = re.compile(r"iban(?![a-z])", re.IGNORECASE)
_BARE = re.compile(rf"\s*((?:{_COUNTRY})[0-9]{{2}}[0-9a-z]{{11,30}})\s*", re.IGNORECASE)
_GAPS = {ord(sign): None for sign in _GAP}


class IbanRecognizer:
    """Finds international bank account numbers."""

    kind: Kind = "IBAN_CODE"
    must_hold = rf"(?:{_COUNTRY})[0-9]{{2}}(?:[{_GAP}]?[0-9A-Z]{{4}}){{2}}|(?i:{_COUNTRY})[0-9]{{2}}[0-9A-Za-z]{{11}}"

    def find(self, text: str, context: Sequence[str] = ()) -> Iterable[Finding]:
        """The findings in `text`; `context` as for every recogniser of ours."""
        for head in _HEAD.finditer(text):
            pattern = _PATTERNS.get(head.group()[:2])
            match = pattern and pattern.match(text, head.start())
            if match and _is_right(match.group().translate(_GAPS)):
                yield Finding(*match.span(), self.kind, SCORE, "gristmill")
        small = [*_SMALL.finditer(text)] if "iban" in text.lower() else []
        if any(map(_WORD.search, context)):
            small += filter(None, [_BARE.fullmatch(text)])
        for match in small:
            number = match[1].upper()
            if match[1] != number and _PATTERNS[number[:2]].fullmatch(number) and _is_right(number):
                yield Finding(*match.span(1), self.kind, SCORE, "gristmill")


def _is_right(number: str) -> bool:
    return mod_97(number[4:] + number[:4]) == 1
