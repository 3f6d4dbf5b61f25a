"""Personal data in the characters of the world: what is found, where a finding ends, what stays of what surrounds it.

Characters are named where they cannot be seen: UAX 9 has the marks and isolates of direction, RFC 6531 and 5891 the
addresses and domains in other letters than ASCII's, RFC 5322 the quoted local part.
"""

from __future__ import annotations

import re

import pyarrow as pa
import pytest
from gristmill.filters.pii import scrub
from gristmill.filters.pii.replacements import INVISIBLE
from gristmill.filters.pii.scrub import redact, scrub_texts
from gristmill.filters.pii.settings import NO_EXCEPTIONS, ScrubSettings
from hypothesis import given
from hypothesis import strategies as st

LRM, RLM = "\N{LEFT-TO-RIGHT MARK}", "\N{RIGHT-TO-LEFT MARK}"
LRE, PDF = "\N{LEFT-TO-RIGHT EMBEDDING}", "\N{POP DIRECTIONAL FORMATTING}"
LRI, RLI, PDI = "\N{LEFT-TO-RIGHT ISOLATE}", "\N{RIGHT-TO-LEFT ISOLATE}", "\N{POP DIRECTIONAL ISOLATE}"
SHY, ZWSP, WJ = "\N{SOFT HYPHEN}", "\N{ZERO WIDTH SPACE}", "\N{WORD JOINER}"
BOM, ACUTE, NBSP = "\N{ZERO WIDTH NO-BREAK SPACE}", "\N{COMBINING ACUTE ACCENT}", "\N{NO-BREAK SPACE}"
NNBSP, NBHY = "\N{NARROW NO-BREAK SPACE}", "\N{NON-BREAKING HYPHEN}"

CASES = [
    # addresses in other letters
    ("to jane@müller.de now", "to <EMAIL> now", "a domain of Latin letters"),
    ("to jane@xn--mller-kva.de now", "to <EMAIL> now", "the same domain in ASCII"),
    ("to иван@пример.рф, now", "to <EMAIL>, now", "a name, a domain and a suffix in Cyrillic"),
    ("to jane@xn--e1afmkfd.xn--p1ai.", "to <EMAIL>.", "the same domain in ASCII"),
    ("李明@例え.jp。", "<EMAIL>。", "Han and Kana, before an ideographic full stop"),
    ("邮箱：jane@acme.org，谢谢", "邮箱：<EMAIL>，谢谢", "between full-width punctuation"),
    ("zoe\N{COMBINING DIAERESIS}@acme.org", "<EMAIL>", "a letter and its accent apart"),
    ("ﬁona@acme.org", "<EMAIL>", "a ligature"),
    # quoted local parts
    ('to "jane roe"@acme.org now', "to <EMAIL> now", "a space"),
    ('to "jane\\"roe"@acme.org now', "to <EMAIL> now", "an escaped quote"),
    ('to "jane@home"@acme.org now', "to <EMAIL> now", "another @"),
    ('"jane.roe"@müller.de', "<EMAIL>", "a name that needs no quotes"),
    ('he said "call 212-555-2368"@ noon', 'he said "call <PHONE>"@ noon', "no address, with a number in it"),
    # full width
    ("ｊａｎｅ＠ａｃｍｅ．ｏｒｇ", "<EMAIL>", "an address"),
    ("to jane＠acme.org。", "to <EMAIL>。", "@ alone"),
    ("２１２－５５５－２３６８", "<PHONE>", "digits and hyphens"),
    ("电话０１０-１２３４５６７８", "电话<PHONE>", "digits behind a word without a space"),
    ("４１１１ １１１１ １１１１ １１１１", "<CARD>", "a card"),
    ("ssn ２１９-０９-９９９９", "ssn <SSN>", "a social security number"),
    ("ＤＥ８９３７０４００４４０５３２０１３０００", "<IBAN>", "letters and digits"),
    ("at ８.８.８.８", "at <IP>", "an IP address"),
    ("Silbe und １２３", "Silbe und １２３", "digits that are nothing"),
    # direction: what stands around a finding stays
    (f"x {RLM}jane@acme.org{RLM} y", f"x {RLM}<EMAIL>{RLM} y", "marks around an address"),
    (f"x {LRE}8.8.8.8{PDF} y", f"x {LRE}<IP>{PDF} y", "an embedding"),
    (f"x {LRI}jane@acme.org{PDI} y", f"x {LRI}<EMAIL>{PDI} y", "an isolate"),
    (f"x {RLI}+972 52 999 1234{PDI} y", f"x {RLI}<PHONE>{PDI} y", "an isolate around a number"),
    (f"jane{LRM}@{RLM}acme.org", "<EMAIL>", "marks within an address"),
    (f"+972{LRM} 52{LRM} 999 1234", "<PHONE>", "marks within a number"),
    (f"({LRM}212) 555{RLM}-2368", "<PHONE>", "marks beside parentheses and hyphens"),
    (f"4111{RLM} 1111{RLM} 1111 1111", "<CARD>", "marks within a card"),
    (f"{LRI}4111{PDI}{LRI}1111{PDI} 1111 1111", f"{LRI}<CARD>", "isolates around its groups"),
    # soft hyphens and characters without width
    (f"ja{SHY}ne@ac{SHY}me.org", "<EMAIL>", "an address that is hyphenated"),
    (f"4111 11{SHY}11 1111 1111", "<CARD>", "a card"),
    (f"DE89 3704 0044 0532{SHY} 0130 00", "<IBAN>", "an IBAN"),
    (f"212-555-{SHY}2368", "<PHONE>", "a phone number"),
    (f"Silben{SHY}trennung", f"Silben{SHY}trennung", "a word"),
    (f"{ZWSP}jane@acme.org{ZWSP}", f"{ZWSP}<EMAIL>{ZWSP}", "around an address"),
    (f"jane@acme{ZWSP}.org", "<EMAIL>", "within an address"),
    (f"4111{ZWSP}1111{ZWSP}1111{ZWSP}1111", "<CARD>", "between groups"),
    (f"DE89{ZWSP}3704{ZWSP}0044{ZWSP}0532{ZWSP}0130{ZWSP}00", "<IBAN>", "between groups"),
    (f"8{ZWSP}.8.8{WJ}.8", "<IP>", "within an IP address"),
    (f"00:1A:2B:{ZWSP}3C:4D:5E", "<MAC>", "within a MAC address"),
    (f"is ghp_{ZWSP}16C7e42F292c6912E7710c838347Ae178B4a", "is <SECRET>", "within a token"),
    (f"ftp://jane:s3cr3t{ZWSP}w0rt@acme.org/", "ftp://<CREDENTIALS>@acme.org/", "within a password"),
    (f"{BOM}jane@acme.org{BOM}", f"{BOM}<EMAIL>{BOM}", "byte order marks"),
    # digits of other scripts
    ("هاتف ٠٥٠١٢٣٤٥٦٧", "هاتف <PHONE>", "Arabic"),
    ("+٩٧٢ ٥٢ ٩٩٩ ١٢٣٤", "<PHONE>", "Arabic, with a country code"),
    ("tel ۰۹۱۲ ۳۴۵ ۶۷۸۹", "tel <PHONE>", "Persian"),
    ("फोन: ०९८७६ ५४३२१०", "फोन: <PHONE>", "Devanagari"),
    # no-break spaces and their kin
    (NBSP.join(["4111", "1111", "1111", "1111"]), "<CARD>", "a card"),
    (NNBSP.join(["4111", "1111", "1111", "1111"]), "<CARD>", "a card, narrow"),
    (NBSP.join(["DE89", "3704", "0044", "0532", "0130", "00"]), "<IBAN>", "an IBAN"),
    (NBSP.join(["+33", "1", "84", "17", "61", "18"]), "<PHONE>", "a phone number"),
    (NNBSP.join(["+33", "1", "84", "17", "61", "18"]), "<PHONE>", "a phone number, narrow"),
    (NBHY.join(["212", "555", "2368"]), "<PHONE>", "hyphens that do not break"),
    (f"mail{NBSP}jane@acme.org{NBSP}:", f"mail{NBSP}<EMAIL>{NBSP}:", "around an address"),
    # characters beside a finding
    (f"212-555-2368{ACUTE}", f"<PHONE>{ACUTE}", "an accent behind a number"),
    (f"{ACUTE} 4111 1111 1111 1111", f"{ACUTE} <CARD>", "an accent before a number"),
    ("x\N{LINE SEPARATOR}jane@acme.org\N{LINE SEPARATOR}y", "x\u2028<EMAIL>\u2028y", "separators of lines"),
    ("\ud800 jane@acme.org \udfff", "\ud800 <EMAIL> \udfff", "lone surrogates around"),
    ("jane@acme.org\udfff 8.8.8.8", "<EMAIL>\udfff <IP>", "a lone surrogate between"),
    (f"\ud800 4111{ZWSP}1111 1111 1111", "\ud800 <CARD>", "a lone surrogate and a text in plain form"),
    ("😀😀 jane@acme.org 😀", "😀😀 <EMAIL> 😀", "characters beyond the first plane"),
    ("😀212-555-2368😀", "😀<PHONE>😀", "beside a number"),
    (f"𝟒𝟏 {ZWSP}😀4111 1111 1111 1111 𐡀 ja{SHY}ne@acme.org", f"𝟒𝟏 {ZWSP}😀<CARD> 𐡀 <EMAIL>", "in plain form too"),
]


@pytest.mark.parametrize(("text", "clean", "what"), CASES, ids=[what for *_, what in CASES])
def test_what_is_replaced(text, clean, what):
    assert redact(text) == clean
    assert redact(clean) == clean


VALUES = {
    "jane.roe@acme.org": "<EMAIL>",
    "иван@пример.рф": "<EMAIL>",
    "4111 1111 1111 1111": "<CARD>",
    "378282246310005": "<CARD>",
    "DE89 3704 0044 0532 0130 00": "<IBAN>",
    "212-555-2368": "<PHONE>",
    "+972 52 999 1234": "<PHONE>",
    "219-09-9999": "<SSN>",
    "93.184.216.34": "<IP>",
    "2001:4860:4860::8888": "<IP>",
}
UNSEEN = re.findall(f"[{INVISIBLE}]", "".join(map(chr, range(0x10000))))


@given(st.sampled_from(list(VALUES)), st.lists(st.tuples(st.integers(1, 30), st.sampled_from(UNSEEN)), max_size=6))
def test_invisible_characters_anywhere_within(value, inserted):
    """The value goes as a whole, with them; those that stand around it stay."""
    text = value
    for place, character in inserted:
        place = 1 + place % (len(text) - 1)
        text = text[:place] + character + text[place:]
    assert redact(f"see {RLM}{text}{RLM} now") == f"see {RLM}{VALUES[value]}{RLM} now"


@given(st.text("\u00e9\u0301\U0001f600\U00010840\ud800\u4e2d\u05d0\uff21", max_size=12), st.sampled_from(list(VALUES)))
def test_offsets_count_characters(before, value):
    text = f"{before} {value}"
    (finding,) = scrub.search_of(NO_EXCEPTIONS, None).find(text)
    assert text[finding.start : finding.end] == value


def test_both_writings_of_an_address_get_one_fake(monkeypatch):
    monkeypatch.setenv("SCRUB_KEY", "a secret key of many characters")
    text = f"иван@пример.рф иван@xn--e1afmkfd.xn--p1ai ив{SHY}ан＠пример.рф"
    faked = scrub_texts(pa.array([text]), ScrubSettings(action="fake", key_env="SCRUB_KEY"))[0].as_py()
    a, b, c = faked.split()
    assert a == b == c


def test_exceptions_see_the_plain_form():
    """An address that is nobody's, however it is written."""
    text = f"noreply{ZWSP}@acme.org, jane@exam{SHY}ple.com, jane＠example.com, ja{SHY}ne@acme.org"
    assert scrub_texts(pa.array([text]), ScrubSettings())[0].as_py() == text.rpartition(" ")[0] + " <EMAIL>"
