"""Phone numbers by their form and by the words beside them: what validity in a few regions cannot tell.

Presidio asks whether digits are a valid number of one of some regions. That misses the national numbers of all other
regions, and takes many a date, identifier or price, since one in a few of all digit strings of some lengths is valid
somewhere. Here the evidence is how a number is written and what is said of it:

- `+` or `00` and a country code, and a length that the country has (ITU-T E.164; lengths are libphonenumber's);
- groups as people write them: an area code in parentheses, a trunk prefix 0 in front (ITU-T E.123), three, three and
  four digits (the North American Numbering Plan), long numbers that end in pairs;
- any 6 to 15 digits behind a word such as "tel", "Handy" or "電話"; fewer groups suffice near an e-mail address.

Bare digits without a word are no phone number, and neither is what a word names otherwise ("ISBN", "order").

A run of digits and separators is read once, and only some 60 characters around it are looked at, so that the time is
linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise

import phonenumbers

from ..finding import Finding, Kind
from . import phone_words

KIND: Kind = "PHONE_NUMBER"
FULL, ENOUGH = 0.6, 0.4
LEAST, MOST = 6, 15  # digits; MOST is that of E.164
LONGEST = 120  # digits that are read together: a list of numbers without anything else between them

# -- runs of digits --------------------------------------------------------------------------------------------------

# Digits of ASCII, Arabic, Persian, Devanagari, Bengali, and full width, and what stands between two digits of a number.
_ZEROS = "0\u0660\u06f0\u0966\u09e6\uff10"
_DIGIT = "".join(f"{zero}-{chr(ord(zero) + 9)}" for zero in _ZEROS)
_BLANKS, _DASHES = " \xa0\u2009\u202f", "-\u2010\u2011\u2012\u2013\uff0d"
_FULL_WIDTH = "\uff08\uff09\uff0e"
_SEPARATOR = f"{_BLANKS}./(){_FULL_WIDTH}{_DASHES[1:]}-"
_RUN = re.compile(rf"[{_DIGIT}](?:[{_SEPARATOR}]{{0,3}}+[{_DIGIT}]){{{LEAST - 1},{LONGEST - 1}}}+")

_ASCII = {ord(zero) + digit: str(digit) for zero in _ZEROS[1:] for digit in range(10)}
_ASCII |= dict.fromkeys(map(ord, _BLANKS), " ") | dict.fromkeys(map(ord, _DASHES), "-")
_ASCII |= str.maketrans(_FULL_WIDTH, "().")

_WIDE = re.compile(r" [-/] ?|[-/] ")  # between two numbers, or between an area code and the rest
_DIGITS = re.compile("[0-9]+")
_EXTENSION = re.compile(
    r"(?:[ ,;]{0,2}(?:extension|ext|x|#|доб)|;ext=)[.: ]{0,2}[0-9]{1,6}(?![0-9A-Za-z_])", re.IGNORECASE
)


def _plain(text: str) -> str:
    """The same characters, digits and separators as ASCII has them."""
    return text if text.isascii() else text.translate(_ASCII)


def _count(number: str) -> int:
    return sum(map(len, _DIGITS.findall(number)))


# -- how numbers are written -----------------------------------------------------------------------------------------

_STRONG = re.compile(
    r"""
      (?:1[ .-]?)? (?: \(\d{3}\)[ -]?\d{3}[ .-]?\d{4} | \d{3}([.-])\d{3}\1\d{4} | \d{3}[ ]\d{3}[ -]\d{4} )
    | (?:00\d?|011)[ .-]? 1? [ .-]? \(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}  # the same, dialled from abroad
    | 1[ -]?[38]00[ -]\d{3}[ -]?\d{3,4}  # freephone
    | [78]?[ -]?\(?\d{3}\)?[ -]?\d{3}-\d\d-\d\d | 8[ ]\d{3}[ ]\d{3}[ ]\d{4}  # 8 (912) 345-67-89
    | \d?[ ]?\(\d{2,4}\)[ /-]{0,2}\d{2,5}(?:[ -]\d{2,4}){1,3}  # (11) 2345-6789
    | \(\d{2,4}\)[ -]?\d{6,9}
    | \(0\d{1,5}\)[ /-]{0,3}\d{2,8}(?:[ /-]\d{1,5}){0,3}  # (0506) 027 163
    | 0\d{1,5}[ /-]{1,3}\d{5,8}(?:-\d{1,4})?  # 030 1234567-0
    | 0\d{1,4}[ /-]\d{2,4}(?:([ -])\d{2,4}(?:\2\d{2,4}){0,3})  # 020 7946 0958
    | 0\d{3,4}[ /-]\d{3}[ -]?\d{2,3}
    | 0\d(?:\.\d\d){4} | 0\d{1,3}(?:\.\d{3,4}){2}  # 01.84.17.61.18
    | 0[ ]\(?\d{3}\)?[ ]\d{3}[ ]\d\d[ ]?\d\d
    | \d\d(?:[ ]\d\d){3,4} | \d{1,3}[ ]\d{2,3}[ ]\d\d[ ]\d\d | \d{3}[ ]\d\d[ ]\d\d[ ]\d\d  # 91 234 56 78
    | \d{2,3}[ ]\d{3,4}[ -]\d{4}  # 21 2345 6789
    | [489]\d\d[ ]\d\d[ ]\d{3}  # Norway
    | (?:06[ -])?\d\d?/\d{3}[ -]\d{3,4} | \(06[ ]\d\d?\)[ ]\d{3}[ ]\d{3,4}  # Hungary: 06-1/234 5678
    """,
    re.VERBOSE,
)
_WEAK = re.compile(r"\d{2,4}(?:[ .-]\d{2,4}){1,4}|\d{2,4}[ -]\d{5,7}")  # 450 0840, 123 456 789

_NO_PHONE = re.compile(
    r"""
      (?:1[6-9]|20)\d\d([-/.])(?:0?[1-9]|1[0-2])\1(?:0?[1-9]|[12]\d|3[01])(?!\d)  # a date, year first
    | (?<!\d)[0-3]?\d([-/. ])[0-3]?\d\2(?:1[6-9]|20)\d\d(?!\d)  # year last
    | (?<!\d)(?:1[89]|20)\d\d[ ]?[-/ ][ ]?(?:1[89]|20)\d\d(?!\d)  # years
    | \((?:19|20)\d\d\)  # the year of a paper
    | (?<![\d-])\d{3}-\d\d-\d{4}(?![\d-])  # a social security number
    | ^97[89][ -]\d  # an ISBN
    | ^\d{5}-\d{4}$  # a postcode of the United States
    | (?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])  # an IP address
    | ^(?:\d0[ ]?)+$  # widths, percentages
    | ^[012]\d[. ]?[0-5]\d[ ]?-[ ]?[012]\d[. ]?[0-5]\d$  # hours
    """,
    re.VERBOSE,
)
_LONG = re.compile(r"\d{7,12}")
_RANGE = re.compile(r"(?:^|[\d)] )(\d{3,6}) ?- ?(\d{3,6})$")
_THOUSANDS = re.compile(r"\d{1,3}[ .]\d{3}|\d[ .]\d{3}[ .]\d{3}")


def _is_range(number: str) -> bool:
    """Pages and the like: the second number is as long as the first and hardly greater."""
    ends = _RANGE.search(number)
    return ends is not None and len(ends[1]) == len(ends[2]) and 0 < int(ends[2]) - int(ends[1]) < 100


def _strong(number: str) -> bool:
    """Whether a number (digits and separators in ASCII) is one by its form alone."""
    tight = number.replace(" - ", "-")
    return 8 <= _count(number) <= 17 and _STRONG.fullmatch(tight) is not None and not _otherwise(number)


def _weak(number: str) -> bool:
    """Whether a number looks like one in groups, as much else does."""
    return 7 <= _count(number) <= 12 and _WEAK.fullmatch(number) is not None and not _otherwise(number)


def _otherwise(number: str) -> bool:
    """Whether the form of a number is one of something else."""
    return _NO_PHONE.search(number) is not None or _is_range(number)


@lru_cache(maxsize=10_000)
def _international(digits: str) -> int:
    """Of digits that start with a country code: 2 a valid number, 1 one of a length that the country has, else 0."""
    try:
        number = phonenumbers.parse("+" + digits)
    except phonenumbers.NumberParseException:
        return 0
    if phonenumbers.is_valid_number(number):
        return 2
    return int(phonenumbers.is_possible_number(number))


# -- what is said of a number ----------------------------------------------------------------------------------------


_WORD = re.compile(r"[^\W\d_]+")
_BEHIND = re.compile(r" ?[(\[](?:tel|phone|cell|mobile|fax|mobil|handy|office|home|work|voice)\b", re.IGNORECASE)
_ADDRESS = re.compile(r"[\w.-]@[\w-]+\.\w")
_WORDS_AROUND, _ADDRESS_AROUND = 40, 60  # characters

PHONE, OTHER, NOTHING = "phone", "other", ""


def _is_phone_word(word: str) -> bool:
    return word in phone_words.PHONE_WORDS or word.startswith(phone_words.PHONE_STEMS)


def _said(text: str, start: int, end: int) -> str:
    """What the words beside [start, end) say it is."""
    before = text[max(0, start - _WORDS_AROUND) : start]
    bare = before.rstrip(" \xa0\t\n:：.=(（[\"'>-+＋")
    if bare.endswith(phone_words.PHONE_ENDINGS):
        return PHONE
    if _BEHIND.match(text, end, end + 12):
        return PHONE
    if not bare or bare[-1].isdigit():
        return NOTHING
    words = list(_WORD.finditer(before))[-6:]
    at, numbered, owned = len(before), False, False
    for place, word in enumerate(reversed(words)):
        gap, said = before[word.end() : at], word[0].lower()
        if len(gap) > 6 or _DIGITS.search(gap) or (place and "\n" in gap):
            break
        if _is_phone_word(said):
            return PHONE
        if (
            said in phone_words.LABELS
            and gap.startswith(":")
            and before[: word.start()].rstrip(" ")[-1:] in "\n.,;|(•·"
        ):
            return PHONE
        if said in phone_words.OTHER_WORDS:
            return NOTHING if "\n" in gap or (gap.startswith(". ") and len(said) > 4) else OTHER
        if said not in phone_words.FILLERS:
            break
        numbered, owned = numbered or said in phone_words.NUMBERS, owned or said in phone_words.OWNERS
        at = word.start()
    return PHONE if numbered and owned else NOTHING


def _near_address(text: str, start: int, end: int) -> bool:
    first, last = max(0, start - _ADDRESS_AROUND), end + _ADDRESS_AROUND
    return text.find("@", first, last) >= 0 and _ADDRESS.search(text, first, last) is not None


# -- what stands beside a number -------------------------------------------------------------------------------------


def _glues(character: str) -> bool:
    """Whether a letter or digit makes a longer token of digits beside it: scripts without spaces do not."""
    return character == "_" or (character.isalnum() and not 0x2E80 <= ord(character) < 0xFF00)


def _is_written(number: str) -> bool:
    """Whether a number of seven digits and more stands in at least three groups."""
    return len(_DIGITS.findall(_plain(number))) > 2 and _count(_plain(number)) > 6


def _free_before(text: str, start: int, said: str, written: bool) -> bool:
    """`written`: as no cipher is, so that a comma sets it apart from other digits, as in CSV."""
    if start == 0:
        return True
    beside, beyond = text[start - 1], text[start - 2 : start - 1]
    if _glues(beside) or beside in "$€£¥₹#@%~^*\\&+":
        return False
    if beside == "," and written:
        return True
    if beside in ".,:/=-\u2010\u2011\u2012\u2013'":
        return not _glues(beyond) or (said == PHONE and beyond.isalpha()) or (beside in ",:" and beyond.isalpha())
    return True


def _free_behind(text: str, end: int, written: bool) -> bool:
    if end == len(text):
        return True
    beside, beyond = text[end], text[end + 1 : end + 2]
    if _glues(beside) or beside in "%°$€£¥₹@\\=#^~*":
        return False
    if beside == "," and written:
        return True
    if beside in "./:,-\u2010\u2011\u2012\u2013'":
        return not (beyond.isdigit() or (beside in "./-" and _glues(beyond) and beyond.islower()))
    return True


def _lead(text: str, start: int, run: str) -> tuple[int, bool]:
    """Where a number really starts whose first digit is at `start`, and whether with a plus."""
    opened = ")" in run and "(" not in run.partition(")")[0]
    plus = False
    for _ in range(2):
        if start and text[start - 1] in "+＋" and not plus:
            start, plus = start - 1, True
        elif start and text[start - 1] in "(（" and opened:
            start, opened = start - 1, False
    return start, plus


# -- the recogniser --------------------------------------------------------------------------------------------------


class PhoneRecognizer:
    """Phone numbers of any country."""

    kind: Kind = KIND
    must_hold = rf"[{_DIGIT}](?:[{_SEPARATOR}]{{0,3}}[{_DIGIT}]){{{LEAST - 1}}}"

    def find(self, text: str, context: Sequence[str] = ()) -> Iterator[Finding]:
        """The phone numbers in `text`, in order."""
        named = any(_is_phone_word(word[0].lower()) for words in context for word in _WORD.finditer(words))
        last = -10  # the end of the last number behind a word, which speaks for those that follow
        for run in _RUN.finditer(text):
            start, plus = _lead(text, run.start(), run[0])
            said = PHONE if named or _follows(text, last, start) else _said(text, start, run.end())
            if said == PHONE and _is_quantity(text, start, run[0]):
                said = NOTHING
            if not _free_before(text, start, said, plus or _is_written(run[0])):
                continue
            for a, b, score in _numbers(text, start, run.end(), plus, said):
                extension = _EXTENSION.match(text, b)
                b = extension.end() if extension else b
                if _free_behind(text, b, plus or _is_written(text[a:b])):
                    yield Finding(a, b, KIND, score, "gristmill")
                    last = b if said == PHONE else last


def _is_quantity(text: str, start: int, number: str) -> bool:
    """Whether thousands are set apart and no colon says that they are a number: calls 100 000 people."""
    before = text[max(0, start - 4) : start].rstrip(' (\n\t"')
    return _THOUSANDS.fullmatch(number) is not None and before[-1:] not in (":", ".", "=")


def _follows(text: str, last: int, start: int) -> bool:
    """Whether hardly anything stands between the end of a number and the start of the next."""
    gap = text[last:start].strip(" \xa0,;/&|(") if 0 < start - last <= 6 else "far"
    return not gap or gap in phone_words.JOINS


def _numbers(text: str, start: int, end: int, plus: bool, said: str) -> Iterator[tuple[int, int, float]]:
    """(start, end, score) of the numbers in a run of digits and separators with its lead."""
    number = _plain(text[start:end])
    if plus and (size := _international_prefix(number)):
        yield start, start + size, FULL
        return
    if said == OTHER or (plus and said != PHONE):
        return
    if number.startswith("00") and (size := _international_prefix(number[2:], least=2)):
        yield start, start + 2 + size, FULL if said == PHONE else ENOUGH
        return
    if _strong(number):
        yield start, end, FULL if said == PHONE else ENOUGH
        return
    if _WIDE.search(number):
        taken = False
        for a, b in pairwise([0, *(gap.end() for gap in _WIDE.finditer(number)), len(number)]):
            part = number[a:b].rstrip(" /-")
            if _strong(part) or (taken and said == PHONE and _LONG.fullmatch(part)):
                yield start + a, start + a + len(part), FULL if said == PHONE else ENOUGH
                taken = True
        if taken:
            return
    if said == PHONE:
        at = 0
        while size := _prefix(number[at:], alone=at == 0):
            yield start + at, start + at + size, FULL
            at = len(number) - len(number[at + size :].lstrip(" "))
        return
    if _weak(number) and _near_address(text, start, end):
        yield start, end, ENOUGH


def _prefix(number: str, alone: bool) -> int:
    """The length of the first number behind a phone word: by its form, or all of a run that is not too long.

    `alone`: False for what follows another number; its form, or that it is one long group, then has to say it again.
    """
    ends = [group.end() for group in _DIGITS.finditer(number)][:MOST]
    for end in reversed(ends):
        whole = number[end : end + 1] in ("", " ")
        if whole and (_strong(number[:end]) or (not alone and _LONG.fullmatch(number[:end]))):
            return end
    if not alone or _otherwise(number):
        return 0
    return next((end for end in reversed(ends) if LEAST <= _count(number[:end]) <= MOST), 0)


def _international_prefix(number: str, least: int = 1) -> int:
    """The length of the longest valid number, else of the longest possible one, that starts with a country code."""
    possible = 0
    for group in reversed(list(_DIGITS.finditer(number))[:10]):
        digits = "".join(_DIGITS.findall(number[: group.end()].replace("(0)", "")))
        if len(digits) > MOST:
            continue
        grade = _international(digits) if len(digits) > LEAST else 0
        if grade == 2:
            return group.end()
        if grade >= least:
            possible = possible or group.end()
    return possible


# -- Presidio's findings ---------------------------------------------------------------------------------------------


def no_phone(text: str, start: int, end: int) -> bool:
    """Whether digits that are a valid number somewhere, text[start:end], are something else after all."""
    number = _plain(text[start:end])
    said = _said(text, start, end)
    written = number.startswith("+") or _is_written(number)
    if not _free_before(text, start, said, written) or not _free_behind(text, end, written):
        return True
    if number.startswith("+") or said == PHONE:
        return False
    if said == OTHER or _otherwise(number):
        return True
    if _strong(number):
        return False
    return not (_weak(number) and _near_address(text, start, end))
