"""Check digits that numbers of people and accounts have, and validators that a recipe names.

Luhn: ISO/IEC 7812-1 annex B. MOD 97-10: ISO/IEC 7064. Verhoeff: "Error Detecting Decimal Codes", Mathematical Centre
Tracts 29, 1969.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from ...config import imported

Validator = Callable[[str], bool | None]
"""From what a pattern matched to whether it is one, or None if the validator cannot tell."""


_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)  # the sum of the digits of twice a digit


def luhn(digits: str) -> bool:
    """Whether the check digit, the last, is right."""
    return (sum(map(int, digits[-1::-2])) + sum(_DOUBLED[int(digit)] for digit in digits[-2::-2])) % 10 == 0


_NUMBERS = {ord(letter): str(number) for number, letter in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZ", 10)}


def mod_97(characters: str) -> int:
    """The remainder by 97 of digits and capitals, where A is 10; 1 where the check digits are right."""
    return int(characters.translate(_NUMBERS)) % 97


# Multiplication in the dihedral group of ten elements, and the powers of Verhoeff's permutation of digits.
_TIMES = [
    [(a + b) % 5 if b < 5 else (a + b) % 5 + 5 for b in range(10)]
    if a < 5
    else [(a - b) % 5 + 5 if b < 5 else (a - b) % 5 for b in range(10)]
    for a in range(10)
]
_PERMUTED = [list(range(10))]
for _ in range(7):
    _PERMUTED.append([[1, 5, 7, 6, 2, 8, 3, 0, 9, 4][digit] for digit in _PERMUTED[-1]])


def verhoeff(digits: str) -> bool:
    """Whether the check digit, the last, is right."""
    check = 0
    for place, digit in enumerate(reversed(digits)):
        check = _TIMES[check][_PERMUTED[place % 8][int(digit)]]
    return check == 0


def _of_digits(check: Callable[[str], bool]) -> Validator:
    def validate(value: str) -> bool:
        digits = re.sub(r"[^0-9]", "", value)
        return len(digits) > 1 and check(digits)

    return validate


def _mod_97(value: str) -> bool:
    characters = re.sub(r"[^0-9A-Z]", "", value.upper())
    return len(characters) > 2 and mod_97(characters) == 1


_CHECKS: dict[str, Validator] = {
    "luhn": _of_digits(luhn),
    "verhoeff": _of_digits(verhoeff),
    "mod_97": _mod_97,
}


def validator(name: str) -> Validator:
    """The check of a name, or the function `module:name`. Raises ValueError."""
    if name in _CHECKS:
        return _CHECKS[name]
    try:
        found = imported(name)
    except ImportError as error:
        raise ValueError(f"{name}: none of {', '.join(_CHECKS)}, and not to be imported ({error})") from None
    if not callable(found):
        raise ValueError(f"{name}: is no function")
    return found
