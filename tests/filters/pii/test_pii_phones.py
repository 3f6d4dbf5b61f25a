"""One reading for all regions finds what Presidio's phone recogniser finds with one reading a region."""

from __future__ import annotations

from random import Random

import phonenumbers
import pytest
from gristmill.filters.pii.phones import Phones, _valid
from gristmill.filters.pii.regions import Region
from presidio_analyzer.predefined_recognizers import PhoneRecognizer


@pytest.fixture(scope="module")
def recognizer():
    return PhoneRecognizer()


def found(recognizer, text):
    return {(r.start, r.end) for r in recognizer.analyze(text, ["PHONE_NUMBER"])}


def largest(spans):
    """Without those that lie within another, which Presidio leaves out."""
    return {s for s in spans if not any(o != s and o[0] <= s[0] and s[1] <= o[1] for o in spans)}


@pytest.mark.parametrize("region", PhoneRecognizer.DEFAULT_SUPPORTED_REGIONS)
def test_no_valid_number_is_refused(region):
    draw = Random(region)
    example = str(phonenumbers.example_number(region).national_number)
    strings = [f"{i:0{n}d}" for n in (2, 3, 4) for i in range(0, 10**n, 1 if n < 4 else 7)]
    strings += ["".join(draw.choices("0123456789", k=draw.randint(5, 16))) for _ in range(700)]
    code = Region(region).country_code
    for prefix in ("", "0", "00", "1", "011", code, "0" + code, "00" + code, "011" + code, "90", "015", "01521"):
        strings += [prefix + example[:-2] + f"{draw.randrange(100):02d}" for _ in range(25)]
    judge = Region(region)
    accepted = [s for s in strings if _valid(s, region)]
    assert accepted
    assert all(judge.possible(s) for s in accepted)


def test_spans_are_presidios(recognizer, hostile):
    phones, draw = Phones(recognizer), Random(5)
    assert phones.exact
    for _ in range(700):
        text = hostile(draw)
        assert largest(phones.spans(text)) == found(recognizer, text), text


def test_every_region_goes_its_own_way(recognizer):
    phones = Phones(recognizer)
    for text in (
        "030 123456 0 020 7946 0958",
        "12 030 1234 5678 212-555-2368",
        "016int 42, 020 7946 0958",
        "+49 30 123456/7",
    ):
        assert largest(phones.spans(text)) == found(recognizer, text)


def test_metadata_that_rewrite_digits_are_left_to_presidio():
    recognizer = PhoneRecognizer(supported_regions=("US", "AR"))
    phones = Phones(recognizer)
    assert not phones.exact
    text = "call 011 15-2345-6789 or 212-555-2368"
    assert largest(phones.spans(text)) == found(recognizer, text)


def test_reads_on_behind_a_long_table(recognizer):
    """phonenumbers gives up after 65,535 candidates that are no numbers."""
    table = "1000\n" * 66_000 + "call 212-555-2368"
    assert Phones(recognizer).spans(table) == {(len(table) - 12, len(table))}
