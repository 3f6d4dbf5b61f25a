"""Numbers of payment cards: the ranges and lengths of the issuers, Luhn's check digit, and what stands beside them.

One number in ten passes Luhn's check, so the check alone makes cards of order numbers, identifiers and barcodes. What
tells a card is the range that its issuer has, a length that cards of the range have, and the grouping that is embossed
on it. Some ranges say much (Visa's lengths, Mastercard's four digits), others little: nearly every number that begins
with 6 may be Maestro's, of any length. There a number of another length than 16 needs a word such as "card" beside it,
or the grouping of a card. A number of 12 or 13 digits that is a right GTIN, as printed under barcodes, is none
without such a word.

Presidio's pattern knows neither ranges nor lengths. It finds what begins with 1, 3, 4, 5 or 6 and has 13 to 17 digits:
no card of 12, 18 or 19 digits, none of UnionPay's 81 or Mastercard's 2; but IMEIs and times in microseconds. So
`no_card` judges its findings, by the same rules but for the grouping.

Sources: ISO/IEC 7812-1 (form, annex B: the check digit), ISO/IEC 7813 (at most 19 digits), the issuers' ranges as
Wikipedia's "Payment card number" and braintree's credit-card-type (MIT) collect them, GS1 General Specifications 7.9
(check digit of a GTIN).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ..checks import luhn
from ..finding import Finding, Kind

SCORE = 1.0

# -- ranges ----------------------------------------------------------------------------------------------------------

# First digits, and the lengths that need no more than the check: one issuer a line.
_NAMED = """
4 13,16,19                                                                          Visa
51-55 2221-2720 16                                                                  Mastercard
34 37 15                                                                            American Express
300-305 3095 36 38 39 14,16                                                         Diners Club
6011 644-649 65 16,19                                                               Discover, RuPay, Troy, Elo
35 16                                                                               JCB
1800 2131 15                                                                        JCB, older
62 81 16-19                                                                         UnionPay
31 19                                                                               T-Union
5018 5020 5038 5893 6304 6390 6759 6761-6763 12-19                                  Maestro
2200-2204 16-19                                                                     Mir
60 82 2205 8600 9704 9792 9860 16                                                   RuPay, Borica, UzCard and others
50 56-59 61 63 64 66-69 16                                                          Maestro, Elo, Verve, InstaPayment
"""
# Lengths that need a word, or the grouping of a card.
_WIDE = """
50 56-59 60 61 63 64 65-69 12-19                                                    Maestro, Verve, Hipercard
0604 12-19                                                                          Maestro, older
300-305 3095 35 36 38 39 17-19                                                      Diners Club, JCB
1 15                                                                                UATP
9704 19                                                                             Napas
"""


def _span(numbers: str) -> list[str]:
    first, _, last = numbers.partition("-")
    return [f"{n:0{len(first)}d}" for n in range(int(first), int(last or first) + 1)]


def _table(lines: str) -> dict[str, frozenset[int]]:
    """The first four digits -> lengths."""
    table: dict[str, frozenset[int]] = {}
    for line in lines.strip().splitlines():
        *ranges, lengths = re.match(r"(?:[\d,-]+ )+", line).group().split()
        sizes = frozenset(int(size) for part in lengths.split(",") for size in _span(part))
        for first in (first for numbers in ranges for first in _span(numbers)):
            for four in _span(f"{first:0<4}-{first:9<4}"):
                table[four] = table.get(four, frozenset()) | sizes
    return table


_NAMED_LENGTHS, _WIDE_LENGTHS = _table(_NAMED), _table(_WIDE)


def _is_gtin(digits: str) -> bool:
    return (sum(map(int, digits[-1::-2])) + 3 * sum(map(int, digits[-2::-2]))) % 10 == 0


def _has(table: dict[str, frozenset[int]], digits: str) -> bool:
    return len(digits) in table.get(digits[:4], ())


def _issued(digits: str, grouped: bool, named: bool) -> bool:
    """Whether an issuer has cards of this range and length; `named`: a word beside the number says that it is one."""
    if _has(_NAMED_LENGTHS, digits):
        return named or grouped or not (len(digits) <= 13 and _is_gtin(digits))
    return (named or (grouped and len(digits) > 12)) and _has(_WIDE_LENGTHS, digits)


# -- form and place --------------------------------------------------------------------------------------------------

_SEPARATOR = " .\u00a0\u2007\u2009\u202f\u2010\u2011-"  # spaces, hyphens and a dot; one kind in a number
_NO_SEPARATORS = {ord(sign): None for sign in _SEPARATOR}
# In one piece; in fours; American Express and Diners; older Visa; UnionPay. A class stands first, which `re` looks for
# quickly: the first digit, before which there is none.
_FORM = re.compile(
    r"[0-9](?<![0-9][0-9])(?:[0-9]{11,18}"
    rf"|[0-9]{{3}}(?P<gap>[{_SEPARATOR}])(?:"
    r"[0-9]{4}(?P=gap)[0-9]{4}(?:(?P=gap)[0-9]{4})?(?P<tail>(?P=gap)[0-9]{1,3})?"
    r"|[0-9]{6}(?P=gap)[0-9]{4,5}|[0-9]{3}(?P=gap)[0-9]{3}(?P=gap)[0-9]{3})"
    rf"|[0-9]{{5}}[{_SEPARATOR}][0-9]{{13}})(?![0-9])"
)

_GROUP_BEFORE, _GROUP_AFTER = re.compile(rf"[0-9][{_SEPARATOR}]\Z"), re.compile(rf"[{_SEPARATOR}][0-9]")
_FOUR_BEFORE = re.compile(rf"(?<![0-9])[0-9]{{4}}[{_SEPARATOR}]\Z")
_FOUR_AFTER = re.compile(
    rf"[{_SEPARATOR}](?!(?:0[1-9]|1[0-2])[0-9]{{2}}(?![{_SEPARATOR}][0-9]{{4}}))[0-9]{{4}}(?![0-9])"
)

_BESIDE = 50  # characters before a number that may say what it is, and half as many after it
_LETTER = "0-9A-Za-z_\u00c0-\u052f"  # of scripts that put spaces between words
# A part of a word, of a decimal number, of a UUID, a number with a country's code
_WITHIN = re.compile(rf"(?:[{_LETTER}]|[0-9]\.|-[0-9A-Fa-f]{{4}}-|\+)\Z")
_GOES_ON = re.compile(rf"[{_LETTER}]|\.[0-9]|@\w")
# A part of an IBAN in fours; of a name with hyphens, of a path, of an address; of a file's name. A word for a card
# counts for more.
_WITHIN_IBAN = re.compile(rf"(?<![^\W_])[A-Z]{{2}}[0-9]{{2}}[{_SEPARATOR}](?:[0-9A-Z]{{4}}[{_SEPARATOR}]){{0,6}}\Z")
_WITHIN_NAME = re.compile(r"(?:[\w)]-|[^\s/]/|//|[?&;][\w.-]{1,30}=)\Z")
_SPACED = re.compile("[ \u00a0\u2007\u2009\u202f]")
_NAME_GOES_ON = re.compile(r"-\w|\.[a-z]|/[a-z]")
_LABEL = re.compile(
    r"(?<![^\W_])(?:isbn|issn|e?an|upc|gtin|imei|meid|imsi|iccid|sku|asin|bar[ -]?code|tracking|serial|time[ -]?stamp"
    r"|epoch|order|invoice|doi)(?:[ -]?1[0-5])?(?:[ _-]?(?:number|num|id|code|no\.?|nr\.?))?"
    r"[\"']?[ \t\u00a0]?[:=#]?[ \t\u00a0]?#?[\"']?\Z",
    re.IGNORECASE,
)
# "card", "cardNumber", "Kreditkarte", "tarjeta", "cc_num"; not "cardinal", "cardboard", "cardamom"
_WORD = re.compile(
    r"(?<![^\W_])(?:card(?![bi]|am)|(?:bank|credit|debit|giro|master)[ _-]?card|credit|debit|visa(?![a-z])|maestro"
    r"|amex(?![a-z])|american express|diners|jcb|union ?pay|rupay|cc(?![a-z])|ccn(?:um)?(?![a-z])"
    r"|(?:paid|pay|paying) (?:with|by)|\w{0,12}kart(?:[aeiuyę]|en\w{0,10}|ou|as\u0131)?(?![^\W_])|tarjeta|cart[ãa]o"
    r"|cart[ae](?![a-z])|(?:bank|kredit|betal|debet)kort|kortn|\w{0,12}kaart|карт)|カード|卡|카드|بطاقة",
    re.IGNORECASE,
)


def _named(text: str, start: int, end: int) -> bool:
    """Whether a word beside [start, end) says that a payment card's number stands there."""
    before, after = text[max(0, start - _BESIDE) : start], text[end : end + _BESIDE // 2]
    return _WORD.search(before) is not None or _WORD.search(after) is not None


def _free(text: str, start: int, end: int, named: bool) -> bool:
    """Whether [start, end) is no part of something longer, and not called something else.

    A name or path has no spaces: digits in groups that have are no part of one.
    """
    before = text[max(0, start - _BESIDE) : start]
    if _WITHIN.search(before) or _GOES_ON.match(text, end) or _LABEL.search(before):
        return False
    if named or _WITHIN_IBAN.search(before):
        return named
    spaced = _SPACED.search(text, start, end) is not None
    return spaced or not (_WITHIN_NAME.search(before) or _NAME_GOES_ON.match(text, end))


def _in_series(text: str, start: int, end: int) -> bool:
    """Whether digits in groups are part of a longer row of them: of fours, or, beside less than 16 digits, of any.

    Four digits behind a card may be the month and year in which it ends.
    """
    before, after = text[max(0, start - 6) : start], text[end : end + 10]
    if len(text[start:end].translate(_NO_SEPARATORS)) < 16:
        return _GROUP_BEFORE.search(before) is not None or _GROUP_AFTER.match(after) is not None
    return _FOUR_BEFORE.search(before) is not None or _FOUR_AFTER.match(after) is not None


class CardRecognizer:
    """Finds the numbers of payment cards."""

    kind: Kind = "CREDIT_CARD"
    must_hold = (
        "[0-9]{12}|[0-9]{4}[S](?:[0-9]{4}[S][0-9]{4}|[0-9]{6}[S][0-9]{4}|[0-9]{3}[S][0-9]{3}[S][0-9]{3})"
        "|[0-9]{6}[S][0-9]{13}"
    ).replace("S", _SEPARATOR)

    def find(self, text: str, context: Sequence[str] = ()) -> Iterable[Finding]:
        """The findings in `text` in order; `context` as for every recogniser of ours."""
        said = any(map(_WORD.search, context))
        for match in _FORM.finditer(text):
            start, end = match.span()
            if _is_card(text, start, end, said):
                yield Finding(start, end, self.kind, SCORE, "gristmill")
            elif match["tail"] and _is_card(text, start, match.start("tail"), said):
                yield Finding(start, match.start("tail"), self.kind, SCORE, "gristmill")


def _is_card(text: str, start: int, end: int, said: bool) -> bool:
    digits = text[start:end].translate(_NO_SEPARATORS)
    if not ((_has(_NAMED_LENGTHS, digits) or _has(_WIDE_LENGTHS, digits)) and luhn(digits)):
        return False
    named, grouped = said or _named(text, start, end), len(digits) < end - start
    if not (_issued(digits, grouped, named) and _free(text, start, end, named)):
        return False
    return not (grouped and _in_series(text, start, end))


def no_card(text: str, start: int, end: int) -> bool:
    """Whether Presidio's finding of a card, [start, end), is something else.

    A word for a card is enough for any range and length, since what it says may be more than we know.
    """
    digits = "".join(str(int(c)) for c in text[start:end] if c.isdecimal())
    named, grouped = _named(text, start, end), len(digits) < end - start
    if not _free(text, start, end, named):
        return True
    return not named and (not _issued(digits, grouped, False) or (grouped and _in_series(text, start, end)))
