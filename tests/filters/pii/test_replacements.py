"""Fakes are nobody's, the same for the same value, and hold nothing of it but its form."""

from __future__ import annotations

import ipaddress
import re

import phonenumbers
import pytest
from gristmill.filters.pii.actions import Actions, Region, hide_fakes
from gristmill.filters.pii.fake_names import FAKE_NAME
from gristmill.filters.pii.replacements import FAKED, fake, fakes, hashed, masked, normalised
from hypothesis import example, given
from hypothesis import strategies as st

KEYS = [b"the first secret key", b"the second secret key", b"the third secret key", b"the fourth secret key"]
KEY = KEYS[0]
DOCUMENTATION = [
    ipaddress.ip_network(n) for n in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
]


def _spaced(digits: str) -> st.SearchStrategy[str]:
    return st.sampled_from(["", " ", "-"]).map(lambda gap: gap.join(re.findall(".{1,4}", digits)))


def _checked_card(digits: str) -> str:
    total = sum(sum(map(int, str(int(d) * (2 - i % 2)))) for i, d in enumerate(reversed(digits)))
    return digits + str(-total % 10)


def _iban(country: str, account: str) -> str:
    number = "".join(str(int(c, 36)) for c in f"{account}{country}00")
    return f"{country}{98 - int(number) % 97:02d}{account}"


VALUES = {
    "EMAIL_ADDRESS": st.from_regex(r"\A[a-z][a-z0-9.+_-]{1,12}[a-z0-9]@[a-z]{3,9}\.(?:com|de|co\.uk)\Z"),
    "PHONE_NUMBER": st.from_regex(
        r"\A(?:\([2-9]\d\d\) [2-9]\d\d-\d{4}|\+1 [2-9]\d\d [2-9]\d\d \d{4}|020 [378]\d{3} \d{4}|\+4930\d{7}"
        r"|\+33 [1-5] \d\d \d\d \d\d \d\d|\(11\) 9\d{4}-\d{4})\Z"
    ).filter(str.isascii),
    "CREDIT_CARD": st.from_regex(r"\A(?:4\d{14}|5[1-5]\d{13}|37\d{12})\Z")
    .filter(str.isascii)
    .map(_checked_card)
    .flatmap(_spaced),
    "IP_ADDRESS": st.ip_addresses().filter(lambda host: not any(host in n for n in DOCUMENTATION)).map(str),
    "IBAN_CODE": st.one_of(
        st.from_regex(r"\A[1-9]\d{17}\Z").filter(str.isascii).map(lambda bban: _iban("DE", bban)),
        st.from_regex(r"\A[A-W]{4}[1-9]\d{13}\Z").filter(str.isascii).map(lambda bban: _iban("GB", bban)),
    ).flatmap(_spaced),
    "US_SSN": st.from_regex(r"\A[1-8]\d\d-[1-9]\d-[1-9]\d{3}\Z").filter(str.isascii),
    "PERSON": st.from_regex(r"\A[A-Z][a-z]{2,8}(?: [A-Z]\.)?(?: [A-Z][a-z]{2,9})?\Z"),
}
ANY = st.sampled_from(FAKED).flatmap(lambda kind: st.tuples(st.just(kind), VALUES[kind]))


def digits_of(text: str) -> str:
    return "".join(c for c in text if c.isdigit())


def common(value: str, news: list[str], length: int) -> set[str]:
    """What stretches of `length` letters and digits the value has in common with every one of `news`."""

    def stretches(text: str) -> set[str]:
        text = re.sub(r"\W|_", "", text).lower()
        return {text[i : i + length] for i in range(len(text) - length + 1)}

    return stretches(value).intersection(*map(stretches, news))


RANGES = (
    *("55501", "2079460", "1632960", "7700900", "19900", "26191", "35301", "46571", "53649", "63998"),
    *("3023125", "6990009", "4066969", "2214710", "8999998", "5550"),
)
CONSTANT = {  # what all fakes of a kind may have in common
    "EMAIL_ADDRESS": ["examplecom", "examplenet", "exampleorg"],
    "PHONE_NUMBER": RANGES,
    "CREDIT_CARD": ["400000"],
    "IP_ADDRESS": ["192020", "19851100", "2030113", "2001db8"],
    "IBAN_CODE": ["000000", "xxxx00"],
    "US_SSN": ["000"],
}


@given(ANY)
def test_nothing_of_the_value_is_left(case):
    kind, value = case
    left = common(value, [fake(key, kind, value) for key in KEYS], 4)
    assert not [stretch for stretch in left if not any(stretch in constant for constant in CONSTANT[kind])]
    assert not common(value, [hashed(key, kind, value) for key in KEYS], 4)
    assert not re.search(r"[^\W_]", masked(value))
    assert len(masked(value)) == len(value)


@given(ANY, ANY)
@example(("US_SSN", "219-09-9999"), ("US_SSN", "219-09-9998"))
def test_a_replacement_is_a_function_of_key_kind_and_value(one, other):
    kind, value = one
    assert fake(KEY, kind, value) == fake(KEY, kind, value)
    assert hashed(KEY, kind, value) == hashed(KEY, kind, value)
    assert hashed(KEY, kind, value) != hashed(KEYS[1], kind, value)
    assert len({fake(key, kind, value) for key in KEYS}) > 1
    if normalised(*one) != normalised(*other):
        assert hashed(KEY, kind, value) != hashed(KEY, other[0], other[1])


@given(ANY, st.sampled_from(["{}", "a {}.", "<{}>", "({})", "tel:{},", "{} 2014", "OK {} AND SO ON", "“{}”"]))
def test_a_fake_is_recognised_and_left(case, frame):
    """As one that was found as a whole; it is its own fake, so to say."""
    kind, value = case
    before, _, after = frame.partition("{}")
    actions = Actions(dict.fromkeys(FAKED, "fake"), KEY)
    text = f"{before}{value}{after}"
    new = actions.replace(text, [Region(len(before), len(before) + len(value), kind)])
    assert new == f"{before}{fake(KEY, kind, value)}{after}"
    view = actions.hide(new)
    assert len(view) == len(new)
    assert not any(c.isalnum() for c in view[len(before) : len(view) - len(after)] if c != "Z")


@given(ANY)
def test_fakes_are_nobodys(case):
    kind, value = case
    new = fake(KEY, kind, value)
    if kind == "EMAIL_ADDRESS":
        assert re.fullmatch(r"[a-z]+@example\.(com|net|org)", new)
    elif kind == "IP_ADDRESS":
        host = ipaddress.ip_address(new)
        mapped = getattr(ipaddress.ip_address(value), "ipv4_mapped", None)
        assert host.version == (4 if mapped else ipaddress.ip_address(value).version)
        assert any(host in network for network in DOCUMENTATION)
    elif kind == "CREDIT_CARD":
        assert re.sub(r"\d", "0", new) == re.sub(r"\d", "0", value)
        assert digits_of(new).startswith("400000")
        assert _checked_card(digits_of(new)[:-1]) == digits_of(new)
    elif kind == "IBAN_CODE":
        assert [c.isdigit() for c in new] == [c.isdigit() for c in value]
        number = re.sub("[ -]", "", new)
        assert int("".join(str(int(c, 36)) for c in number[4:] + number[:4])) % 97 == 1
        assert set(number[4:10]) <= {"0", "X"}
    elif kind == "US_SSN":
        assert re.fullmatch(r"000-\d\d-\d{4}", new)
    elif kind == "PERSON":  # whose names are nobody's is tested beside them
        assert FAKE_NAME.fullmatch(new)
    else:
        assert re.search("|".join(RANGES), digits_of(new))


@pytest.mark.parametrize(
    ("value", "form"),
    [
        ("(212) 736-5000", r"\([2-9]\d\d\) 555-01\d\d"),
        ("+1 212 736 5000", r"\+1 [2-9]\d\d 555 01\d\d"),
        ("1-212-736-5000", r"1-[2-9]\d\d-555-01\d\d"),
        ("212.736.5000 ext. 12", r"[2-9]\d\d\.555\.01\d\d"),
        ("２１２－７３６－５０００", r"[2-9]\d\d-555-01\d\d"),
        ("+44 20 7219 3000", r"\+44 \d\d \d{4} \d{4}"),
        ("00 44 20 7219 3000", r"00 44 \d\d \d{4} \d{4}"),
        ("020 7219 3000", r"0\d\d \d{4} \d{4}"),
        ("+49 30 22732152", r"\+49 \d\d \d{8}"),
        ("+33 1 40 63 60 00", r"\+33 \d \d\d \d\d \d\d \d\d"),
        ("+61 2 6277 7111", r"\+61 \d 5550 \d{4}"),
        ("+81 3 3581 5111", r"\+1 [2-9] \d\d55 501\d\d"),  # a country without such numbers: North America's
    ],
)
def test_phones_keep_their_form(value, form):
    new = fake(KEY, "PHONE_NUMBER", value)
    assert re.fullmatch(form, new), new
    assert list(fakes(new)) != []
    country = phonenumbers.parse(value if value.startswith("+") else "+1", "US").country_code if value[0] == "+" else 0
    if country in (1, 33, 44, 49, 61):
        assert phonenumbers.is_possible_number(phonenumbers.parse(new, None))


@pytest.mark.parametrize(
    ("kind", "writings"),
    [
        ("EMAIL_ADDRESS", ["Jane.Roe@Acme.org", "jane.roe@acme.org", "jane.roe＠acme.org", "ja\xadne.roe@acme.org"]),
        ("EMAIL_ADDRESS", ["ivan@пример.рф", "ivan@xn--e1afmkfd.xn--p1ai", "ivan@ПРИМЕР.рф"]),
        ("PHONE_NUMBER", ["(212) 736-5000", "+1 212 736 5000", "2127365000", "1-212-736-5000", "212.736.5000"]),
        ("PHONE_NUMBER", ["020 7219 3000", "+44 20 7219 3000", "+44 (0)20 7219 3000"]),
        ("CREDIT_CARD", ["4111111111111111", "4111 1111 1111 1111", "4111-1111-1111-1111", "٤١١١١١١١١١١١١١١١"]),
        ("IP_ADDRESS", ["93.184.216.34", "093.184.216.034", "::ffff:93.184.216.34", "93.184.216.34/24"]),
        ("IP_ADDRESS", ["2600:1F18::1", "2600:1f18:0:0:0:0:0:1", "2600:1f18::1%eth0", "2600:1f18::1/64"]),
        ("IBAN_CODE", ["DE89370400440532013000", "DE89 3704 0044 0532 0130 00", "DE89-3704-0044-0532-0130-00"]),
        ("US_SSN", ["219-09-9999", "219 09 9999", "219099999"]),
    ],
)
def test_writings_of_one_value(kind, writings):
    assert len({normalised(kind, w) for w in writings}) == 1
    assert len({hashed(KEY, kind, w) for w in writings}) == 1


def test_known_replacements():
    """Changed only with the version of the stage: what was scrubbed last year must match what is scrubbed today."""
    assert hashed(KEY, "US_SSN", "219-09-9999") == "ehgnlhlciknhgidp"
    assert fake(KEY, "US_SSN", "219-09-9999") == "000-77-7426"


@pytest.mark.parametrize(
    "text",
    [
        "4111 1111 1111 1111",
        "400000 2125552368",  # a sum of money and a phone number
        "jane.212-555-0123@acme.org",  # a fake within an address
        "jane@192.0.2.1.acme.org",
        "1192.0.2.1",
        "192.0.2.1.5",
        "babebibobubo@example.org.au",
        "x4000002507199063",
        "DE89 3704 0044 0532 0130 00",
        "219-09-9999",
        "1000-12-3456",
        "212-555-2368",
    ],
)
def test_what_is_no_fake_is_not_hidden(text):
    assert hide_fakes(text) == text


def test_where_a_fake_cannot_be_recognised_a_tag_stands():
    actions = Actions({"IBAN_CODE": "fake", "US_SSN": "fake"}, KEY)
    text = "aDE89370400440532013000b 219-09-9999"
    places = [Region(1, 23, "IBAN_CODE"), Region(25, 36, "US_SSN")]
    assert actions.replace(text, places) == f"a<IBAN>b {fake(KEY, 'US_SSN', '219-09-9999')}"
    assert (
        actions.replace("219-09-9999219-09-9999", [Region(0, 11, "US_SSN"), Region(11, 22, "US_SSN")]) == "<SSN><SSN>"
    )
