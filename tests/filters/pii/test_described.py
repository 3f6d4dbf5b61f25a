"""Kinds that a recipe describes: their patterns, words and validators, what takes their place, what is refused."""

from __future__ import annotations

import json
import re
import sys
from types import ModuleType

import pyarrow as pa
import pytest
from faker.utils.checksums import calculate_luhn
from gristmill.config import validate
from gristmill.console import RequestError, WorkError
from gristmill.document import DOCUMENT
from gristmill.filters.pii.checks import luhn, mod_97, validator, verhoeff
from gristmill.filters.pii.scrub import Scrub, search_of
from gristmill.filters.pii.settings import Pattern, ScrubSettings
from hypothesis import given
from hypothesis import strategies as st
from presidio_analyzer.predefined_recognizers import InAadhaarRecognizer

CASE = {"kind": "CASE_NUMBER", "pattern": r"\b\d{4}-[A-Z]{2}-\d{3}\b"}


def read(*patterns: dict, **options) -> ScrubSettings:
    return validate(ScrubSettings, {"patterns": list(patterns), **options}, "recipe.yaml")


def found(text: str, *patterns: dict, context=(), **options) -> list[tuple[str, str, float, str]]:
    findings = search_of(read(*patterns, **options), None).find(text, context)
    return [(text[f.start : f.end], f.kind, f.score, f.by) for f in findings]


def run(text: str, settings: ScrubSettings):
    columns = {"text": text, "key": bytes(16), "source": "in.jsonl", "record": 0}
    arrays = [pa.array([columns.get(f.name)], f.type) for f in DOCUMENT]
    return Scrub(settings)(pa.RecordBatch.from_arrays(arrays, schema=DOCUMENT))


def scrubbed(text: str, settings: ScrubSettings) -> str:
    return run(text, settings).batch["text"][0].as_py()


# -- patterns and words ----------------------------------------------------------------------------------------------


def test_what_matches_is_found():
    text = "2024-AB-123, 12024-AB-123 and 2024-ab-123"
    assert found(text, CASE) == [("2024-AB-123", "CASE_NUMBER", 0.4, "recipe")]
    assert [value for value, *_ in found(text, CASE | {"ignore_case": True})] == ["2024-AB-123", "2024-ab-123"]
    assert found(text, CASE | {"score": 0.75})[0][2] == 0.75
    assert found(text, CASE | {"score": 0.3}) == []
    assert found(text, CASE | {"score": 0.3}, min_score=0.3) != []


def test_a_word_near_before_it_raises_the_score():
    rare = CASE | {"score": 0.1, "context": ["docket", "file"]}
    assert found("docket 2024-AB-123", rare) == [("2024-AB-123", "CASE_NUMBER", pytest.approx(0.45), "recipe")]
    assert found("docket 2024-AB-123", rare | {"score": 0.01})[0][2] == 0.4
    assert found("2024-AB-123 docket", rare) == []
    assert found("docket of Monday, seventh November, one great old house: 2024-AB-123", rare) == []
    assert found("2024-AB-123", rare, context=["docket"]) != []
    assert found("2024-AB-123", rare, context=["number"]) == []


def test_a_line_ends_where_the_pattern_says_and_a_dot_is_anything():
    """The flags of Presidio's own patterns."""
    lines = {"kind": "CASE_NUMBER", "pattern": "^case: .+?;$"}
    assert [value for value, *_ in found("x\ncase: 7\n8;\ny", lines)] == ["case: 7\n8;"]


def test_an_empty_match_is_none():
    """Where a pattern matches nothing only in some place, which no look at the recipe tells."""
    assert [value for value, *_ in found("a b", {"kind": "CASE_NUMBER", "pattern": r"(?=a)|\b|b"})] == ["b"]


def test_several_patterns_of_one_kind_and_of_several():
    member = {"kind": "MEMBER", "pattern": r"\bM\d{6}\b"}
    old = {"kind": "CASE_NUMBER", "pattern": r"\bC/\d{5}\b"}
    kinds = [kind for _, kind, *_ in found("M123456, C/12345, 2024-AB-123", CASE, member, old)]
    assert kinds == ["MEMBER", "CASE_NUMBER", "CASE_NUMBER"]
    assert read(CASE, member, old).all_kinds[-2:] == ("CASE_NUMBER", "MEMBER")


def test_found_in_documents_of_every_language():
    for language in (None, "en", "de", "th", "ko", "xx"):
        (finding,) = search_of(read(CASE), language).find("2024-AB-123")
        assert finding.kind == "CASE_NUMBER"


def test_a_kind_named_like_one_of_presidios():
    """It is found by either, has one tag, and needs no word that Presidio's own would need."""
    local = {"kind": "EMAIL_ADDRESS", "pattern": r"\b[a-z]+@intranet\b"}
    text = "jane@acme.org, jane@intranet, D1234567"
    licence = {"kind": "US_DRIVER_LICENSE", "pattern": r"\bD\d{7}\b"}
    assert [(value, by) for value, _, _, by in found(text, local, licence)] == [
        ("jane@acme.org", "presidio"),
        ("jane@intranet", "recipe"),
        ("D1234567", "recipe"),
    ]
    assert scrubbed(text, read(local)) == "<EMAIL>, <EMAIL>, D1234567"
    assert read(local).all_kinds == ScrubSettings().all_kinds
    assert scrubbed(text, read(local, kinds=["US_SSN"])) == "jane@acme.org, <EMAIL>, D1234567"


# -- checks ----------------------------------------------------------------------------------------------------------

DIGITS = st.text("0123456789", min_size=2, max_size=24)


@given(DIGITS)
def test_luhn_is_fakers(digits):
    assert luhn(digits) == (calculate_luhn(int(digits[:-1])) == int(digits[-1]))


@given(DIGITS)
def test_verhoeff_is_presidios(digits):
    assert verhoeff("1" + digits) == InAadhaarRecognizer._is_verhoeff_number(int("1" + digits))


@pytest.mark.parametrize(
    ("check", "value"),
    [
        ("luhn", "7992739871 3"),
        ("luhn", "4111-1111-1111-1111"),
        ("luhn", "49015420323751 8"),
        ("verhoeff", "236 3"),
        ("verhoeff", "12345 1"),
        ("verhoeff", "142857 0"),
        ("verhoeff", "8473643095483728456789 2"),
        ("mod_97", "794 44"),
        ("mod_97", "3214282912345698765432161182"),
        ("mod_97", "WEST12345698765432GB82"),
        ("mod_97", "west 1234 5698 7654 32 gb82"),
    ],
)
def test_published_examples(check, value):
    """Of Luhn's, IMEI's and Verhoeff's check digits, of ISO 7064 and ISO 13616."""
    assert validator(check)(value)
    last = value[-1]
    assert not any(validator(check)(value[:-1] + digit) for digit in "0123456789" if digit != last)


@given(DIGITS, st.data())
def test_verhoeff_detects_every_wrong_digit_and_every_swap_of_neighbours(digits, data):
    (check,) = (c for c in "0123456789" if verhoeff(digits + c))
    number = digits + check
    place = data.draw(st.integers(0, len(number) - 1))
    wrong = data.draw(st.sampled_from([d for d in "0123456789" if d != number[place]]))
    assert not verhoeff(number[:place] + wrong + number[place + 1 :])
    swapped = [number[:i] + number[i + 1] + number[i] + number[i + 2 :] for i in range(len(number) - 1)]
    assert all(number == other or not verhoeff(other) for other in swapped)


@given(st.text("0123456789ABCXYZ", min_size=2, max_size=30))
def test_mod_97_digit_by_digit(characters):
    remainder = 0
    for digit in "".join(str("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ".index(c)) for c in characters):
        remainder = (10 * remainder + int(digit)) % 97
    assert mod_97(characters) == remainder


@pytest.mark.parametrize("name", ["luhn", "verhoeff", "mod_97"])
@pytest.mark.parametrize("value", ["", "0", "-", "no digits", "٤٥", "é"])
def test_too_little_to_be_checked(name, value):
    assert not validator(name)(value)


# -- validators ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [("luhn", "7992739871 3", "7992739871 4"), ("verhoeff", "12345 1", "12345 2"), ("mod_97", "794 44", "794 45")],
)
def test_a_validator_decides(name, right, wrong):
    pattern = {"kind": "MEMBER", "pattern": r"\b\d+ \d+\b", "score": 0.1, "validator": name}
    assert found(f"{wrong}, {right}", pattern, kinds=["US_SSN"]) == [(right, "MEMBER", 1.0, "recipe")]


@pytest.fixture
def ours(monkeypatch) -> ModuleType:
    """A module with a function that says yes, no and nothing, and one that fails."""
    module = ModuleType("checks_of_a_recipe")
    module.is_member = lambda value: {"1": True, "2": False}.get(value[-1])
    module.fails = lambda value: 1 / 0
    module.number = 7
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


def test_a_function_decides_or_leaves_it_to_the_pattern(ours):
    pattern = {"kind": "MEMBER", "pattern": r"\bM\d\b", "validator": "checks_of_a_recipe:is_member"}
    assert found("M1 M2 M3", pattern) == [("M1", "MEMBER", 1.0, "recipe"), ("M3", "MEMBER", 0.4, "recipe")]


def test_a_function_that_fails_says_where_and_quotes_nothing(ours):
    settings = read({"kind": "MEMBER", "pattern": r"\bM\d\b", "validator": "checks_of_a_recipe:fails"})
    with pytest.raises(WorkError) as caught:
        run("member M1", settings)
    assert str(caught.value) == "scrubbing text of in.jsonl, record 0 failed (ZeroDivisionError)"


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"pattern": "(a"}, "not a regular expression"),
        ({"pattern": ""}, "at least 1 character"),
        ({"pattern": "a*"}, "matches the empty text"),
        ({"pattern": "$"}, "matches the empty text"),
        ({"validator": "crc"}, "none of luhn, verhoeff, mod_97"),
        ({"validator": "absent_module:f"}, "not to be imported"),
        ({"validator": "checks_of_a_recipe:absent"}, "not to be imported"),
        ({"validator": "checks_of_a_recipe"}, "not to be imported"),
        ({"validator": ":f"}, "not to be imported"),
        ({"validator": "checks_of_a_recipe:number"}, "is no function"),
        ({"kind": "case_number"}, "kind"),
        ({"kind": "CASE NUMBER"}, "kind"),
        ({"kind": "CASE_2"}, "kind"),
        ({"kind": "<CASE>"}, "kind"),
        ({"kind": "_CASE"}, "kind"),
        ({"score": 0}, "score"),
        ({"score": 1.1}, "score"),
        ({"flags": "i"}, "flags"),
    ],
)
def test_what_is_refused(ours, wrong, complaint):
    with pytest.raises(RequestError, match=complaint):
        read(CASE | wrong)


# -- what takes their place ------------------------------------------------------------------------------------------


@pytest.fixture
def key(monkeypatch) -> dict:
    monkeypatch.setenv("SCRUB_KEY", "a secret key of many characters")
    return {"key_env": "SCRUB_KEY"}


def test_tags_are_hidden_from_the_next_search():
    """Its name holds the words that raise the score of another."""
    docket = {"kind": "DOCKET", "pattern": r"\b\d{5}\b", "score": 0.01, "context": ["case_number", "case", "number"]}
    settings = read(CASE, docket)
    outcome = run("2024-AB-123 12345", settings)
    assert outcome.batch["text"][0].as_py() == "<CASE_NUMBER> 12345"
    assert run("<CASE_NUMBER> 12345", settings).edits == []
    assert scrubbed("case 12345", settings) == "case <DOCKET>"
    assert scrubbed(scrubbed("case 12345", settings), settings) == "case <DOCKET>"


def test_actions(key):
    text = "of 2024-AB-123, of 2024-AB-123 and 2025-AB-123"
    assert scrubbed(text, read(CASE, action="mask")) == "of ****-**-***, of ****-**-*** and ****-**-***"
    assert scrubbed(text, read(CASE, action="remove")) == "of , of  and "
    assert scrubbed(text, read(CASE, action="mask", actions={"CASE_NUMBER": "tag"})).count("<CASE_NUMBER>") == 3
    settings = read(CASE, action="hash", **key)
    clean = scrubbed(text, settings)
    first, second, third = re.findall(r"<CASE_NUMBER:[a-p]{16}>", clean)
    assert first == second != third
    assert re.sub("<.*?>", "_", clean) == "of _, of _ and _"
    assert scrubbed(clean, settings) == clean


def test_there_are_no_fakes_of_them(key):
    """Asked for all kinds, a hash stands in; asked for this one, the recipe is refused."""
    clean = scrubbed("2024-AB-123, jane@acme.org", read(CASE, action="fake", **key))
    assert re.fullmatch(r"<CASE_NUMBER:[a-p]{16}>, [a-z]{12}@example\.(com|net|org)", clean)
    with pytest.raises(RequestError, match="there are no fakes of CASE_NUMBER"):
        read(CASE, actions={"CASE_NUMBER": "fake"}, **key)
    with pytest.raises(RequestError, match="key_file or key_env"):
        read(CASE, actions={"CASE_NUMBER": "hash"})
    with pytest.raises(RequestError, match="there is no kind CASE"):
        read(CASE, actions={"CASE": "mask"})


def test_the_ledger_names_the_recipe():
    outcome = run("2024-AB-123, jane@acme.org, 2025-AB-123", read(CASE))
    assert {edits.rule: [json.loads(d) for d in edits.detail] for edits in outcome.edits} == {
        "case_number": [{"by": {"recipe": 2}, "count": 2}],
        "email_address": [{"by": {"presidio": 1}, "count": 1}],
    }
    assert outcome.signals["pii_case_number"].tolist() == [2]


def test_patterns_travel_as_json():
    """As a worker gets them."""
    settings = read(CASE | {"context": ["docket"], "validator": "luhn"})
    assert ScrubSettings.model_validate_json(settings.model_dump_json()) == settings
    assert settings.patterns == (Pattern(**CASE, context=("docket",), validator="luhn"),)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("pattern", ["[A-Z]{6,}", ".{10}", r"<\w+>", "Z+", ".", "..", ".+", r"\w>", "><", r"[a-p]{8}"])
@pytest.mark.parametrize("action", ["tag", "hash", "mask", "remove"])
def test_a_pattern_that_matches_tags_comes_to_an_end(key, pattern, action):
    settings = read({"kind": "CASE_NUMBER", "pattern": pattern}, action=action, **key)
    for text in ("see ABCDEFG of 2024-17, jane@acme.org", "<EMAIL><EMAIL> x"):
        clean = scrubbed(text, settings)
        assert scrubbed(clean, settings) == clean


def test_a_tag_is_none_of_its_kind(key):
    """Its letters have the form, and the word stands beside it still."""
    number = {"kind": "EMPLOYEE_NUMBER", "pattern": r"\b[A-Z0-9]{8,16}\b", "score": 0.05, "context": ["employee"]}
    assert scrubbed("employee AB12CD34 left", read(number)) == "employee <EMPLOYEE_NUMBER> left"
