"""An exact gate in front of Presidio: the findings of `AnalyzerEngine.analyze` on a text, some 30 times as fast.

Presidio spends a hundredth of a second a document, nearly all of it on text that holds nothing. Each recogniser's
patterns imply something cheaper: an address holds an `@`, every kind of number but an IBAN and some IPv6 addresses
holds four digits with only separators between them. RE2 looks for all these necessary conditions in one linear scan of
a text; where one holds, Presidio's own recogniser decides, on the smallest window that cannot change its answer; its
context words are found without tokenising the document (`context.py`), its phone numbers in one reading (`phones.py`).

Four recognisers that are more than patterns, or whose patterns take more than linear time, have conditions and windows
made by hand; those of the others are derived from their patterns (`implied.py`). What no context word can lift over
the threshold is not looked at. The price is that every expression here has to stay implied by Presidio's (tests compare
the findings).

Windows also bound the time: Presidio's e-mail pattern is quadratic on long runs such as "a.a.a.", and gives a text up
after a minute; the windows hold only runs that match.

Characters on which Presidio raises an error are hidden from it: lone surrogates, which JSON escapes may hold, and
whatever its validators stumble over (`_read`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Sequence

import re2
import regex
from presidio_analyzer import EntityRecognizer, PatternRecognizer, RecognizerResult

from . import engine
from .catalogue import ENGLISH, KINDS
from .context import ContextWords
from .finding import By, Finding, Kind, clusters
from .implied import implied, together, windows
from .phones import SEPARATORS, Phones
from .replacements import REGIONS
from .scan import Scan

_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_PARTS = re.compile(r"[^\W\d_]+")  # of a name such as "driver_license"

# -- necessary conditions --------------------------------------------------------------------------------------------

# What a text with a finding of the kind must hold, folded: `fold` has made other digits 0, and other cases of i an i.
_SEPARATOR = "".join(c if c.isascii() else rf"\x{{{ord(c):x}}}" for c in SEPARATORS)
_FOUR_DIGITS = (  # of a phone number, or what phonenumbers dials as digits
    rf"[0-9](?:[{_SEPARATOR}]{{0,4}}[0-9]){{3}}|(?i:[0-9][ \x{{a0}}\t,-]*(?:ext|xtn|xten|anexo|int))"
    rf"|[xX](?:[{_SEPARATOR}X0-9]{{0,12}}[xX]){{2}}"
)
_IPV4 = r"[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]"
_IPV6 = r"::|(?:[0-9A-Fa-f]{1,4}:){6}[0-9A-Fa-f]"
_IBAN = r"[A-Z]{2}[0-9]{2}(?:[ -]?[A-Z0-9]{4}){2}"
_BY_HAND: dict[Kind, tuple[str, ...]] = {
    "EMAIL_ADDRESS": ("@",),
    "PHONE_NUMBER": (_FOUR_DIGITS,),
    "IP_ADDRESS": (_IPV4, _IPV6),
    "IBAN_CODE": (_IBAN,),
}

_ipv4, _ipv6 = map(re2.compile, (_IPV4, _IPV6))

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


class _Way:
    """One recogniser, and how its findings in a text are reached."""

    def __init__(self, recognizer: EntityRecognizer, by: By, find: Callable[[str], list[RecognizerResult]] | None):
        self.recognizer, self.by = recognizer, by
        self.kind: Kind = recognizer.supported_entities[0]
        self.best = EntityRecognizer.MAX_SCORE
        if find is not None:
            self.find, self.must_hold = find, _BY_HAND[self.kind]
        else:
            self._implied = together(implied(p.regex, recognizer.global_regex_flags) for p in recognizer.patterns)
            self.find, self.must_hold = self._find, (self._implied.must_hold,)
            if type(recognizer).validate_result is PatternRecognizer.validate_result:
                self.best = max(pattern.score for pattern in recognizer.patterns)
        words = [re2.escape(word.lower()) for word in recognizer.context or ()]
        self._hint = re2.compile("(?i)" + "|".join(words)) if words else None

    def can_reach(self, score: float, text: str, context: Sequence[str]) -> bool:
        """False if no finding in `text` will have the score: none has it by form, and no context word is there."""
        if self.best >= score:
            return True
        if self._hint is None:
            return False
        if not text.isascii():  # whose capitals RE2 may know otherwise than Python
            return True
        return bool(self._hint.search(text) or any(self._hint.search(word) for word in context))

    def _find(self, text: str) -> list[RecognizerResult]:
        return _analyzed(self.recognizer, text, windows(text, self._implied))


def _analyzed(recognizer: EntityRecognizer, text: str, places: Iterable[tuple[int, int]]) -> list[RecognizerResult]:
    """The findings of a recogniser in windows of a text."""
    results = []
    for start, end in places:
        for result in _read(recognizer, text[start:end]):
            result.start += start
            result.end += start
            results.append(result)
    return results


def _read(recognizer: EntityRecognizer, text: str) -> list[RecognizerResult]:
    """Presidio's own search; if it raises, with everything but ASCII hidden.

    Its validators know digits and letters by what Python makes of them, and its patterns match a few more: decimal
    digits of a newer Unicode than Python's, cases of letters that have no other case back.
    """
    try:
        return recognizer.analyze(text, recognizer.supported_entities, None)
    except (ValueError, KeyError, IndexError):
        return recognizer.analyze(_NOT_ASCII.sub("\u4e00", text), recognizer.supported_entities, None)


class Gate:
    """Finds personal data of some kinds in texts of a language. One a worker: what it remembers is bounded.

    `min_score`: findings below it are left out, as by Presidio's `score_threshold`. `more`: recognisers beside
    Presidio's. `strict`: kinds of Presidio's that count only where a context word stands beside them as a whole word,
    which is not its way.
    """

    def __init__(
        self,
        kinds: Sequence[Kind] = KINDS,
        min_score: float = 0.0,
        language: str = ENGLISH,
        phone_regions: Sequence[str] = REGIONS,
        more: Sequence[PatternRecognizer] = (),
        strict: Container[Kind] = (),
    ):
        self.min_score, self._strict = min_score, strict
        self._enhancers = {whole: engine.context_enhancer(whole) for whole in (False, True)}
        self._context = ContextWords(self._enhancers[False], language)
        by_hand = {
            "EMAIL_ADDRESS": self._emails,
            "PHONE_NUMBER": self._phone_numbers,
            "IP_ADDRESS": self._ips,
            "IBAN_CODE": self._ibans,
        }
        self._ways = []
        for recognizer in engine.recognizers(kinds, language, phone_regions):
            self._ways.append(_Way(recognizer, "presidio", by_hand.get(recognizer.supported_entities[0])))
        self._by_kind = {way.kind: way.recognizer for way in self._ways}
        self._ways += [_Way(recognizer, "recipe", None) for recognizer in more]
        if "PHONE_NUMBER" in self._by_kind:
            self._phones = Phones(self._by_kind["PHONE_NUMBER"])
            if not self._phones.exact:  # nothing is known to be necessary
                next(way for way in self._ways if way.kind == "PHONE_NUMBER").must_hold = ("",)
        self._scan = Scan([way.must_hold for way in self._ways])

    def find(self, text: str, context: Sequence[str] = ()) -> list[Finding]:
        """The findings in `text` in order of (start, end, kind, score); those of different kinds may overlap.

        `context`: words that count as if they stood beside every finding, as in `AnalyzerEngine.analyze`.
        """
        text = readable(text)
        results: list[RecognizerResult] = []
        ways: dict[int, _Way] = {}
        for i in self._scan.hits(text):
            way = self._ways[i]
            if way.can_reach(self.min_score, text, context):
                found = way.find(text)
                ways.update((id(result), way) for result in found)
                results += found
        if not results:
            return []
        self._enhance(text, results, ways, context)
        results = sorted((r for r in results if r.score >= self.min_score), key=lambda r: r.start)
        kept = [r for cluster in clusters(results) for r in EntityRecognizer.remove_duplicates(cluster)]
        return sorted(Finding(r.start, r.end, r.entity_type, r.score, ways[id(r)].by) for r in kept)

    def _emails(self, text: str) -> list[RecognizerResult]:
        return _analyzed(self._by_kind["EMAIL_ADDRESS"], text, _addresses(text))

    def _phone_numbers(self, text: str) -> list[RecognizerResult]:
        score = self._by_kind["PHONE_NUMBER"].SCORE
        return [RecognizerResult("PHONE_NUMBER", *span, score) for span in self._phones.spans(text)]

    def _ibans(self, text: str) -> list[RecognizerResult]:
        return _analyzed(self._by_kind["IBAN_CODE"], text, [(0, len(text))])

    def _ips(self, text: str) -> list[RecognizerResult]:
        places = _spaced(text, _ipv4.finditer(text))
        if "::" in text or text.count(":") >= 6:
            places += _spaced(text, _ipv6.finditer(text))
        return _analyzed(self._by_kind["IP_ADDRESS"], text, sorted(set(places)))

    def _enhance(
        self, text: str, results: list[RecognizerResult], ways: dict[int, _Way], context: Sequence[str]
    ) -> None:
        """`LemmaContextAwareEnhancer.enhance_using_context`, in place; of strict kinds, what is not enhanced is 0."""
        reader = self._context.reader(text)
        context = [word.lower() for word in context]
        parts = [part for word in context for part in _PARTS.findall(word)]
        for result in sorted(results, key=lambda r: r.start):
            way = ways[id(result)]
            recognizer, strict = way.recognizer, way.by == "presidio" and way.kind in self._strict
            enhancer = self._enhancers[strict]
            words = reader.around(result.start) + (parts if strict else context)
            if recognizer.context and enhancer._find_supportive_word_in_context(
                words, recognizer.context, enhancer.context_matching_mode
            ):
                raised = result.score + enhancer.context_similarity_factor
                result.score = min(max(raised, enhancer.min_score_with_context_similarity), enhancer.MAX_SCORE)
            elif strict:
                result.score = EntityRecognizer.MIN_SCORE
