"""IBANs of every country: the registry's own examples, in each way of writing, and with any digit wrong."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
import re2
from gristmill.filters.pii.finding import Finding
from gristmill.filters.pii.own.ibans import IbanRecognizer
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))  # so that made_pii.py beside this file can be imported by name

import made_pii

# The example of each country in SWIFT's IBAN Registry
_REGISTRY = """
AD1200012030200359100100 AE070331234567890123456 AL47212110090000000235698741 AT611904300234573201
AZ21NABZ00000000137010001944 BA391290079401028494 BE68539007547034 BG80BNBG96611020345678 BH67BMAG00001299123456
BI4210000100010000332045181 BR1800360305000010009795493C1 BY13NBRB3600900000002Z00AB00 CH9300762011623852957
CR05015202001026284066 CY17002001280000001200527600 CZ6508000000192000145399 DE89370400440532013000
DJ2100010000000154000100186 DK5000400440116243 DO28BAGR00000001212453611324 EE382200221020145685
EG380019000500000000263180002 ES9121000418450200051332 FI2112345600000785 FK88SC123456789012 FO6264600001631634
FR1420041010050500013M02606 GB29NWBK60161331926819 GE29NB0000000101904917 GI75NWBK000000007099453 GL8964710001000206
GR1601101250000000012300695 GT82TRAJ01020000001210029690 HN88CABF00000000000250005469 HR1210010051863000160
HU42117730161111101800000000 IE29AIBK93115212345678 IL620108000000099999999 IQ98NBIQ850123456789012
IS140159260076545510730339 IT60X0542811101000000123456 JO94CBJO0010000000000131000302 KW81CBKU0000000000001234560101
KZ86125KZT5004100100 LB62099900000001001901229114 LC55HEMM000100010012001200023015 LI21088100002324013AA
LT121000011101001000 LU280019400644750000 LV80BANK0000435195001 LY83002048000020100120361 MC5811222000010123456789030
MD24AG000225100013104168 ME25505000012345678951 MK07250120000058984 MN121234123456789123 MR1300020001010000123456753
MT84MALT011000012345MTLCAST001S MU17BOMM0101101030300200000MUR NI45BAPR00000013000003558124 NL91ABNA0417164300
NO9386011117947 OM810180000001299123456 PK36SCBL0000001123456702 PL61109010140000071219812874
PS92PALS000000000400123456702 PT50000201231234567890154 QA58DOHB00001234567890ABCDEFG RO49AAAA1B31007593840000
RS35260005601001611379 RU0304452522540817810538091310419 SA0380000000608010167519 SC18SSCB11010000000000001497USD
SD8811123456789012 SE4550000000058398257466 SI56263300012039086 SK3112000000198742637541 SM86U0322509800000000270100
SO211000001001000100141 ST23000100010051845310146 SV62CENR00000000000000700025 TL380080012345678910157
TN5910006035183598478831 TR330006100519786457841326 UA213223130000026007233566001 VA59001123000012345678
VG96VPVG0000012345678901 XK051212012345678906 YE15CBYE0001018861234567891234
"""
EXAMPLES = _REGISTRY.split()

recognizer = IbanRecognizer()


def found(text: str, *context: str) -> list[str]:
    findings = list(recognizer.find(text, context))
    assert all(f == Finding(f.start, f.end, "IBAN_CODE", 1.0, "gristmill") for f in findings)
    assert not findings or re2.search(recognizer.must_hold, text)
    return [text[f.start : f.end] for f in findings]


def test_every_country_has_an_example():
    assert {example[:2] for example in EXAMPLES} == made_pii.COUNTRIES.keys()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example[:2])
def test_every_country_in_every_form(example):
    for value in (example, *(made_pii.in_fours(example, gap) for gap in " -\u00a0\u202f\u2011")):
        for text in (value, f"IBAN: {value}.", f"({value})", f"an {value} 2 days", f"{value}\n{value}"):
            assert set(found(text)) == {value}, text
    assert found(f"iban {example.lower()}, ") == [example.lower()]
    assert found(f"IBAN{example}") == [example]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example[:2])
def test_nothing_is_found_in_a_wrong_one(example):
    for place in range(2, len(example)):
        if example[place].isdecimal():
            wrong = f"{example[:place]}{(int(example[place]) + 1) % 10}{example[place + 1 :]}"
            assert not found(f"to {wrong}, {made_pii.in_fours(wrong)}")
    assert not found(f"x{example}")
    assert not found(f"{example}0")
    assert not found(example[:-1])
    assert not found(example.lower())


@pytest.mark.parametrize(
    "text",
    [
        "DE89 37040044 0532 0130 00",
        "DE89-3704 0044 0532 0130 00",
        "DE89  3704  0044  0532  0130  00",
        "ZZ89370400440532013000",
        "iban de89 3704 0044 0532 0130 00",
        "caliban de89370400440532013000",
        "iban of the other bank: de89370400440532013000",
        "éDE89370400440532013000",
        "DE89370400440532013000é",
        "DE89 3704 0044 0532 0130 00a",
    ],
)
def test_what_is_none(text):
    assert not found(text)


@pytest.mark.parametrize(
    "text", ["iban: de89370400440532013000", 'IBAN="De89370400440532013000"', "iban no. de89370400440532013000;"]
)
def test_small_letters_behind_the_word(text):
    assert [value.lower() for value in found(text)] == ["de89370400440532013000"]


def test_a_key_of_metadata_counts_as_the_word():
    assert found(" de89370400440532013000 ", "iban") == ["de89370400440532013000"]
    assert not found("de89370400440532013000", "phone")
    assert not found("from de89370400440532013000", "iban")


@given(
    st.lists(
        st.sampled_from([*EXAMPLES, *map(made_pii.in_fours, EXAMPLES)])
        | st.text("ADEGBX0189 -\u00a0\niban:", max_size=12),
        max_size=8,
    ).map("".join)
)
def test_every_finding_passes_the_check(text):
    for value in found(text):
        number = "".join(filter(str.isalnum, value)).upper()
        assert int("".join(str(int(sign, 36)) for sign in number[4:] + number[:4])) % 97 == 1
        assert len(number) == len(next(example for example in EXAMPLES if example[:2] == number[:2]))


@pytest.mark.parametrize("piece", ["DE", "DE89 ", "DE89", "A1", "GB82WEST", "iban ", "IBAN:", "iban:de89", "-", "M"])
def test_time_is_linear(piece):
    text = piece * (200_000 // len(piece))
    before = time.process_time()
    found(text)
    assert time.process_time() - before < 1
