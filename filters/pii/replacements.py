"""What may stand where personal data stood: a tag, a keyed hash, a mask, or a fake of the same form.

A fake keeps text readable for a model: what looked like a phone number still does. It is drawn by an HMAC of the
secret key and the value in its normal form, so that the same person gets the same replacement in any document, on any
runner, without a table of who became whom; two people may get the same one. All fakes come from ranges that belong
to nobody, and are recognised by that (`fakes`): a text scrubbed again stays as it is, and no key is needed to see
which values are made up. What is a fake in the input, by chance or from an earlier run, stays too.

- e-mail: six syllables at example.com, .net or .org (RFC 2606)
- IP: 192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24 (RFC 5737), 2001:db8::/32 (RFC 3849); a prefix length stays
- phone: the numbers set aside for films and books of the country, where we know them (North America 555-01xx, Britain,
  France, Germany, Australia), else North America's; written as the value was, without its extension
- card: as many digits, 400000 (payment providers' test range) and a right check digit
- IBAN: the same country and length, right check digits, a bank of zeros (X for letters)
- SSN: area 000, which is never issued. Area 9xx is not free: tax numbers of people (ITIN) begin so.
- person: an invented name (`fake_names.py`)
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Callable, Iterator
from functools import cache

import idna
import phonenumbers

from .catalogue import NAME_KINDS
from .checks import luhn, mod_97
from .fake_names import FAKE_NAME, fake_name, normalised_name
from .finding import Kind
from .secret import keyed

HASH_LETTERS = "abcdefghijklmnop"  # hexadecimal digits without digits, which might make a number with their neighbours
HASH_LENGTH = 16

INVISIBLE = "\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff"
"""Soft hyphen, zero-width characters and direction marks, as the inside of a character class."""

REGIONS = ("US", "GB", "DE", "FR", "IL", "IN", "CA", "BR")  # whose national form a number may have; Presidio's

_INVISIBLE = re.compile(f"[{INVISIBLE}]")
_DIGIT = re.compile(r"\d")
_GAP = r"[ ().\-/\u00a0]{0,4}"  # between the digits of a phone number
_SYLLABLE = ("bdfghjklmnprstvz", "aeiou")
_DOMAINS = ("example.com", "example.net", "example.org")
_DOCUMENTATION = [ipaddress.ip_network(n) for n in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")]
_DOCUMENTATION_6 = ipaddress.ip_network("2001:db8::/32")
_CARD_RANGE = "400000"
_BANK = 6  # characters: covers the bank code of every country, or so much of it that no bank has it

# Country code -> (prefix of national numbers, numbers: N any digit, A an area code of North America).
# NANPA; Ofcom, "Telephone numbers for use in TV and radio drama"; ARCEP 2018-0881 (fiction); BNetzA "Drama numbers";
# ACMA, "Phone numbers for use in TV shows, films and creative works".
FICTITIOUS: dict[int, tuple[str, tuple[str, ...]]] = {
    1: ("", ("A55501NN",)),
    44: ("0", ("2079460NNN", "1632960NNN", "7700900NNN")),
    33: ("0", ("19900NNNN", "26191NNNN", "35301NNNN", "46571NNNN", "53649NNNN", "63998NNNN")),
    49: ("0", ("3023125NNN", "6990009NNN", "4066969NNN", "2214710NNN", "8999998NNN")),
    61: ("0", ("25550NNNN", "35550NNNN", "75550NNNN", "85550NNNN")),
}


def plain(text: str) -> str:
    """`text` in compatibility form, digits of any script in ASCII, without soft hyphens and direction marks."""
    text = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text))
    return text if text.isascii() else _DIGIT.sub(lambda digit: str(int(digit.group())), text)


def normalised(kind: Kind, value: str) -> str:
    """The value without what differs from writing to writing: what hashes and fakes are derived from."""
    if kind in NAME_KINDS:
        return normalised_name(value)
    value = plain(value)
    if kind == "EMAIL_ADDRESS":
        local, _, domain = value.rpartition("@")
        return local.strip('"').lower() + "@" + _ascii_domain(domain)
    if kind == "PHONE_NUMBER":
        number = parsed(value)
        if number is not None:
            return f"+{number.country_code}{number.national_number}"
        return "".join(_DIGIT.findall(value)) or value
    if kind == "IP_ADDRESS":
        return str(address(value) or value.lower())
    return re.sub(r"\W", "", value).upper()


def _ascii_domain(domain: str) -> str:
    try:
        return idna.encode(domain, uts46=True).decode()
    except idna.IDNAError:
        return domain.lower()


def address(value: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The IP address without prefix length and zone; an IPv4 address that is written as IPv6 is that IPv4 address."""
    value = re.split("[/%]", value)[0]
    value = re.sub(r"(?<![0-9A-Fa-f:])0+(?=\d)", "", value)  # 010.001.0.1, which Python refuses
    try:
        found = ipaddress.ip_address(value)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def is_documentation(host: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether the address is one of those that standards set aside for examples."""
    return any(host in network for network in (*_DOCUMENTATION, _DOCUMENTATION_6))


def parsed(value: str) -> phonenumbers.PhoneNumber | None:
    """The number, read as one of the first of `REGIONS` where it is valid."""
    for region in REGIONS:
        try:
            number = phonenumbers.parse(value, region)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number(number):
            return number
    return None


# -- the actions -----------------------------------------------------------------------------------------------------


def hashed(key: bytes, kind: Kind, value: str) -> str:
    """16 letters (64 bits), the same for the same value."""
    number = keyed(key, "hash", kind, normalised(kind, value))
    return "".join(HASH_LETTERS[number >> 4 * i & 15] for i in range(HASH_LENGTH))


def masked(value: str) -> str:
    """`value` with a star for each letter and digit, and for `::`, an address in itself; else for each character."""
    stars = "".join("*" if unicodedata.category(c)[0] in "LMN" else c for c in value).replace("::", "**")
    return stars if stars != value else "*" * len(value)


def fake(key: bytes, kind: Kind, value: str) -> str:
    """Another value of the kind, written as `value` is, that belongs to nobody."""
    return _FAKES[kind](_Draw(keyed(key, "fake", kind, normalised(kind, value))), plain(value))


class _Draw:
    """Choices read off one large number."""

    def __init__(self, number: int):
        self.number = number

    def below(self, n: int) -> int:
        self.number, choice = divmod(self.number, n)
        return choice

    def digits(self, n: int) -> str:
        return f"{self.below(10**n):0{n}d}"


def _fake_email(draw: _Draw, value: str) -> str:
    local = "".join(part[draw.below(len(part))] for _ in range(6) for part in _SYLLABLE)
    return f"{local}@{_DOMAINS[draw.below(3)]}"


def _fake_ip(draw: _Draw, value: str) -> str:
    _, slash, length = value.partition("/")
    if isinstance(address(value), ipaddress.IPv4Address):
        host = _DOCUMENTATION[draw.below(3)][1 + draw.below(254)]
    else:
        host = _DOCUMENTATION_6[draw.below(1 << 96)]
    return f"{host}{slash}{length}"


def _fake_card(draw: _Draw, value: str) -> str:
    length = len(_DIGIT.findall(value))
    digits = _CARD_RANGE + draw.digits(length - len(_CARD_RANGE) - 1)
    check = next(c for c in "0123456789" if luhn(digits + c))
    return _written(digits + check, value)


def _fake_iban(draw: _Draw, value: str) -> str:
    own = re.sub(r"\W", "", value).upper()
    account = ["0" if c.isdigit() else "X" for c in own[4 : 4 + _BANK]]
    account += [str(draw.below(10)) if c.isdigit() else chr(65 + draw.below(25)) for c in own[4 + _BANK :]]
    rest = "".join(account)
    check = 98 - mod_97(f"{rest}{own[:2]}00")
    return _written(f"{own[:2]}{check:02d}{rest}", value)


def _fake_ssn(draw: _Draw, value: str) -> str:
    return _written(f"000{1 + draw.below(99):02d}{1 + draw.below(9999):04d}", value)


def _fake_phone(draw: _Draw, value: str) -> str:
    number = parsed(value)
    form = re.split("[A-Za-z;#]", value)[0]  # without an extension
    code = number.country_code if number is not None and number.country_code in FICTITIOUS else 1
    trunk, numbers = FICTITIOUS[code]
    national = numbers[draw.below(len(numbers))]
    if "A" in national:
        national = national.replace("A", f"{2 + draw.below(8)}{draw.below(9)}{2 + draw.below(8)}")
    national = re.sub("N", lambda _: draw.digits(1), national)
    digits = "".join(_DIGIT.findall(form))
    before = ""
    if number is not None and number.country_code == code:  # how the number is dialled stays
        before, found, _ = digits.rpartition(str(number.national_number))
        dialled = ("", trunk, f"{code}", f"{code}{trunk}", f"00{code}", f"011{code}")
        before = before if found and before in dialled else ""
    form = re.sub(r"[^\d ().\-/\u00a0+]", " ", form)
    if "+" in form and not before.startswith(str(code)):  # another country's
        old = "" if number is None else str(number.country_code)
        return f"+{code}" + _written(national, form.lstrip("( ").removeprefix("+").removeprefix(old))
    return _written(before + national, form)


def _written(characters: str, form: str) -> str:
    """`characters` in the places of the letters and digits of `form`; what is too many follows at its end."""
    rest, result = list(reversed(characters)), []
    for c in form:
        if not rest:
            break
        result.append(rest.pop() if c.isalnum() else c)
    return "".join(result) + "".join(reversed(rest))


_FAKES: dict[Kind, Callable[[_Draw, str], str]] = {
    "EMAIL_ADDRESS": _fake_email,
    "PHONE_NUMBER": _fake_phone,
    "CREDIT_CARD": _fake_card,
    "IP_ADDRESS": _fake_ip,
    "IBAN_CODE": _fake_iban,
    "US_SSN": _fake_ssn,
    "PERSON": lambda draw, value: fake_name(draw.number, value),
}
FAKED = tuple(_FAKES)  # the kinds that have fakes


# -- recognising fakes -----------------------------------------------------------------------------------------------


def _phone_pattern() -> str:
    forms = []
    for code, (trunk, numbers) in FICTITIOUS.items():
        dial = rf"(?:(?:\+|00|011)?{_GAP}{_GAP.join(str(code))}{_GAP}(?:{trunk}{_GAP})?|{trunk})?{_GAP}"
        for number in numbers:
            digits = number.replace("A", "BCC").replace("N", "C")
            forms.append(dial + _GAP.join({"B": "[2-9]", "C": "[0-9]"}.get(d, d) for d in digits))
    return r"(?<![\w+])(?:" + "|".join(forms) + r")(?!\w)"


@cache
def _patterns() -> dict[Kind, re.Pattern]:
    syllables = rf"(?:[{_SYLLABLE[0]}][{_SYLLABLE[1]}]){{6}}"
    return {
        "EMAIL_ADDRESS": re.compile(rf"(?<!\w){syllables}@example\.(?:com|net|org)(?![\w@-]|\.\w)"),
        "IP_ADDRESS": re.compile(
            r"(?<![\w.])(?<!::)(?<!::[fF]{4}:)(?:(?:192\.0\.2|198\.51\.100|203\.0\.113)\.\d{1,3}"
            r"|2001:db8:[0-9a-f:]+)(?:/\d{1,3})?(?![\w:]|\.\w)"
        ),
        "CREDIT_CARD": re.compile(r"(?<!\w)4(?:[- ]?0){5}(?:[- ]?[0-9]){7,13}(?!\w)"),
        "IBAN_CODE": re.compile(r"(?<!\w)[A-Z]{2}[0-9]{2}(?:[ -]?[0X]){6}(?:[ -]?[A-Z0-9]){5,24}(?!\w)"),
        "US_SSN": re.compile(r"(?<!\w)000[- .]?[0-9]{2}[- .]?[0-9]{4}(?!\w)"),
        "PHONE_NUMBER": re.compile(_phone_pattern()),
        "PERSON": FAKE_NAME,
    }


_LOCAL = re.compile(r"[\w!#$%&'*+\-/=?^`{|}~.]{0,64}@")
_DOMAIN = re.compile(r"@[\w.-]{0,64}\Z")


def fakes(text: str) -> Iterator[tuple[int, int]]:
    """(start, end) of what is a fake as a whole, kind by kind; a number within an e-mail address is none."""
    for kind, pattern in _patterns().items():
        hit = pattern.search(text)
        while hit:
            start = hit.start()
            end = _end(kind, text, *hit.span())
            if end is not None:
                yield start, end
            hit = pattern.search(text, end or start + 1)


def _end(kind: Kind, text: str, start: int, end: int) -> int | None:
    """Where the fake ends of which a pattern found the form; None if it is none."""
    if kind == "IP_ADDRESS" and address(text[start:end]) is None:
        return None
    if kind in ("CREDIT_CARD", "IBAN_CODE"):  # the longest with a right check digit: a word may follow it
        ends = [at for at in range(end, start + 12, -1) if at == len(text) or not re.match(r"\w", text[at])]
        end = next((at for at in ends if _is_checked(kind, text[start:at])), None)
    if end is None or kind in ("EMAIL_ADDRESS", "PERSON"):
        return end
    return None if _LOCAL.match(text, end) or _DOMAIN.search(text, max(0, start - 65), start) else end


def _is_checked(kind: Kind, value: str) -> bool:
    number = re.sub("[ -]", "", value)
    return luhn(number) if kind == "CREDIT_CARD" else mod_97(number[4:] + number[:4]) == 1
