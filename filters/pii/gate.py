"""An exact gate in front of Presidio: the findings of `AnalyzerEngine.analyze` on a text, some 30 times as fast.

Presidio spends a hundredth of a second a document, nearly all of it on text that holds nothing. Each recogniser's
patterns imply something cheaper: an address holds an `@`, every kind of number but an IBAN and some IPv6 addresses
holds four digits with only separators between them. RE2 looks for these necessary conditions in linear time, over
whole Arrow columns where it can; where one holds, Presidio's own recogniser decides, on the smallest window that
cannot change its answer; its context words are found without tokenising the document (`context.py`), its phone
numbers in one reading (`phones.py`). The price is that every expression here has to stay implied by Presidio's (tests
compare the findings).

Windows also bound the time: Presidio's e-mail pattern is quadratic on long runs such as "a.a.a.", and gives a text up
after a minute; the windows hold only runs that match.

Two kinds of characters are hidden from Presidio, which raises an error on them: lone surrogates, which JSON escapes
may hold, and, in card numbers, decimal digits that the `regex` package knows from a newer Unicode than Python does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import re2
import regex
from presidio_analyzer import EntityRecognizer, RecognizerResult

from . import engine
from .context import ContextWords
from .finding import KINDS, Finding, Kind
from .phones import SEPARATORS, Phones

# -- necessary conditions --------------------------------------------------------------------------------------------


def _ranges(characters: Iterable[str]) -> str:
    """Characters in ascending order, none of them special in a pattern, as the inside of a character class."""
    spans: list[list[int]] = []
    for code in map(ord, characters):
        if spans and code == spans[-1][1] + 1:
            spans[-1][1] = code
        else:
            spans.append([code, code])
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in spans)


# Python, regex and RE2 each know another Unicode: this class is Python's \d, spelt out.
_DIGIT = _ranges(re.findall(r"\d", "".join(map(chr, [*range(0xD800), *range(0xE000, 0x110000)]))))
_NEW_DIGIT = regex.compile(rf"(?![{_DIGIT}])\d")  # digits to regex alone
_SURROGATE = re.compile("[\ud800-\udfff]")

_SEPARATOR = "".join(c if c.isascii() else rf"\x{{{ord(c):x}}}" for c in SEPARATORS)
_I = "iI\u0130\u0131"  # what Python takes for an i when case does not count; RE2 stops at the first two
_DIGITS = (
    rf"[{_DIGIT}](?:[{_SEPARATOR}]{{0,4}}[{_DIGIT}]){{3}}"
    rf"|[{_DIGIT}][ \x{{a0}}\t,-]*(?:[eE][xX][tT]|[xX][tT][nN]|[xX][tT][eE][nN]|[aA][nN][eE][xX][oO]|[{_I}][nN][tT])"
    rf"|[xX](?:[{_SEPARATOR}X{_DIGIT}]{{0,12}}[xX]){{2}}"
)
_CARD = rf"[{_DIGIT}]{{4}}[- ]?[{_DIGIT}]{{3,4}}[- ]?[{_DIGIT}]{{3,4}}[- ]?[{_DIGIT}]{{3,5}}"
_SSN = r"[0-9]{5}-[0-9]{4}|[0-9]{3}-[0-9]{6}|[0-9]{9}|[0-9]{3}[- .][0-9]{2}[- .][0-9]{4}"
_IPV4 = r"[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]"
_IPV6 = r"::|(?:[0-9A-Fa-f]{1,4}:){6}[0-9A-Fa-f]"
_IBAN = r"[A-Z]{2}[0-9]{2}(?:[ -]?[A-Z0-9]{4}){2}"

# What a text with a finding of the kind must hold. `_DIGITS` is implied by `_CARD`, `_SSN` and `_IPV4`.
_MUST_HOLD: dict[Kind, tuple[str, ...]] = {
    "EMAIL_ADDRESS": ("@",),
    "PHONE_NUMBER": (_DIGITS,),
    "CREDIT_CARD": (_DIGITS,),
    "IP_ADDRESS": (_DIGITS, _IPV6),
    "IBAN_CODE": (_IBAN,),
    "US_SSN": (_DIGITS,),
}

_digits, _card, _ssn, _ipv4, _ipv6, _iban = map(re2.compile, (_DIGITS, _CARD, _SSN, _IPV4, _IPV6, _IBAN))

# -- windows ---------------------------------------------------------------------------------------------------------

_SPACE = re.compile(r"\s")
_LAST_SPACE = regex.compile("(?r)" + "[" + "".join(c for c in map(chr, range(0x3100)) if c.isspace()) + "]")
# An e-mail address as Presidio's pattern has it is a run of these characters with one @; its domain is greedy.
_LOCAL = r"\w!#$%&'*+\-/=?^`{|}~."
_BEFORE_LOCAL = regex.compile(rf"(?r)[^{_LOCAL}]")
_DOMAIN_RUN = regex.compile(r"[\w.-]*+")  # given first, since regex looks for a needed "." up to the end of the text
_DOMAIN = regex.compile(r"\w++(?:-++\w++)*+(?:\.\w++(?:-++\w++)*+)++")


def _spaced(text: str, hits: Iterable[re.Match]) -> list[tuple[int, int]]:
    """Windows between white space that hold a hit: IP patterns match no white space and look one character beyond."""
    windows: list[tuple[int, int]] = []
    for hit in hits:
        if windows and hit.start() < windows[-1][1]:
            continue
        before = _LAST_SPACE.search(text, 0, hit.start())
        after = _SPACE.search(text, hit.start())
        windows.append((before.end() if before else 0, after.start() if after else len(text)))
    return windows


def _addresses(text: str) -> list[tuple[int, int]]:
    """Windows that hold the e-mail addresses: from the start of a local part to the end of a domain.

    An `@` can belong to a match only if a local part ends and a domain starts there, and no match crosses one that
    does not. Neighbours that can and share a run of characters go together, since the first match may take what the
    second would begin with.
    """
    windows: list[tuple[int, int]] = []
    last, last_matches = -1, False
    at = text.find("@")
    while at >= 0:
        before = _BEFORE_LOCAL.search(text, max(last, 0), at)
        start = before.end() if before else 0
        domain = _DOMAIN.match(text, at + 1, _DOMAIN_RUN.match(text, at + 1).end())
        matches = domain is not None and start < at and text[at - 1] != "."
        if matches and last_matches and start == last + 1:
            windows[-1] = (windows[-1][0], domain.end())
        elif matches:
            windows.append((start, domain.end()))
        last, last_matches = at, matches
        at = text.find("@", at + 1)
    return windows


def readable(text: str) -> str:
    """`text` with a replacement character for each lone surrogate."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


# -- the gate --------------------------------------------------------------------------------------------------------


class Gate:
    """Finds personal data of some kinds. One a worker: it remembers strings of digits and pieces of text, in bounds.

    `min_score`: findings below it are left out, as by Presidio's `score_threshold`.
    """

    def __init__(self, kinds: Sequence[Kind] = KINDS, min_score: float = 0.0):
        self.kinds, self.min_score = frozenset(kinds), min_score
        self._recognizers = dict(zip(KINDS, engine.recognizers(), strict=True))
        self._phones = Phones(self._recognizers["PHONE_NUMBER"])
        self._enhancer = engine.context_enhancer()
        self._context = ContextWords(self._enhancer)
        must_hold = [p for kind in KINDS if kind in self.kinds for p in _MUST_HOLD[kind]]
        if "PHONE_NUMBER" in self.kinds and not self._phones.exact:
            must_hold = [""]  # nothing is known to be necessary
        self._any = "|".join(dict.fromkeys(must_hold))
        self._any_here = re2.compile(self._any)

    def candidates(self, texts: pa.Array) -> np.ndarray:
        """bool[n]: False where a string of the column (nulls included) certainly holds nothing."""
        return pc.match_substring_regex(texts, self._any).fill_null(False).to_numpy(zero_copy_only=False)

    def find(self, text: str, context: Sequence[str] = ()) -> list[Finding]:
        """The findings in `text` in order of (start, end, kind, score); those of different kinds may overlap.

        `context`: words that count as if they stood beside every finding, as in `AnalyzerEngine.analyze`.
        """
        text = readable(text)
        results = self._raw(text) if self._any_here.search(text) else []
        if not results:
            return []
        self._enhance(text, results, context)
        results = EntityRecognizer.remove_duplicates([r for r in results if r.score >= self.min_score])
        return sorted(Finding(r.start, r.end, r.entity_type, r.score) for r in results)

    def _raw(self, text: str) -> list[RecognizerResult]:
        """What the recognisers find, before context words count."""
        kinds, results = self.kinds, []
        if "EMAIL_ADDRESS" in kinds and "@" in text:
            results += self._analyze("EMAIL_ADDRESS", text, _addresses(text))
        whole = [(0, len(text))]
        digits = _digits.search(text) is not None
        if "PHONE_NUMBER" in kinds and (digits or not self._phones.exact):
            score = self._recognizers["PHONE_NUMBER"].SCORE
            results += [RecognizerResult("PHONE_NUMBER", *span, score) for span in self._phones.spans(text)]
        if "CREDIT_CARD" in kinds and digits and _card.search(text):
            results += self._analyze("CREDIT_CARD", _NEW_DIGIT.sub("\u4e00", text), whole)  # in words too, but no digit
        if "US_SSN" in kinds and digits and _ssn.search(text):
            results += self._analyze("US_SSN", text, whole)
        if "IP_ADDRESS" in kinds:
            windows = _spaced(text, _ipv4.finditer(text)) if digits else []
            if "::" in text or text.count(":") >= 6:
                windows += _spaced(text, _ipv6.finditer(text))
            results += self._analyze("IP_ADDRESS", text, sorted(set(windows)))
        if "IBAN_CODE" in kinds and _iban.search(text):
            results += self._analyze("IBAN_CODE", text, whole)
        return results

    def _analyze(self, kind: Kind, text: str, windows: Iterable[tuple[int, int]]) -> list[RecognizerResult]:
        """Presidio's recogniser of a kind on windows of a text."""
        results = []
        for start, end in windows:
            for result in self._recognizers[kind].analyze(text[start:end], [kind], None):
                result.start += start
                result.end += start
                results.append(result)
        return results

    def _enhance(self, text: str, results: list[RecognizerResult], context: Sequence[str]) -> None:
        """`LemmaContextAwareEnhancer.enhance_using_context`, in place."""
        enhancer, reader = self._enhancer, self._context.reader(text)
        context = [word.lower() for word in context]
        for result in sorted(results, key=lambda r: r.start):
            words = reader.around(result.start) + context
            wanted = self._recognizers[result.entity_type].context
            if enhancer._find_supportive_word_in_context(words, wanted, enhancer.context_matching_mode):
                raised = result.score + enhancer.context_similarity_factor
                result.score = min(max(raised, enhancer.min_score_with_context_similarity), enhancer.MAX_SCORE)
