"""Labelled phone numbers made for tests: Faker's of many countries, and libphonenumber's examples in several forms.

Nothing here knows a pattern of the recogniser. Half of the spans come from Faker's locales, half from the metadata of
libphonenumber: a number of a region that is valid there (its example, with the last digits drawn), as the region writes
it, internationally (ITU-T E.123), in E.164, as a URI (RFC 3966), or with other separators.

Half of the numbers stand behind a word that says what they are, in a language of the country; before the others there
is nothing, a phrase that fits an e-mail address as well, or another line of an address. One hard negative stands in
every text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from random import Random

import phonenumbers
from faker import Faker
from made_pii import NEGATIVES, SURROUNDINGS, Made, Maker, in_fours
from phonenumbers import PhoneNumberFormat, PhoneNumberType

KIND = "PHONE_NUMBER"

LOCALES = tuple(
    re.findall(
        r"\w+",
        """
    ar_AE az_AZ bg_BG bn_BD bs_BA cs_CZ da_DK de_AT de_CH de_DE el_GR en_AU en_CA en_GB en_IN en_NZ en_US es_AR
    es_CL es_CO es_ES es_MX fa_IR fi_FI fr_CH fr_DZ fr_FR he_IL hi_IN hr_HR hu_HU id_ID it_IT ja_JP ko_KR lt_LT nl_BE
    nl_NL no_NO pl_PL pt_BR pt_PT ro_RO ru_RU sk_SK sl_SI sv_SE tr_TR uk_UA vi_VN zh_CN zh_TW
    """,
    )
)
REGIONS = tuple(sorted(phonenumbers.SUPPORTED_REGIONS))

# What people write before a number, by language; English for the languages that are not here.
WORDS = {
    "en": "Phone: |Tel. |Telephone |phone number is |call |Call me at |mobile: |Cell: |Fax: |Ph: |T: |WhatsApp |Tel: ",
    "de": "Telefon: |Tel.: |Tel. |Handy |Mobil: |Fax |Telefonnummer: |Rufnummer |unter der Nummer |Ruf mich an: ",
    "fr": "Téléphone : |Tél. : |Tél |téléphone au |Portable : |numéro de téléphone : |Fax : |appelez le ",
    "es": "Teléfono: |Tel. |Tfno. |móvil |Móvil: |llame al |Celular: |número de teléfono: |Fax: ",
    "it": "Telefono: |Tel. |cellulare |Cell. |chiama il |numero di telefono: |Fax ",
    "pt": "Telefone: |Tel.: |telemóvel |Celular: |ligue para |Fone: |Fax: ",
    "nl": "Telefoon: |Tel. |mobiel |bel |telefoonnummer: |GSM: |Fax: ",
    "sv": "Telefon: |Tel. |mobil |ring |Mobilnummer: |telefonnummer ",
    "da": "Telefon: |Tlf. |mobil |ring |Tlf: ",
    "no": "Telefon: |Tlf. |mobil |ring |Tlf: ",
    "fi": "Puhelin: |Puh. |puh |soita |matkapuhelin ",
    "pl": "Telefon: |Tel. |tel. kom. |komórka |zadzwoń |numer telefonu: ",
    "cs": "Telefon: |Tel.: |mobil |volejte |telefonní číslo ",
    "ru": "Телефон: |Тел.: |тел. |моб. |факс |позвоните ",
    "uk": "Телефон: |Тел.: |моб. |факс ",
    "tr": "Telefon: |Tel: |cep |telefon numarası ",
    "ja": "電話: |電話番号：|TEL: |TEL |携帯 ",
    "ko": "전화: |전화번호 |휴대폰 |Tel. ",
    "zh": "电话：|電話：|手机: |手機 |联系电话 |Tel: ",
    "el": "Τηλ. |Τηλέφωνο: |κινητό ",
    "he": "טלפון: |נייד |טל: ",
    "ar": "هاتف: |الهاتف |جوال: ",
    "hu": "Telefon: |Tel.: |telefonszám |mobil ",
    "ro": "Telefon: |Tel. |mobil: |sunați la ",
    "vi": "Điện thoại: |ĐT: |Tel: ",
    "id": "Telepon: |Telp. |HP: |Tel. ",
}

# Where no word says it.
WITHOUT = (
    "",
    "",
    "\n",
    "Reach me at ",
    "or ",
    "You can get me on ",
    "Anna Berg, ",
    "- ",
    "Mill Lane\nOld Harbour\n",
    "Jane Doe\njane@acme.org\n",
    "Questions? ",
)

# Beside those of `made_pii`, what phone recognisers eat.
_OTHERS: dict[str, Maker] = {
    "IP": lambda draw, faker: f"at {faker.ipv4_public()}",
    "card": lambda draw, _: in_fours(str(draw.randrange(4 * 10**15, 6 * 10**15))),
    "US SSN": lambda draw, faker: f"{draw.randrange(100, 800)}-{draw.randrange(10, 99)}-{draw.randrange(1000, 9999)}",
    "postcode": lambda draw, _: f"{draw.randrange(1_000, 10_000)} {draw.choice([_count(draw), 'Linz'])} {_count(draw)}",
    "ZIP+4": lambda draw, _: f"CA {draw.randrange(10_000, 99_999)}-{draw.randrange(1_000, 9_999)}",
    "ten digits": lambda draw, _: str(draw.randrange(10**9, 10**10)),
    "years": lambda draw, _: f"{draw.randrange(1500, 2030)}{draw.choice('-–')}{draw.randrange(1500, 2030)}",
    "date": lambda draw, faker: faker.date(
        draw.choice(["%d.%m.%Y", "%m/%d/%Y", "%Y-%m-%d", "%d-%m-%Y %H:%M", "%d %m %Y"])
    ),
    "pages": lambda draw, _: (
        f"{draw.randrange(99)} ({draw.randrange(1, 12)}), {(page := draw.randrange(100, 9_000))}-{page + 9}"
    ),
    "amount": lambda draw, _: f"{draw.choice('€$£')} {draw.randrange(10**6, 10**9):,}".replace(",", draw.choice(", .")),
    "people": lambda draw, _: f"{draw.randrange(10**6, 10**8):,} people".replace(",", " "),
    "decimals": lambda draw, _: " ".join(f"{draw.uniform(0, 99):.{draw.randrange(2, 6)}f}" for _ in range(3)),
    "table": lambda draw, _: draw.choice(["  ", "\t", " | "]).join(str(draw.randrange(10**6)) for _ in range(5)),
    "ISSN": lambda draw, _: f"ISSN {draw.randrange(1_000, 9_999)}-{draw.randrange(1_000, 9_999)}",
    "ISBN-10": lambda draw, _: f"0-{draw.randrange(10, 99)}-{draw.randrange(100_000, 999_999)}-{draw.randrange(10)}",
    "issue": lambda draw, _: f"#{draw.randrange(10_000, 10**7)}",
    "hours": lambda draw, _: f"open 0{draw.randrange(6, 10)}.30-1{draw.randrange(2, 9)}.00",
    "URL": lambda draw, faker: f"https://acme.org/{faker.date('%Y/%m')}/{draw.randrange(10**6, 10**10)}.html",
}
ALL_NEGATIVES = {**NEGATIVES, **_OTHERS}


def _count(draw: Random) -> int:
    return draw.randrange(1, 130)


TYPES = (PhoneNumberType.FIXED_LINE, PhoneNumberType.MOBILE, PhoneNumberType.TOLL_FREE)


def made_phones(
    count: int,
    carriers: Sequence[str],
    seed: int = 0,
    locales: Sequence[str] = LOCALES,
    regions: Sequence[str] = REGIONS,
) -> Iterator[Made]:
    """`count` texts with a marked phone number; the same arguments give the same texts.

    `carriers`: sentences without a digit, `@` or colon, so that nothing else in them can be found. `form` says where
    the number is from, how it is written, and whether a word stands before it.
    """
    draw, fakers = Random(f"phones {seed}"), [Faker(locale) for locale in locales]
    for locale, faker in zip(locales, fakers, strict=True):
        faker.seed_instance(f"phones {seed} {locale}")
    names, weights = zip(*FORMS.items(), strict=True)
    for _ in range(count):
        form, place = draw.choices(names, weights)[0], draw.randrange(len(locales))
        region = draw.choice(regions)
        language = locales[place][:2] if form == "faker" else "en"
        value = _of_a_person(fakers[place]) if form == "faker" else _formatted(draw, region, form)
        with_word = draw.random() < 0.5
        negative = draw.choice(list(ALL_NEGATIVES))
        other = ALL_NEGATIVES[negative](draw, fakers[place])
        if form == "RFC3966":
            introduction, value = value[:4], value[4:]
        elif with_word:
            introduction = draw.choice(WORDS.get(language, WORDS["en"]).split("|"))
        else:
            introduction = draw.choice(WITHOUT)
        pieces, (before, after) = draw.sample(carriers, 3), draw.choice(SURROUNDINGS)
        before = "" if form == "RFC3966" else before
        first, rest = f"{pieces[0]} {introduction}{before}", f"{after} {pieces[1]}"
        if draw.random() < 0.5:
            first = f"{pieces[2]} {other} {first}"
        else:
            rest = f"{rest} {other} {pieces[2]}"
        shown = f"{locales[place] if form == 'faker' else region} {form} {'with' if with_word else 'without'}"
        yield Made(first + value + rest, len(first), len(first) + len(value), KIND, shown, negative)


FORMS = {"faker": 50, "national": 20, "international": 12, "E164": 6, "RFC3966": 4, "separators": 8}


def _of_a_person(faker: Faker) -> str:
    """Some locales give short codes too, which belong to nobody."""
    while sum(map(str.isdigit, number := faker.phone_number())) < 6:
        pass
    return number


def _formatted(draw: Random, region: str, form: str) -> str:
    number = drawn_number(draw, region)
    if form == "international":
        return phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL)
    if form in ("E164", "RFC3966"):
        return phonenumbers.format_number(number, getattr(PhoneNumberFormat, form))
    national = phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL)
    if form == "national":
        return national
    return re.sub(r"(?<=\d)[ -](?=\d)", draw.choice([".", "-", "/", " ", "\xa0", " - "]), national)


def drawn_number(draw: Random, region: str) -> phonenumbers.PhoneNumber:
    """A valid number of a region: the example of some type, its last four digits drawn where that leaves it valid."""
    examples = [phonenumbers.example_number_for_type(region, kind) for kind in TYPES]
    example = draw.choice([example for example in examples if example is not None])
    for _ in range(5):
        number = phonenumbers.PhoneNumber()
        number.merge_from(example)
        number.national_number = example.national_number // 10_000 * 10_000 + draw.randrange(10_000)
        if phonenumbers.is_valid_number(number):
            return number
    return example
