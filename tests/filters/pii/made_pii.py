"""Labelled texts made for tests: numbers and addresses of the standards' forms and of Faker's, in sentences of books.

Nothing here knows a pattern of the scrubber. Forms: e-mail addresses RFC 5321 and 6531, IP addresses RFC 4291, 5952 and
3986, payment cards ISO/IEC 7812 with the issuers' ranges, IBANs ISO 13616 with the account structures of its registry.
The hard negatives are what scrubbers are known to eat: versions, ISBNs, hashes, times, coordinates, order numbers. One
stands in every text, beside one span.

A text carries the name of the form of its span, and of its negative, so that what is missed can be told by form.
"""

from __future__ import annotations

import hashlib
import ipaddress
import string
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import NamedTuple

from faker import Faker

LOCALES = ("en_US", "en_GB", "de_DE", "fr_FR", "es_ES", "it_IT", "nl_NL", "pl_PL", "pt_PT", "sv_SE", "fi_FI", "no_NO")

Maker = Callable[[Random, Faker], str]


class Made(NamedTuple):
    """A text with one span, [start, end) of a kind, written in `form`; `negative` names what else stands in it."""

    text: str
    start: int
    end: int
    kind: str
    form: str
    negative: str


def made_texts(kind: str, count: int, carriers: Sequence[str], seed: int = 0) -> Iterator[Made]:
    """`count` texts with a span of a kind; the same arguments give the same texts.

    `carriers`: sentences without a digit, `@` or colon, so that nothing else in them can be found.
    """
    draw, fakers = Random(f"{kind} {seed}"), [Faker(locale) for locale in LOCALES]
    negatives = {**NEGATIVES, **LONG_NUMBERS}
    for locale, faker in zip(LOCALES, fakers, strict=True):
        faker.seed_instance(f"{kind} {seed} {locale}")
    names, weights = zip(*((name, weight) for name, (weight, _) in FORMS[kind].items()), strict=True)
    for _ in range(count):
        form = draw.choices(names, weights)[0]
        negative = draw.choice(list(negatives))
        pieces, faker = draw.sample(carriers, 3), draw.choice(fakers)
        value, other = FORMS[kind][form][1](draw, faker), negatives[negative](draw, faker)
        before, after = draw.choice(SURROUNDINGS)
        first = f"{pieces[0]} {draw.choice(INTRODUCTIONS[kind])}{before}"
        rest = f"{after} {pieces[1]}"
        if draw.random() < 0.5:
            first = f"{pieces[2]} {other} {first}"
        else:
            rest = f"{rest} {other} {pieces[2]}"
        yield Made(first + value + rest, len(first), len(first) + len(value), kind, form, negative)


SURROUNDINGS = [("", ""), ("", "."), ("", ","), ("", ";"), ("(", ")"), ('"', '"'), ("\n", "\n"), ("\t", "\t")]

INTRODUCTIONS = {
    "EMAIL_ADDRESS": ["", "", "Write to ", "Contact ", "mailto:", "E-mail: ", "From: "],
    "IP_ADDRESS": ["", "", "from ", "ip=", "server ", "Connection from ", "host: "],
    "CREDIT_CARD": ["", "", "card ", "paid with ", "Card number: ", "Nr. "],
    "IBAN_CODE": ["", "", "IBAN ", "IBAN: ", "account ", "to "],
}

# -- e-mail addresses ------------------------------------------------------------------------------------------------

WORDS, NAMES, TLDS = map(
    str.split,
    (
        "anna ben chris dora emil fred gina hugo ines jack kim lena marc nora olaf petra rosa sven tina willi",
        "acme north river blue stone light garden peak cloud paper metal forest harbour ocean",
        "com org net edu gov de fr co.uk io info eu nl com.br co.jp it es pl se museum travel photography ac.at",
    ),
)
IDN = ["müller.de", "bücher.at", "例え.jp", "пример.рф", "παράδειγμα.gr", "xn--bcher-kva.ch", "xn--e1afmkfd.xn--p1ai"]
ATEXT = "!#$%&'*+-/=?^_`{|}~"  # RFC 5322, beside letters and digits


def _domain(draw: Random) -> str:
    return f"{draw.choice(NAMES)}{draw.choice(['', '', '-', '2'])}{draw.choice(NAMES)}.{draw.choice(TLDS)}"


def _address(draw: Random, _: Faker) -> str:
    return f"{draw.choice(WORDS)}{draw.choice(['.', '_', '-', ''])}{draw.choice(WORDS)}@{_domain(draw)}"


def _numbered(draw: Random, _: Faker) -> str:
    return f"{draw.choice(WORDS)}{draw.randrange(10_000)}@{_domain(draw)}"


def _tagged(draw: Random, _: Faker) -> str:
    return f"{draw.choice(WORDS)}+{draw.choice(NAMES)}.{draw.randrange(2030)}@{_domain(draw)}"


def _deep_domain(draw: Random, _: Faker) -> str:
    return f"{draw.choice(WORDS)}@{draw.choice(NAMES)}.{draw.choice(NAMES)}.{_domain(draw)}"


def _upper(draw: Random, faker: Faker) -> str:
    return _address(draw, faker).upper()


def _atext(draw: Random, _: Faker) -> str:
    return f"{draw.choice(WORDS)}{draw.choice(ATEXT)}{draw.choice(WORDS)}@{_domain(draw)}"


def _idn(draw: Random, _: Faker) -> str:
    return f"{draw.choice(WORDS)}@{draw.choice(IDN)}"


def _utf8_local(draw: Random, _: Faker) -> str:
    return f"{draw.choice(['jürgen', 'zoë', 'иван', 'δοκιμή', '李明'])}@{_domain(draw)}"


def _quoted(draw: Random, _: Faker) -> str:
    return f'"{draw.choice(WORDS)} {draw.choice(WORDS)}"@{_domain(draw)}'


def _literal(draw: Random, _: Faker) -> str:
    return f"{draw.choice(WORDS)}@[{_v4(draw)}]"


# -- IP addresses ----------------------------------------------------------------------------------------------------


def _v4(draw: Random) -> str:
    return str(ipaddress.IPv4Address(draw.randrange(1 << 24, 224 << 24)))


def _v6(draw: Random) -> ipaddress.IPv6Address:
    """A global unicast address, half of them with a run of zeros."""
    network, host = draw.getrandbits(61), draw.choice([draw.getrandbits(64), draw.getrandbits(16)])
    return ipaddress.IPv6Address(1 << 125 | network << 64 | host)


# -- payment cards ---------------------------------------------------------------------------------------------------


def _card(prefixes: Sequence[str], lengths: Sequence[int], groups: Sequence[int] = (4, 4, 4, 4, 4)) -> Maker:
    """Numbers of an issuer with Luhn's check digit: plain, or in groups as on the card, with spaces, hyphens or
    no-break spaces."""

    def make(draw: Random, _: Faker) -> str:
        digits = draw.choice(prefixes)
        digits += "".join(draw.choices(string.digits, k=draw.choice(lengths) - 1 - len(digits)))
        digits += luhn_digit(digits)
        separator = draw.choice(["", "", "", " ", " ", "-", "\u00a0"])
        parts, at = [], 0
        for size in groups:
            parts.append(digits[at : at + size])
            at += size
        return separator.join(part for part in parts if part)

    return make


def luhn_digit(digits: str) -> str:
    """The digit that completes a number (ISO/IEC 7812-1, annex B)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return str(-total % 10)


def _range(first: int, last: int) -> list[str]:
    return [str(number) for number in range(first, last + 1)]


# -- IBANs -----------------------------------------------------------------------------------------------------------

# Country and structure of the account number of ISO 13616's registry: n digits, a upper-case letters, c either
REGISTRY = """
AD 8n12c|AE 19n|AL 8n16c|AT 16n|AZ 4a20c|BA 16n|BE 12n|BG 4a6n8c|BH 4a14c|BI 23n|BR 23n1a1c|BY 4c4n16c
CH 5n12c|CR 18n|CY 8n16c|CZ 20n|DE 18n|DJ 23n|DK 14n|DO 4c20n|EE 16n|EG 25n|ES 20n|FI 14n|FK 2a12n|FO 14n
FR 10n11c2n|GB 4a14n|GE 2a16n|GI 4a15c|GL 14n|GR 7n16c|GT 4c20c|HN 4a20n|HR 17n|HU 24n|IE 4a14n|IL 19n
IQ 4a15n|IS 22n|IT 1a10n12c|JO 4a4n18c|KW 4a22c|KZ 3n13c|LB 4n20c|LC 4a24c|LI 5n12c|LT 16n|LU 3n13c|LV 4a13c
LY 21n|MC 10n11c2n|MD 2c18c|ME 18n|MK 3n10c2n|MN 16n|MR 23n|MT 4a5n18c|MU 4a19n3a|NI 4a20n|NL 4a10n|NO 11n
OM 3n16c|PK 4a16c|PL 24n|PS 4a21c|PT 21n|QA 4a21c|RO 4a16c|RS 18n|RU 14n15c|SA 2n18c|SC 4a20n3a|SD 14n|SE 20n
SI 15n|SK 20n|SM 1a10n12c|SO 19n|ST 21n|SV 4a20n|TL 19n|TN 20n|TR 6n16c|UA 6n19c|VA 18n|VG 4a16n|XK 16n
YE 4a4n18c
"""
COUNTRIES = dict(entry.split() for entry in REGISTRY.replace("\n", "|").strip("|").split("|"))
CHARACTERS = {"n": string.digits, "a": string.ascii_uppercase, "c": string.digits + string.ascii_uppercase}


def _iban(draw: Random) -> str:
    country = draw.choice(list(COUNTRIES))
    account, count = "", ""
    for sign in COUNTRIES[country]:
        if sign.isdigit():
            count += sign
            continue
        account += "".join(draw.choices(CHARACTERS[sign], k=int(count)))
        count = ""
    number = int("".join(str(int(sign, 36)) for sign in f"{account}{country}00"))
    return f"{country}{98 - number % 97:02d}{account}"


def in_fours(value: str, gap: str = " ") -> str:
    """The printed form of ISO 13616: groups of four."""
    return gap.join(value[at : at + 4] for at in range(0, len(value), 4))


# -- what is drawn how often -----------------------------------------------------------------------------------------

# Faker gives half of the spans. The rest are forms of the standards; what is rare in the open is rare here.
FORMS: dict[str, dict[str, tuple[float, Maker]]] = {
    "EMAIL_ADDRESS": {
        "faker": (50, lambda draw, faker: faker.email()),
        "name": (25, _address),
        "numbered": (6, _numbered),
        "deep domain": (6, _deep_domain),
        "tagged": (4, _tagged),
        "upper case": (3, _upper),
        "IDN": (2, _idn),
        "sign in local part": (2, _atext),
        "UTF-8 local part": (1, _utf8_local),
        "quoted local part": (0.5, _quoted),
        "address literal": (0.5, _literal),
    },
    "IP_ADDRESS": {
        "faker v4": (30, lambda draw, faker: faker.ipv4_public()),
        "faker v6": (20, lambda draw, faker: faker.ipv6()),
        "v4": (20, lambda draw, _: _v4(draw)),
        "v6 shortest": (15, lambda draw, _: str(_v6(draw))),
        "v6 in full": (5, lambda draw, _: _v6(draw).exploded),
        "v6 upper case": (5, lambda draw, _: str(_v6(draw)).upper()),
        "v6 link-local": (3, lambda draw, _: str(ipaddress.IPv6Address(0xFE80 << 112 | draw.getrandbits(64)))),
        "v4 in v6": (2, lambda draw, _: f"::ffff:{_v4(draw)}"),
    },
    "CREDIT_CARD": {
        "faker": (50, lambda draw, faker: faker.credit_card_number()),
        "Visa": (14, _card("4", [16])),
        "Mastercard 5": (10, _card(_range(51, 55), [16])),
        "Mastercard 2": (4, _card(_range(2221, 2720), [16])),
        "American Express": (5, _card(["34", "37"], [15], (4, 6, 5))),
        "Discover": (3, _card(["6011", "65", *_range(644, 649)], [16])),
        "JCB": (3, _card(_range(3528, 3589), [16])),
        "Diners": (2, _card(["36", "38", *_range(300, 305)], [14], (4, 6, 4))),
        "UnionPay": (4, _card(["62"], [16, 17, 18, 19])),
        "Maestro": (3, _card(["5018", "5020", "5038", "5893", "6304", "6759", "6761"], [12, 13, 14, 15, 16, 18, 19])),
        "Mir": (1, _card(_range(2200, 2204), [16])),
        "RuPay": (1, _card(["60", "81", "82"], [16])),
    },
    "IBAN_CODE": {
        "faker": (50, lambda draw, faker: faker.iban()),
        "registry": (28, lambda draw, _: _iban(draw)),
        "registry in fours": (18, lambda draw, _: in_fours(_iban(draw))),
        "registry with hyphens": (2, lambda draw, _: in_fours(_iban(draw), "-")),
        "registry with no-break spaces": (2, lambda draw, _: in_fours(_iban(draw), "\u00a0")),
    },
}

# -- hard negatives --------------------------------------------------------------------------------------------------


def _digits(draw: Random, *lengths: int) -> str:
    return draw.choice("123456789") + "".join(draw.choices(string.digits, k=draw.choice(lengths) - 1))


def _hash(draw: Random, _: Faker) -> str:
    return getattr(hashlib, draw.choice(["md5", "sha1", "sha256"]))(draw.randbytes(8)).hexdigest()


def _version(draw: Random, _: Faker) -> str:
    name = draw.choice(["version ", "v", "release ", "Chrome/", "openssl-", "numpy=="])
    return name + ".".join(str(draw.randrange(20)) for _ in range(3))


def _build(draw: Random, _: Faker) -> str:
    """Versions of four parts as browsers and Windows have them."""
    name = draw.choice(["Chrome/", "version ", "build ", "Windows "])
    return f"{name}{draw.randrange(90, 130)}.0.{draw.randrange(1_000, 7_000)}.{draw.randrange(250)}"


def _version_like_v4(draw: Random, _: Faker) -> str:
    """Versions and sections of four small parts, which only the word before them tells from an address."""
    name = draw.choice(["version ", "v", "release ", "section ", "libfoo-"])
    return name + ".".join(str(draw.randrange(1, 12)) for _ in range(4))


def _isbn(draw: Random, _: Faker) -> str:
    body = "978" + _digits(draw, 9)
    check = -sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(body)) % 10
    plain = f"{body}{check}"
    return "ISBN " + draw.choice([plain, f"{plain[:3]}-{plain[3]}-{plain[4:7]}-{plain[7:12]}-{plain[12]}"])


def _time(draw: Random, _: Faker) -> str:
    year, month, day = draw.randrange(1990, 2030), draw.randrange(1, 13), draw.randrange(1, 29)
    hour, minute, second = draw.randrange(24), draw.randrange(60), draw.randrange(60)
    return draw.choice(
        [
            f"{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z",
            f"{year}{month:02}{day:02}{hour:02}{minute:02}{second:02}",
            str(draw.randrange(10**9, 2 * 10**9)),
            str(draw.randrange(10**12, 2 * 10**12)),
            f"{day:02}.{month:02}.{year} {hour:02}:{minute:02}",
        ]
    )


def _part_number(draw: Random, _: Faker) -> str:
    letters = "".join(draw.choices(string.ascii_uppercase, k=2))
    return draw.choice([f"{letters}{_digits(draw, 10, 12, 16, 20)}", f"{letters}{in_fours(_digits(draw, 14, 18))}"])


def _imei(draw: Random, _: Faker) -> str:
    """3GPP TS 23.003: 15 digits, of which the last is Luhn's."""
    body = "35" + _digits(draw, 12)
    return f"IMEI {body}{luhn_digit(body)}"


def _row(draw: Random, _: Faker) -> str:
    """A row of a table of four digits."""
    return " ".join(_digits(draw, 4) for _ in range(draw.randrange(6, 12)))


NEGATIVES: dict[str, Maker] = {
    "version": _version,
    "build": _build,
    "version like IPv4": _version_like_v4,
    "ISBN": _isbn,
    "hash": _hash,
    "UUID": lambda draw, faker: faker.uuid4(),
    "time": _time,
    "clock": lambda draw, _: f"{draw.randrange(24)}:{draw.randrange(60):02}:{draw.randrange(60):02}",
    "coordinates": lambda draw, _: f"{draw.uniform(-90, 90):.6f}, {draw.uniform(-180, 180):.6f}",
    "order number": lambda draw, _: f"order {_digits(draw, 8, 10, 12, 14, 16)}",
    "EAN": lambda draw, faker: f"EAN {faker.ean13()}",
    "MAC": lambda draw, faker: faker.mac_address(),
    "part number": _part_number,
    "C++ name": lambda draw, _: f"std::{draw.choice(NAMES)}::{draw.choice(NAMES)}()",
    "DOI": lambda draw, _: f"doi:10.{draw.randrange(1_000, 9_999)}/{_digits(draw, 6, 8)}.{draw.randrange(2030)}",
    "handle": lambda draw, _: f"@{draw.choice(WORDS)}_{draw.choice(NAMES)}",
    "package": lambda draw, _: f"{draw.choice(NAMES)}@{draw.randrange(9)}.{draw.randrange(20)}.{draw.randrange(9)}",
    "image": lambda draw, _: f"{draw.choice(NAMES)}@2x.png",
    "host": lambda draw, _: f"{draw.choice(WORDS)}@localhost",
}

# As long as the numbers of cards.
LONG_NUMBERS: dict[str, Maker] = {
    "IMEI": _imei,
    "row": _row,
    "decimal": lambda draw, _: f"{draw.randrange(10)}.{_digits(draw, 13, 15, 16)}",
    "identifier": lambda draw, _: f"id {_digits(draw, 17, 18, 19)}",
}
