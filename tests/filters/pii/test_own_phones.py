"""Phone numbers by form and by word: libphonenumber's and Faker's as the oracle, and what looks like them."""

from __future__ import annotations

import re
import sys
import time
from itertools import pairwise
from pathlib import Path
from random import Random

import phonenumbers
import pytest
import re2
from gristmill.filters.pii.finding import Finding
from gristmill.filters.pii.labelled import read_labelled
from gristmill.filters.pii.own.phones import LEAST, PhoneRecognizer, no_phone
from gristmill.filters.pii.phones import Phones
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat
from presidio_analyzer.predefined_recognizers import PhoneRecognizer as Presidios

sys.path.insert(0, str(Path(__file__).parent))  # so that the makers beside this file can be imported by name

import made_phones

OWN = PhoneRecognizer()


def found(text: str, *context: str) -> list[str]:
    return [text[f.start : f.end] for f in OWN.find(text, context)]


# -- single texts ----------------------------------------------------------------------------------------------------

BY_FORM = """
905-674-3793|(212) 555-0123|212.555.0123|1-800-555-0199|001-555-123-4567x890|(235) 337-4068 x124|555-123-4567 ext. 12
0494 92 82 32|01.84.17.61.18|024 971 50 30|0699 868 88 55|0961-7596216|020 7946 0958|030 1234567-0|08-170 669 07
(030) 1234567|(0506) 027 163|(64) 3591-3246|(11) 98765-4321|089/1234567|06 12 34 56 78|91 41 77 76|91 234 56 78
8 (912) 345-67-89|+7 (926) 081-55-07|+44 20 7946 0958|+49 (0)30 1234567|(+30) 2439 150008|0049 30 123456|02-0080-6360
0800 - 123 - 4567|+1 (423) 547-8606 x7|06-1/234 5678|0755-86153989|０３-１２３４-５６７８|०९८७६-५४३२१०
"""
NOT_BY_FORM = """
1640|3369 24|0896 69|450 0840|9472 7916|123 456 789|2025550123|0612345678|1700000000|20240131120000|4006381333931
2024-01-31|31.01.2024 08:30|01/02/2003|02 10 1991|1998-2003|1939 – 1945|211-227|12(3), 211-227|08.30-17.00|0900-1700
10.1002/12345678.2010|98.0.4758.102|192.168.0.1|192.168.122.254|47.123456, -122.654321|0.123456|3.141592653
978-3-16-148410-0|0-19-852663-6|4111 1111 1111 1111|078-05-1120|94129-0244|100 000 000|1.234.567|20 20 30 30
12  13  14  15  16  17  18|1990 1991 1992 1993|AB1234 5678 90|x_212-555-0123|02018-05-06
212-555-0123.html|550e8400-e29b-41d4-a716-446655440000|#212-555-0123|http://acme.org/212-555-0123|+12|+100000000|1+555-123-4567
"""


def listed(lines: str) -> list[str]:
    return lines.strip().replace("\n", "|").split("|")


@pytest.mark.parametrize("number", listed(BY_FORM))
@pytest.mark.parametrize("around", ["{}", "It is {}.", "a\n{}\nb", "at ({}),", 'so "{}";', "是{}吗"])
def test_by_form(number, around):
    assert found(around.format(number)) == [number]


@pytest.mark.parametrize("text", listed(NOT_BY_FORM))
def test_no_number_by_form(text):
    assert found(text) == found(f"Of these {text} are left.") == []


WORDS = """
Phone: |Tel. |tel:|Call me at |my number is |Mobile (home): |Fax no. |Ph: |WhatsApp |phone number is |Tel (work) ||
reach us on |Telefon: |Handy |Rufnummer |Tél. : |appelez le |Móvil: |teléfono |cellulare |Telefone: |telefoon |Tlf. ||
Телефон: |тел. |τηλ. |puhelin |هاتف: |電話: |電話番号：|联系电话：|전화: |โทร |फोन: |手机
"""


@pytest.mark.parametrize("word", WORDS.strip().replace("||\n", "|").split("|"))
@pytest.mark.parametrize("number", ["12345678", "450 0840", "9472 7916", "123456", "612 345 678", "212.555.0123"])
def test_behind_a_word(word, number):
    assert found(f"Please: {word}{number}, thanks") == [number]


@pytest.mark.parametrize(
    "text",
    [
        *("ISBN 0612345678", "EAN 4006381333931", "order 12345678", "order no. 123-456-789", "Telegraph 12345678"),
        *("number 12345678", "to call 100 000 people", "tell 12345678", "iphone-12345678", "Phone 2024-01-31"),
        *("Tel 192.168.10.20", "call 911", "phone: 12345", "call of the wild 12345678", "microphone 1234567"),
    ],
)
def test_what_a_word_does_not_explain(text):
    assert found(text) == []


def test_labels_of_a_letter_stand_first_and_before_a_colon():
    assert found("Jane Doe\nT: 12345678 | M: 23456789") == ["12345678", "23456789"]
    assert found("t 12345678") == found("at 914 m: 12345678") == []


def test_numbers_that_follow_one_another():
    assert found("Tel. 450 0840, 450 0841 or 4500842; 450 0843") == ["450 0840", "450 0841", "4500842", "450 0843"]
    assert found("电话：021-56692669 13917985004  021-36070335") == ["021-56692669", "13917985004", "021-36070335"]
    assert found("Tel. 030 1234567 12345 Berlin") == ["030 1234567"]
    assert found("450 0840, 450 0841") == []


def test_a_word_outweighs_a_length_that_the_country_has_not():
    assert found("Fax: +54 9 3949 8885") == ["+54 9 3949 8885"]
    assert found("or +54 9 3949 8885") == []


def test_near_an_address_groups_are_enough():
    assert found("Jane Doe\njane@acme.org\n612 345 678") == ["612 345 678"]
    assert found("jane@acme.org\n612345678") == []


def test_context_speaks_for_every_number():
    assert found("12345678") == []
    assert found("12345678", "contact", "Phone") == found("12345678", "phone_number") == ["12345678"]
    assert found("12345678", "order_id") == []


def test_scores():
    scores = {text: [f.score for f in OWN.find(text)] for text in ("+44 20 7946 0958", "020 7946 0958", "tel 450 0840")}
    assert scores == {"+44 20 7946 0958": [0.6], "020 7946 0958": [0.4], "tel 450 0840": [0.6]}


# -- libphonenumber --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [PhoneNumberFormat.E164, PhoneNumberFormat.INTERNATIONAL])
def test_every_country_is_known(form):
    """Of seven digits and more, the country code among them; islands have shorter ones."""
    draw = Random(1)
    for region in made_phones.REGIONS:
        number = phonenumbers.format_number(made_phones.drawn_number(draw, region), form)
        if sum(map(str.isdigit, number)) > LEAST:
            assert found(f"or {number}.") == [number]


# -- Presidio's findings ---------------------------------------------------------------------------------------------

NONE = """
doi:10.1002/[12345678].2010|version [0896.69]|[3369 24] Linz|[0612345678]|at [1700000000]|isbn=[0-8173-0371-5]
47.[123456]|ISBN [0612345678]|order [020 7946 0958]|#[212-555-0123]|[192.168.1.129]|[2024-01-31]|pages [382–383]
$[212-555-0123]
x[212-555-0123]|[1640]|[020 7946 0958]km|https://acme.org/[0612345678]|[34 2022]|[65280-65534]
"""
SOME = """
[+44 20 7946 0958]|[020 7946 0958]|[(030) 1234567]|tel:[0612345678]|Phone [0612345678]
my number is [0612345678]|电话[0612345678]|[0612345678] (mobile)|[905-674-3793]|[01.84.17.61.18]|fax [450 0840]
Doe,[212-555-0123]|17,[555-123-4567],3|me@acme.org [9472 7916]
"""


def marked(lines: str) -> list[tuple[str, int, int]]:
    texts = []
    for text in listed(lines):
        before, value, after = re.fullmatch(r"(.*)\[(.*)\](.*)", text).groups()
        texts.append((before + value + after, len(before), len(before) + len(value)))
    return texts


@pytest.mark.parametrize("finding", marked(NONE))
def test_no_phone(finding):
    assert no_phone(*finding)


@pytest.mark.parametrize("finding", marked(SOME))
def test_is_a_phone(finding):
    assert not no_phone(*finding)


# -- invariants ------------------------------------------------------------------------------------------------------

PIECES = [
    "0",
    "1",
    "30",
    "212",
    "555",
    "2024",
    "+",
    "-",
    " ",
    ".",
    "/",
    "(",
    ")",
    "x",
    "\n",
    ", ",
    "tel ",
    "ISBN ",
    "電話",
    "a",
]
texts = st.lists(st.sampled_from([*PIECES, "٣", "０", "\xa0", "–", "@a.b ", ":", " or "]), max_size=30).map("".join)
PROSE = "Nothing was said of it in the house that day, nor in the garden, for a long while after.\n"


@given(texts)
def test_what_holds_of_every_finding(text):
    findings = list(OWN.find(text))
    assert findings == list(OWN.find(text))
    assert not findings or re2.search(OWN.must_hold, text)
    for finding in findings:
        value = text[finding.start : finding.end]
        assert sum(map(str.isdigit, value)) >= LEAST
        assert "\n" not in value
        assert value == value.strip()
        assert finding.kind == OWN.kind
        assert finding.by == "gristmill"
        assert finding.score >= 0.4
    assert all(one.end <= other.start for one, other in pairwise(findings))


@given(texts)
def test_what_is_far_away_does_not_count(text):
    alone = OWN.find(f"\n{text}\n")
    assert [moved(f, -1) for f in alone] == [moved(f, -len(PROSE)) for f in OWN.find(f"{PROSE}{text}\n{PROSE}")]


def moved(finding: Finding, by: int) -> Finding:
    return finding._replace(start=finding.start + by, end=finding.end + by)


def test_must_hold_is_implied(hostile):
    draw, must_hold, hits = Random(3), re2.compile(OWN.must_hold), 0
    for _ in range(1_500):
        text = hostile(draw)
        if any(OWN.find(text)):
            hits += 1
            assert must_hold.search(text)
    assert hits > 300


HOSTILE = [
    "1",
    "12 ",
    "1-",
    "(1)",
    "+1",
    "0",
    "0049 ",
    "tel 030 1234567 ",
    "030 1234567 ",
    "12 - ",
    "1    ",
    "a@",
    "a@b.c 450 0840 ",
    "tel ",
]


@pytest.mark.parametrize("piece", HOSTILE)
def test_long_runs_are_read_once(piece):
    text = "tel " + piece * (200_000 // len(piece))
    begin = time.process_time()
    for finding in OWN.find(text):
        assert finding.end - finding.start < 60
    assert time.process_time() - begin < 2


# -- how much is found, and how much of it is one --------------------------------------------------------------------


@pytest.fixture(scope="module")
def search():
    """Presidio's findings without those that are none, and ours."""
    presidios = Phones(Presidios())

    def spans(text: str) -> set[tuple[int, int]]:
        kept = {span for span in presidios.spans(text) if not no_phone(text, *span)} | {
            (f.start, f.end) for f in OWN.find(text)
        }
        return {s for s in kept if not any(o != s and o[0] <= s[0] and s[1] <= o[1] for o in kept)}

    return spans


def counts(texts, search) -> tuple[int, int, int, int]:
    """Marked spans, those found, findings, those that are right."""
    spans = touched = findings = right = 0
    for text, marked in texts:
        there = search(text)
        touching = [(m, f) for m in marked for f in there if f[0] < m[1] and m[0] < f[1]]
        spans, touched = spans + len(marked), touched + len({m for m, _ in touching})
        findings, right = findings + len(there), right + len({f for _, f in touching})
    return spans, touched, findings, right


def test_floors_on_made_numbers(carriers, search):
    """What is not found are bare digits and few groups without a word, which no form tells from other numbers."""
    made = list(made_phones.made_phones(2_000, carriers, seed=40))
    spans, touched, findings, right = counts([(m.text, [(m.start, m.end)]) for m in made], search)
    assert spans == 2_000
    assert touched / spans >= 0.85
    assert right / findings >= 0.97


def test_floors_on_labelled_texts(shared_data, search):
    """Texts full of addresses, where Presidio alone takes as many house numbers and postcodes as phones."""
    files = [shared_data / f"pii/presidio-{name}-part1.jsonl.gz" for name in ("generated-large", "synth-v2")]
    texts = [(t.text, [(s.start, s.end) for s in t.spans if s.kind == "PHONE_NUMBER"]) for t in read_labelled(files)]
    spans, touched, findings, right = counts(texts, search)
    assert spans == 10
    assert touched >= 9
    assert findings - right <= 1


def test_made_numbers_are_what_they_say(carriers):
    made = list(made_phones.made_phones(300, carriers))
    assert made == list(made_phones.made_phones(300, carriers))
    assert {m.negative for m in made} == made_phones.ALL_NEGATIVES.keys()
    for m in made:
        value, (source, form, _) = m.text[m.start : m.end], m.form.rsplit(" ", 2)
        assert sum(map(str.isdigit, value)) >= 4
        if form in ("international", "E164"):
            assert phonenumbers.is_valid_number(phonenumbers.parse(value))
        elif form == "national":
            assert phonenumbers.is_valid_number(phonenumbers.parse(value, source))
