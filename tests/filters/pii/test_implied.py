"""What patterns imply holds: of every pattern that Presidio ships, and of patterns made to break it."""

from __future__ import annotations

import gzip
import inspect
import io
import json
import re
import time
from itertools import pairwise
from random import Random

import pytest
import re2
import regex
import zstandard
from gristmill.filters.pii.characters import fold
from gristmill.filters.pii.engine import OfflineEmailRecognizer
from gristmill.filters.pii.implied import NOTHING, Implied, implied, together, windows
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from presidio_analyzer import PatternRecognizer, predefined_recognizers

FLAGS = regex.IGNORECASE | regex.MULTILINE | regex.DOTALL
# Digits and letters beyond ASCII that `regex` takes for \d, i, I, s and k; and neighbours of words that are none.
ODD = "\u0661\uff11\U0001d7d8\u0130\u0131\u017f\u212aéßÄ\xa0\u2003\u200b\u0301²"


def shipped() -> list[PatternRecognizer]:
    """Every recogniser of Presidio that is made of patterns."""
    classes = [c for _, c in inspect.getmembers(predefined_recognizers, inspect.isclass)]
    classes = [c for c in classes if issubclass(c, PatternRecognizer) and c is not PatternRecognizer]
    offline = {predefined_recognizers.EmailRecognizer: OfflineEmailRecognizer}
    return [offline.get(c, c)() for c in classes]


RECOGNIZERS = shipped()
NAMED = pytest.mark.parametrize("recognizer", RECOGNIZERS, ids=lambda r: type(r).__name__.removesuffix("Recognizer"))


def of(recognizer: PatternRecognizer) -> Implied:
    return together(implied(pattern.regex, recognizer.global_regex_flags) for pattern in recognizer.patterns)


IMPLIED = {type(r).__name__: of(r) for r in RECOGNIZERS}


def found(recognizer: PatternRecognizer, text: str, places: list[tuple[int, int]]) -> list[tuple] | None:
    """What a recogniser finds in parts of a text; None where its check fails at a digit."""
    try:
        results = [(at, r) for at, end in places for r in recognizer.analyze(text[at:end], [], None)]
    except (KeyError, ValueError):  # of another script
        return None
    return sorted((at + r.start, at + r.end, r.score) for at, r in results)


def agrees(recognizer: PatternRecognizer, text: str) -> int:
    """Assert that windows change no finding; how many findings there were."""
    want = found(recognizer, text, [(0, len(text))])
    if want is None:
        return 0
    places = windows(text, IMPLIED[type(recognizer).__name__])
    assert found(recognizer, text, places) == want, text
    assert all(a < b for a, b in places)
    assert all(b <= c for (_, b), (c, _) in pairwise(places))
    return len(want)


# -- Presidio's patterns ---------------------------------------------------------------------------------------------


@NAMED
def test_each_pattern_implies_something(recognizer):
    for pattern in recognizer.patterns:
        what = implied(pattern.regex, recognizer.global_regex_flags)
        assert what.must_hold
        assert what.window
        if "(?=.*?" not in pattern.regex:
            assert what.around in (0, 1)


def readable_by_re(pattern: str) -> str | None:
    """A pattern for hypothesis; None for one with look-behind that `re` does not know, or look-ahead, hard to meet."""
    pattern = pattern.replace("(?i)", "")
    try:
        re.compile(pattern)
    except re.error:
        return None
    return pattern


SURROUNDINGS = st.sampled_from(["", " ", "\n", "é", ",", "-", "1", "x", "_", "::", " 1", "\u0661", "ı", ".\n", "\xa0"])


@NAMED
def test_windows_hold_what_is_made_to_match(recognizer):
    patterns = [(p, readable_by_re(p.regex)) for p in recognizer.patterns]
    made = [(p, source) for p, source in patterns if source and "(?=" not in source and "academy" not in source]
    if not made:
        return

    @given(st.data())
    @settings(max_examples=6 * len(made), deadline=None, suppress_health_check=list(HealthCheck), database=None)
    def check(data):
        pattern, source = data.draw(st.sampled_from(made))
        first = data.draw(st.from_regex(re.compile(source, re.IGNORECASE), fullmatch=True))
        second = data.draw(st.sampled_from([first, first[1:], first[::-1], first[:-1], ""]))
        between = [data.draw(SURROUNDINGS) for _ in range(3)]
        text = between[0] + first + between[1] + second + between[2]
        if data.draw(st.booleans()):
            place = data.draw(st.integers(0, len(text)))
            text = text[:place] + data.draw(st.sampled_from(ODD)) + text[place:]
        text = text.encode(errors="replace").decode()
        if regex.search(pattern.regex, text, recognizer.global_regex_flags):
            what = implied(pattern.regex, recognizer.global_regex_flags)
            assert re2.search(what.must_hold, fold(text))
        agrees(recognizer, text)

    check()


def test_windows_hold_the_findings_of_hostile_texts(hostile):
    draw = Random(30)
    count = 0
    for _ in range(120):
        text = hostile(draw)
        for _ in range(draw.randint(0, 2)):
            place = draw.randrange(len(text))
            text = text[:place] + draw.choice(ODD) + text[place + draw.randint(0, 1) :]
        count += sum(agrees(recognizer, text) for recognizer in RECOGNIZERS)
    assert count > 300


CLAIMS = """
claim number: 1234567|medical  claim # CLM-123456|Claim:\n123456|claim no. 12345|xclaim 123456|claim\u2003id 1234567890
rx: RX-123456|prescription no.: 1234567|prior\nauthorization # PA-123456|pre-auth 1234567|referral id REF-1234567
billing provider tax id: 12-3456789|provider ein 99-1234567|rx number:rx 123456 rx 654321|claim : claim : 123456
""".strip().replace("\n", "|")


def test_what_a_finding_looks_back_at_is_in_its_window():
    draw = Random(31)
    names = ("UsClaim", "UsPrescription", "UsPriorAuthorization", "UsProviderTaxId", "UsReferral")
    recognizers = [r for r in RECOGNIZERS if type(r).__name__.startswith(names)]
    count = 0
    for _ in range(150):
        text = "".join(draw.choice(CLAIMS.split("|")) + draw.choice(["", " ", ", ", "\n", "ß"]) for _ in range(4))
        count += sum(agrees(recognizer, text) for recognizer in recognizers)
    assert len(recognizers) == 5
    assert count > 200


@pytest.mark.parametrize(
    "name",
    ["pii/dolma-documents-000.jsonl.gz", "pii/presidio-generated-large-part1.jsonl.gz", "text-en/peps-part1.jsonl.zst"],
)
def test_windows_hold_the_findings_of_documents(shared_data, name):
    with (shared_data / name).open("rb") as file:
        unpacked = (
            gzip.GzipFile(fileobj=file) if name.endswith("gz") else zstandard.ZstdDecompressor().stream_reader(file)
        )
        texts = [json.loads(line)["text"] for line in io.TextIOWrapper(unpacked, "utf-8")]
    draw = Random(name)
    count = 0
    for text in draw.sample(texts, min(40, len(texts))):
        start = draw.randrange(max(1, len(text) - 2_000))
        count += sum(agrees(recognizer, text[start : start + 2_000]) for recognizer in RECOGNIZERS)
    assert count > 10


# -- patterns made to break it ---------------------------------------------------------------------------------------

MADE = {
    "look-behind of several characters": r"(?<!ab)c+",
    "look-behind across another run": r"(?<=a b)c",
    "what would match if it were cut short": r"(?<!b )a+",
    "look-ahead across another run": r"a(?= b)",
    "look-ahead at anything": r"a(?!.b)",
    "look-ahead without bound": r"a(?=[^c]*c)",
    "look-ahead within the run": r"(?=[ab]*b)a[ab]+\b",
    "alternatives of several widths": r"a+(?![\w:]|-\d| b)",
    "look within a look": r"a(?! (?<=a )b)",
    "an anchor within a look": r"(?<=^ )a+|b(?= $)",
    "starts of lines": r"^[ab]+",
    "ends of lines": r"[ab]+$",
    "no boundary": r"\B[ab]+\B",
    "boundary beside what is no word": r"\b-+\b|-\b-",
    "boundary that RE2 does not see": r"\b\d\d?\b",
    "boundary beside something optional": r"\b-?1?2\b",
    "one match follows on another": r"ab|ba|a1",
    "the first match takes what the next would begin with": r"a[ab]{2}b?",
    "back-reference": r"(a|b| )1\1",
    "back-reference in another case": r"([a-z])\1k",
    "back-reference to what may be missing": r"(a)?(b)\2",
    "lazy": r"a.{0,3}?b",
    "possessive": r"a*+b|1++2?",
    "atomic": r"(?>a|ab)c",
    "counted": r"(?:a{1,2}b?){2,3}1",
    "newline as separator": r"[ab]\s[ab]\s\d",
    "a class that is no ASCII class": r"[^\s\d]1|\W2|\D\D1",
    "all but some digits or letters": r"[^0-9]b|[^i]k",
    "letters beyond ASCII": r"[Äé]b|ßa|[^\x00-\x7f]1",
    "three letters with cases beyond ASCII": r"is|sk|[h-j]k",
    "boundary in the middle": r"[ab]+\b.\b[12]+",
    "wide": r"a.b",
    "empty": r"a*",
    "empty alternatives": r"(?:a|)1(?:|b)",
}
TEXTS = st.text(alphabet="ab12 c\n-:.AKskiIé" + ODD, max_size=30)


@pytest.mark.parametrize("flags", [FLAGS, regex.IGNORECASE, regex.MULTILINE, 0], ids=["ims", "i", "m", "none"])
@pytest.mark.parametrize("pattern", MADE.values(), ids=MADE)
def test_windows_hold_what_a_pattern_finds(pattern, flags):
    compiled = regex.compile(pattern, flags)
    what = implied(pattern, flags)

    def spans(text, places):
        matches = [(at, m) for at, end in places for m in compiled.finditer(text[at:end])]
        return [(at + m.start(), at + m.end()) for at, m in matches if m.group()]

    @given(TEXTS, TEXTS, st.sampled_from([0, 150]))
    @settings(max_examples=40, deadline=None, database=None)
    def check(first, second, apart):
        text = first + "=" * apart + second
        want = spans(text, [(0, len(text))])
        assert spans(text, windows(text, what)) == want
        if want and what.must_hold:
            assert re2.search(what.must_hold, fold(text))

    check()


def test_what_shows_beside_a_window_is_not_found():
    """The first 1 is part of a word, and would be none if the window of the second cut it off."""
    pattern, text = r"\b1\b(?!.b)", "a1-1"
    what = implied(pattern, 0)
    assert what.around == 2
    assert windows(text, what) == [(0, 4)]
    assert windows("a1--1", what) == [(2, 5)]


def test_a_back_reference_may_match_a_case_that_its_group_does_not():
    pattern, text = "([h-j])\\1", "I\u0131"
    assert regex.fullmatch(pattern, text, FLAGS)
    assert not regex.match("[h-j]", text[1], FLAGS)
    assert windows(text, implied(pattern, FLAGS)) == [(0, 2)]


@pytest.mark.parametrize(
    "pattern",
    [
        r"(?:cat){e<=1}",
        r"[[:alpha:]]+",
        r"[a[:^digit:]]",
        r"\p{L}+",
        r"(?i:a)b",
        r"(a)?(?(1)b|c)",
        r"(?<a>b)\g<a>",
        r"a(?R)?b",
        r"(?r)ab",
        r"[a--b]",
        r"a{1001}",
        r"(a",
        r"a{1000}" * 30,
        r"(?x) a b",
        "(" * 2_000 + ")" * 2_000,
    ],
    ids=lambda pattern: pattern[:14],
)
def test_what_is_not_known_implies_nothing(pattern):
    assert implied(pattern, FLAGS) == NOTHING
    assert windows("abc", NOTHING) == [(0, 3)]


def test_unknown_flags_imply_nothing():
    for flag in (regex.REVERSE, regex.ASCII, regex.FULLCASE, regex.VERBOSE, regex.WORD, regex.VERSION1):
        assert implied("a", FLAGS | flag) == NOTHING


def test_what_is_implied_is_strong():
    assert implied(r"\b\d{9,12}\b", FLAGS) == (r"\b[0-9]{9,12}\b", "0-9", 1)
    assert implied(r"(?<!\d)\d{3}-\d{2,4}(?!\d)", FLAGS) == (
        r"[0-9][0-9]{2}[\x2d][0-9][0-9]",
        r"\x2d0-9",
        1,
    )
    assert implied(r"(?<=\bid )x\d+", FLAGS).must_hold == r"\b[Ii][Dd][\x20][Xx][0-9]"
    assert implied(r"(?=[a-z0-9]*\d)[a-z0-9]{5,}", FLAGS).must_hold == "[0-9]"


def test_several_patterns_together():
    parts = [Implied("a", "a", 1), Implied("b", "b", 0), Implied("a", "a", 2)]
    assert together(parts) == Implied("a|b", "ab", 2)
    assert together([*parts, NOTHING]) == NOTHING
    assert together([*parts, Implied("c", "", None)]) == Implied("a|b|c", "", None)


# -- characters ------------------------------------------------------------------------------------------------------

BEYOND = "".join(map(chr, [*range(0x80, 0xD800), *range(0xE000, 0x110000)]))


def test_cases_beyond_ascii_are_these_four():
    """What `regex` takes for an ASCII character when case does not count: in literals, ranges and back-references."""
    for pattern in ("[\x00-\x7f]", "[a-z]|[A-Z]", "|".join(regex.escape(chr(c)) for c in range(128))):
        assert set(regex.findall(pattern, BEYOND, FLAGS)) == set("\u0130\u0131\u017f\u212a")


def test_blocks_beyond_ascii_hold_all_of_their_characters():
    for pattern in (r"\d", r"\s", r"\w", "[i-k]", "s"):
        must_hold = re2.compile(implied(pattern, FLAGS).must_hold)
        missed = [c for c in regex.findall(pattern, BEYOND, FLAGS) if not must_hold.search(fold(c))]
        assert missed == []


def test_folding_makes_plain_and_keeps_places():
    folded = fold(BEYOND)
    assert len(folded) == len(BEYOND)
    changed = {a for a, b in zip(BEYOND, folded, strict=True) if a != b}
    assert changed == set(regex.findall(r"\d", BEYOND)) | set("\u0130\u0131\u017f\u212a")
    assert fold(folded) is folded
    assert all(regex.match(r"\w", character) for character in changed)


def test_a_search_from_within_a_text_sees_the_character_before():
    assert re2.compile(r"\b1").search(b"a11", 1) is None


# -- time ------------------------------------------------------------------------------------------------------------

LONG = {
    "digits": "1" * 200_000,
    "letters": "a" * 200_000,
    "words": "a1 " * 66_000,
    "numbers": "123456789 " * 20_000,
    "numbers apart": ("123456789" + "\n" * 150) * 1_300,
    "almost": "12345678-" * 22_000,
    "colons": "a::" * 66_000,
    "odd": "\u0661ı" * 100_000,
    "claims": "claim " * 33_000,
    "random": "".join(Random(4).choices("0123456789abcdefghijklmnopqrstuvwxyzABCXYZ -./:\n", k=200_000)),
}


@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
def test_no_text_takes_quadratic_time(text):
    slowest = 0.0
    for what in IMPLIED.values():
        start = time.process_time()
        windows(text, what)
        slowest = max(slowest, time.process_time() - start)
    assert slowest < 1
