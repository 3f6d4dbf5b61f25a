"""Payment cards: issuers' ranges and lengths, forms, borders, and what only passes the same check."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
import re2
from gristmill.filters.pii.finding import Finding
from gristmill.filters.pii.own.cards import CardRecognizer, no_card
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))  # so that made_pii.py beside this file can be imported by name

import made_pii

# Numbers for tests, published by processors of payments
_PUBLISHED = """
4111111111111111 4012888888881881 4000056655665556 4917610000000000003 5555555555554444 5200828282828210
2223003122003222 5105105105105100 378282246310005 371449635398431 6011111111111117 6011000990139424 3530111333300000
3056930009020004 30569309025904 38520000023237 36227206271667 6200000000000005 6205500000000000004 6759649826438453
6799990100000000019 2200000000000004 5019717010103742
"""
PUBLISHED = _PUBLISHED.split()
recognizer = CardRecognizer()


def found(text: str, *context: str) -> list[str]:
    findings = list(recognizer.find(text, context))
    assert all(f == Finding(f.start, f.end, "CREDIT_CARD", 1.0, "gristmill") for f in findings)
    assert not findings or re2.search(recognizer.must_hold, text)
    return [text[f.start : f.end] for f in findings]


def is_gtin(digits: str) -> bool:
    """GS1 General Specifications 7.9: the digits weigh 1 and 3 by turns, from the right."""
    return sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(reversed(digits))) % 10 == 0


def number(first: str, size: int, gtin: bool = False) -> str:
    """A number that passes Luhn's check, and that of a GTIN or not."""
    draw = Random(f"{first} {size}")
    while True:
        body = first + "".join(draw.choices("0123456789", k=size - 1 - len(first)))
        digits = body + made_pii.luhn_digit(body)
        if is_gtin(digits) == gtin:
            return digits


def grouped(digits: str, sizes: tuple[int, ...], gap: str) -> str:
    parts, at = [], 0
    for size in sizes:
        parts.append(digits[at : at + size])
        at += size
    assert at >= len(digits)
    return gap.join(part for part in parts if part)


# -- ranges ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("digits", PUBLISHED)
def test_published_numbers(digits):
    assert made_pii.luhn_digit(digits[:-1]) == digits[-1]
    assert found(f"Card: {digits}") == [digits]
    assert not found(f"Card: {digits[:-1]}{(int(digits[-1]) + 1) % 10}")


# Issuer's first digits -> lengths that need no word, and lengths that do
RANGES = {
    "4": ({13, 16, 19}, set()),
    "51": ({16}, set()),
    "55": ({16}, set()),
    "2221": ({16}, set()),
    "2720": ({16}, set()),
    "2220": (set(), set()),
    "2721": (set(), set()),
    "34": ({15}, set()),
    "37": ({15}, set()),
    "36": ({14, 16}, {17, 18, 19}),
    "305": ({14, 16}, {17, 18, 19}),
    "306": (set(), set()),
    "3528": ({16}, {17, 18, 19}),
    "2131": ({15}, set()),
    "1800": ({15}, set()),
    "1801": (set(), {15}),
    "62": ({16, 17, 18, 19}, set()),
    "81": ({16, 17, 18, 19}, set()),
    "82": ({16}, set()),
    "83": (set(), set()),
    "2200": ({16, 17, 18, 19}, set()),
    "2204": ({16, 17, 18, 19}, set()),
    "6011": ({16, 19}, {12, 13, 14, 15, 17, 18}),
    "5018": ({12, 13, 14, 15, 16, 17, 18, 19}, set()),
    "6761": ({12, 13, 14, 15, 16, 17, 18, 19}, set()),
    "57": ({16}, {12, 13, 14, 15, 17, 18, 19}),
    "0604": (set(), {12, 13, 14, 15, 16, 17, 18, 19}),
    "0605": (set(), set()),
    "978": (set(), set()),
}


@pytest.mark.parametrize("first", RANGES)
def test_lengths_of_a_range(first):
    bare, with_a_word = RANGES[first]
    for size in range(12, 20):
        digits = number(first, size)
        assert found(f"it was {digits} then") == [digits] * (size in bare), size
        assert found(f"my card {digits} then") == [digits] * (size in bare | with_a_word), size
    assert not found(f"my card {number(first, 20)} {number(first, 11)}")


def test_a_gtin_needs_a_word():
    for first, size in (("4", 13), ("5018", 12)):
        digits = number(first, size, gtin=True)
        assert not found(f"sold as {digits}")
        assert no_card(digits, 0, size)
        assert found(f"Visa {digits}") == [digits]
        assert not no_card(f"Visa {digits}", 5, 5 + size)


# -- forms -----------------------------------------------------------------------------------------------------------

FORMS = [
    ("4", 16, (4, 4, 4, 4)),
    ("4", 19, (4, 4, 4, 4, 3)),
    ("4", 13, (4, 3, 3, 3)),
    ("4", 13, (4, 4, 4, 1)),
    ("34", 15, (4, 6, 5)),
    ("36", 14, (4, 6, 4)),
    ("62", 17, (4, 4, 4, 4, 1)),
    ("62", 19, (6, 13)),
    ("5018", 12, (4, 4, 4)),
    ("57", 13, (4, 4, 4, 1)),
    ("57", 18, (4, 4, 4, 4, 2)),
]


@pytest.mark.parametrize("gap", list(" -.\u00a0\u2007\u2009\u202f\u2010\u2011"))
@pytest.mark.parametrize(("first", "size", "sizes"), FORMS)
def test_forms(first, size, sizes, gap):
    value = grouped(number(first, size), sizes, gap)
    for text in (value, f"see {value}.", f"({value})", f'"{value}", ', f"a\n{value}\nb", f"1) {value};"):
        assert found(text) == [value], text
    other = "-" if gap == " " else " "
    assert not found(value.replace(gap, other, 1)) or value.count(gap) == 1


def test_what_stands_behind_a_card():
    value = "4111 1111 1111 1111"
    for after in (" 123", " 12/27", " 1227", " 05/2027 123", ", 123", "|12|27|123"):
        assert found(value + after) == [value]
    assert found("4111111111111111 4012888888881881") == ["4111111111111111", "4012888888881881"]
    assert found("卡号4111111111111111的") == ["4111111111111111"]


# -- what is none ----------------------------------------------------------------------------------------------------

# A part of something longer, or called something else. Every number in brackets is a right one by itself.
SOMETHING_ELSE = """
0.[4111111111111111]|[4111111111111111].5|x[4111111111111111]|[4111111111111111]x|_[4111111111111111]
ab-[4111111111111111]|[4111111111111111]-ab|+[4111111111111111]|[4111111111111111]@acme.org|12-[4111111111111111]
550e8400-e29b-41d4-a716-[501800000009]|https://acme.org/[4111111111111111]|acme.org/id/[4111111111111111]/edit
https://acme.org/?id=[4111111111111111]|[4111111111111111].jpg|IMG_[4111111111111111].jpg|ISBN [4111111111111111]
EAN [4012888888881881]|IMEI: [378282246310005]|tracking number [4111111111111111]|Order #[4111111111111111]
order no. [4111111111111111]|"timestamp": [4111111111111111]|barcode=[4111111111111111]|UPC 12 [4111111111111111]
1234 [4111 1111 1111 1111]|[4111 1111 1111 1111] 5678|[4111 1111 1111 1111] 1027 1028
IQ98 NBIQ [4111 1111 1111 1111]|DE89 3704 0044 [4111 1111 1111 1111]|serial [4111-1111-1111-1111]
"""
# The same numbers where they may be a card's
CARDS = """
[4111111111111111]|card-[4111111111111111]|cc=[4111111111111111]|https://acme.org/?card=[4111111111111111]
in order. [4111111111111111]|the tracking card [4111111111111111]|pan: [4111111111111111]|A/[4111 1111 1111 1111] visa
end. [4111111111111111]. Then|[4111111111111111]:12:27|[4111111111111111]=2712|3,[4111111111111111]|#[4111111111111111]
"""


def cases(lines: str) -> Iterator[tuple[str, int, int]]:
    """(text, start and end of the number)."""
    for case in re.split(r"[|\n]", lines.strip("\n")):
        before, value, after = re.fullmatch(r"(.*)\[(.*)\](.*)", case).groups()
        yield f"{before}{value}{after}", len(before), len(before) + len(value)


def test_something_else():
    for text, start, end in cases(SOMETHING_ELSE):
        value = text[start:end]
        assert found(f"number {value}") == [value]
        assert not found(text), text
        assert no_card(text, start, end), text


def test_cards_in_many_places():
    for text, start, end in cases(CARDS):
        assert found(text) == [text[start:end]], text
        assert not no_card(text, start, end), text


def test_no_card():
    """Findings of Presidio's that have another range or length: identifiers, prices, times in microseconds."""
    for digits in ("1700000000000003", "356938035643809", "1123456789012348", "612345678901238"):
        assert no_card(f"at {digits} it", 3, 3 + len(digits))
        assert not no_card(f"my card {digits}", 8, 8 + len(digits))
    assert not no_card("٤١١١١١١١١١١١١١١١", 0, 16)


def test_a_word_makes_more_a_card_but_no_uuid():
    threes = grouped(number("57", 12), (4, 4, 4), " ")
    assert not found(f"then {threes}")
    assert found(f"card {threes}") == [threes]
    assert not found("card 550e8400-e29b-41d4-a716-501800000009")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("Kreditkartennummer: ", True),
        ("cardNumber=", True),
        ("card_no ", True),
        ("tarjeta de crédito ", True),
        ("carte bancaire ", True),
        ("номер карты ", True),
        ("カード番号 ", True),
        ("paid with ", True),
        ("cc ", True),
        ("cardinal ", False),
        ("on cardboard ", False),
        ("discard ", False),
        ("a cartel ", False),
        ("account ", False),
    ],
)
def test_words(words, said):
    digits = number("57", 14)
    assert found(words + digits) == [digits] * said
    assert found(digits, words.strip(" :=")) == [digits] * said


# -- properties ------------------------------------------------------------------------------------------------------

pieces = st.sampled_from([*PUBLISHED, "4111 1111 1111 1111", "5018-0000-0009", "card ", "visa", "order ", "1234"])


@given(st.lists(pieces | st.text("0123456789 -.\u00a0/x\n٤", max_size=9), max_size=9).map("".join))
def test_every_finding_is_a_number_by_itself(text):
    for finding in recognizer.find(text):
        assert re2.search(recognizer.must_hold, text)
        digits = "".join(filter(str.isdigit, text[finding.start : finding.end]))
        assert 12 <= len(digits) <= 19
        assert digits[-1] == made_pii.luhn_digit(digits[:-1])
        assert not text[: finding.start][-1:].isalnum() or ord(text[finding.start - 1]) > 0x52F
        assert not text[finding.end :][:1].isalnum() or ord(text[finding.end]) > 0x52F


@pytest.mark.parametrize(
    "piece", ["1", "1 ", "1234 ", "4111 1111 1111 111 ", "41111111111111111 ", "4111.", "card ", "-"]
)
def test_time_is_linear(piece):
    text = piece * (200_000 // len(piece))
    before = time.process_time()
    found(text)
    assert time.process_time() - before < 1
