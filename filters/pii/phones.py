"""Presidio's phone numbers in one reading of the text for all regions, instead of one a region.

Presidio runs phonenumbers' matcher (leniency VALID) once for each of its eight regions. Which pieces of a text are
candidates does not depend on the region; whether one is a number depends on its digits and the region alone. So the
candidates are found once, each distinct string of digits is judged once for all regions (a bit mask, remembered), and
phonenumbers' own `parse` and verification are called only where `regions.Region.possible` cannot refuse.

The steps are those of `phonenumbers.PhoneNumberMatcher` (a port of libphonenumber's), reusing its expressions; each
region follows its own path through the text, since a number found moves the place where the search goes on. With one
difference: the matcher gives a text up after 65,535 candidates that were none, and would leave the phone numbers
behind a long table unseen; this one reads on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from phonenumbers import phonenumbermatcher as matcher
from phonenumbers import phonenumberutil as util
from phonenumbers.re_util import fullmatch
from presidio_analyzer.predefined_recognizers import PhoneRecognizer

from .regions import Region, shortest_international

MEMO = 100_000  # strings of digits remembered: some 12 MB

SEPARATORS = util._VALID_PUNCTUATION  # what may stand between two digits of one number, as the inside of a class
PLUS = util._PLUS_CHARS
LEAST_DIGITS = 4  # of a valid number: the shortest of the default regions are German

# A candidate has four digits, or fewer and letters: a label such as "int" that is not followed by an extension is
# dialled, so that "016int 42" holds the German number 016468; x is also a separator.
_DIGITS = rf"\d(?:[{SEPARATORS}]{{0,4}}\d){{3}}"
_LABELS = rf"\d[ \xa0\t,-]*(?:ext|xtn|xten|anexo|int)|x(?:[{SEPARATORS}\d]{{0,12}}x){{2}}"
_CANDIDATE = re.compile(rf"{_DIGITS}|{_LABELS}", re.IGNORECASE)
_LEAD = (
    10  # a candidate starts at most this many characters before its first digit: twice a bracket or plus, and 4 more
)

_DIGIT = re.compile(r"\d")
_NOT_DIGITS = re.compile(r"[^0-9]+")
_LETTER = re.compile(r"[A-Za-z]")
_PLAIN = re.compile(rf"[{SEPARATORS}]*[{PLUS}]?[{SEPARATORS}\d]*")
_NOT_PLAIN = re.compile("[xX~\uff5e]")  # separators that may also begin an extension

Span = tuple[int, int, int]  # start, end, bit mask of the regions that find it


class Phones:
    """The spans that Presidio's phone recogniser finds."""

    def __init__(self, recognizer: PhoneRecognizer):
        self.recognizer = recognizer
        self.regions = [Region(name) for name in recognizer.supported_regions]
        self.everywhere = (1 << len(self.regions)) - 1
        shortest = min(region.shortest for region in self.regions)
        self.exact = (
            recognizer.leniency == matcher.Leniency.VALID
            and min(shortest, shortest_international()) >= LEAST_DIGITS
            and all(region.exact for region in self.regions)
        )  # else newer metadata break what `_CANDIDATE` and `Region.possible` rest on: Presidio has to search itself
        self._memo: dict[str, int] = {}

    def spans(self, text: str) -> set[tuple[int, int]]:
        """(start, end) of every number that any region finds."""
        if not self.exact:
            return {(r.start, r.end) for r in self.recognizer.analyze(text, ["PHONE_NUMBER"])}
        found = set()
        read = -1
        for hit in _CANDIDATE.finditer(text):
            if hit.start() < read:
                continue
            start = text.rfind("\n", 0, hit.start()) + 1  # a candidate never crosses a line end
            read = text.find("\n", hit.end())
            read = len(text) if read < 0 else read
            found.update((start + a, start + b) for a, b, _ in self._line(text[start:read]))
        return found

    def _line(self, line: str) -> list[Span]:
        """`PhoneNumberMatcher.__iter__`: what each region finds in one line."""
        spans: list[Span] = []
        waiting = {0: self.everywhere}  # place -> the regions that go on from there
        while waiting:
            place = min(waiting)
            wanted = waiting.pop(place)
            digit = _DIGIT.search(line, place)
            if digit is None:
                continue
            match = matcher._PATTERN.search(line, max(place, digit.start() - _LEAD))
            start, candidate = match.start(), match.group()
            second = matcher._SECOND_NUMBER_START_PATTERN.search(candidate)
            if second:
                candidate = candidate[: second.start()]
            for span in self._extract(line, candidate, start, wanted):
                spans.append(span)
                _, end, takers = span
                wanted &= ~takers
                waiting[end] = waiting.get(end, 0) | takers
            if wanted:
                end = start + len(candidate)
                waiting[end] = waiting.get(end, 0) | wanted
        return spans

    def _extract(self, line: str, candidate: str, start: int, wanted: int) -> Iterator[Span]:
        """`PhoneNumberMatcher._extract_match`: for each wanted region the whole candidate, else its first good part."""
        few_digits = len(_DIGIT.findall(candidate)) < LEAST_DIGITS and len(_LETTER.findall(candidate)) < 3
        if few_digits or matcher._SLASH_SEPARATED_DATES.search(candidate):
            return
        end = start + len(candidate)
        if matcher._TIME_STAMPS.search(candidate) and matcher._TIME_STAMPS_SUFFIX.match(line, end):
            return
        takers = self._verify(line, candidate, start, wanted)
        if takers:
            yield start, end, takers
            wanted &= ~takers
        for splitter in matcher._INNER_MATCHES:
            split = splitter.search(candidate)
            if split and wanted:  # what stands before the first split
                part = _trim(candidate[: split.start()])
                takers = self._verify(line, part, start, wanted)
                if takers:
                    yield start, start + len(part), takers
                    wanted &= ~takers
            while split and wanted:
                part, at = _trim(split.group(1)), start + split.start(1)
                takers = self._verify(line, part, at, wanted)
                if takers:
                    yield at, at + len(part), takers
                    wanted &= ~takers
                split = splitter.search(candidate, split.start() + 1)

    def _verify(self, line: str, part: str, start: int, wanted: int) -> int:
        """`PhoneNumberMatcher._parse_and_verify`: mask of the wanted regions that take `part` at `start` of `line`."""
        takers = self.takers(part) & wanted
        if not takers:
            return 0
        if not fullmatch(matcher._MATCHING_BRACKETS, part) or matcher._PUB_PAGES.search(part):
            return 0
        if start > 0 and not matcher._LEAD_PATTERN.match(part) and _forbids(line[start - 1]):
            return 0
        end = start + len(part)
        return 0 if end < len(line) and _forbids(line[end]) else takers

    def takers(self, part: str) -> int:
        """Bit mask of the regions for which `part`, on its own, is a valid number."""
        if len(part) > util._MAX_INPUT_STRING_LENGTH:
            return 0
        if not _PLAIN.fullmatch(part) or _NOT_PLAIN.search(part):
            return self._remembered(part, self._takers_of_text)
        digits = _NOT_DIGITS.sub("", part) if part.isascii() else util.normalize_digits_only(part)
        if any(plus in part for plus in PLUS):
            return self._remembered("+" + digits, self._takers_of_international)
        return self._remembered(digits, self._takers_of_digits)

    def _remembered(self, key: str, judge) -> int:
        takers = self._memo.get(key)
        if takers is None:
            takers = judge(key)
            if len(self._memo) >= MEMO:
                self._memo.clear()
            self._memo[key] = takers
        return takers

    def _takers_of_digits(self, digits: str) -> int:
        if len(digits) < LEAST_DIGITS:
            return 0
        return sum(
            1 << i for i, region in enumerate(self.regions) if region.possible(digits) and _valid(digits, region.name)
        )

    def _takers_of_international(self, number: str) -> int:
        digits = number[1:]
        if len(digits) < LEAST_DIGITS:
            return 0
        if util._extract_country_code(digits)[0]:  # the same number for every region
            long_enough = len(digits) >= shortest_international()
            return self.everywhere if long_enough and _valid(number, self.regions[0].name) else 0
        return sum(1 << i for i, region in enumerate(self.regions) if _valid(number, region.name))

    def _takers_of_text(self, part: str) -> int:
        """For a part with an extension, a letter or a second plus: nearly always parsed."""
        dialled = len(_DIGIT.findall(part))
        if len(_LETTER.findall(part)) > 2:
            dialled = util._MAX_INPUT_STRING_LENGTH  # letters may be dialled
        if dialled < LEAST_DIGITS:
            return 0
        plus = any(plus in part for plus in PLUS)
        return sum(
            1 << i
            for i, region in enumerate(self.regions)
            if (plus or dialled >= min(region.shortest, shortest_international() + 1)) and _valid(part, region.name)
        )


def _valid(part: str, region: str) -> bool:
    try:
        number = util.parse(part, region, keep_raw_input=True)
    except util.NumberParseException:
        return False
    return matcher._verify(matcher.Leniency.VALID, number, part, None)


def _forbids(neighbour: str) -> bool:
    """Whether digits beside this character are no phone number: a Latin letter, a currency sign, a percent sign."""
    rules = matcher.PhoneNumberMatcher
    return rules._is_invalid_punctuation_symbol(neighbour) or rules._is_latin_letter(neighbour)


def _trim(part: str) -> str:
    end = util._UNWANTED_END_CHAR_PATTERN.search(part)
    return part[: end.start()] if end else part
