"""The reference that the gate is held to, and sources of texts: hostile ones, and sentences that hold nothing."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from random import Random

import pytest
import zstandard

HITS = (
    """
jane@example.org|a.b+c@sub.example.co.uk|x@y|a..b@c.de|.a@b.com|a.@b.com|a@b.c@d.e|joe@exa-mple.com|a/b@c.com
joe@xn--80ak6aa92e.com|x?y=q@c.com|иван@пример.рф|me@@x.org|@a.com|a@b-.com|u@h.com-|a@b.com.x@y.org+z@w.net
4111111111111111|4111-1111-1111-1111|5500 0000 0000 0004|378282246310005|٤١١١١١١١١١١١١١١١|6011000990139424
1234567890123|3530 1113 3330 0000|(212) 555-2368|+1 212 555 2368|212-555-2368|020 7946 0958|+44 20 7946 0958
030 123456|089/1234567|+4930123456|01 42 68 53 00|02-1234567|09876543210|(11) 98765-4321|0 11 98765 4321|016int 42
016ınt 42|030 1234 ext 5|555-0199x12|xx12x34x|8 (800) 555|２１２－５５５－２３６８|00 44 20 7946 0958|110|0151
011 44 20 7946 0958|6512342345/3324451234|12(3): 211-227 (2003)|2012-01-02 08:00|2012-01-02 08|3/10/2011
0800xx5551234|1-800-flowers|$2125552368|2125552368%|é2125552368|10.1.2.3|192.168.0.1/24|1.2.3.4.5|::1|::
fe80::1%eth0|2001:db8::8a2e:370:7334|1:2:3:4:5:6:7:8|::ffff:10.0.0.1|1:2:3:4:5:6:1.2.3.4|::/128|a::b::c|std::vector
99.99.99.999|12:34:56:78:9a:bc|0:0:0:0:0:0:0:0|DE89370400440532013000|DE89 3704 0044 0532 0130 00
GB82 WEST 1234 5698 7654 32|GB82WEST12345698765432x|FR14 2004 1010 0505 0001 3M02 606|XX00 1234 5678 9012|123-45-6789
078-05-1120|219099999|219-09-9999|219.09.9999|219 09 9999|21909-9999|219-099999|000-12-3456|219-09.9999
912-70-1234|912 701234|912701234|00:1A:2B:3C:4D:5E|00-1a-2b-3c-4d-5e|001a.2b3c.4d5e|1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa
3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy|bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq|A12345678|D1234567|WDP12345|12345678901
943 476 5919|943-476-5919|9434765919|BB1388568|12345678Z|12345678-Z|X1234567L|X-1234567-L|RSSMRA85T10A562S|AX1234567
rssmra85t10a562s|IT12345678903|CA12345AA|AA1234567|44051401359|131052-308T|131052+308t|811218-9876|19811218-9876
8112189876|10000000146|900101-1234567|9001011234567|M12345678|11-12-345678-90|1101700230705|65929970489|65 929 970 489
C01X0006T|15070649C103|A123456780|T22000129|L01X00T47|12/345/67890|29 123 456 7
""".replace("\n", "|")
    .strip("|")
    .split("|")
)
WORDS = """
call phone Phone: ssn SSN: social security card credit ip IP iban bank email e-mail: number the a of it is be -PRON- cc
visa driver license permit public passport united states bank account check nhs tax itin wallet btc mac address
medical certificate carta dni nif cf patente passaporto pesel hetu personnummer kimlik steuer-id ausweis 여권
mobile:1 a:1 the:of x:y:z :) :-( <3 ^_^ ... -- ( ) [ ] " ' 's don't U.S. e.g. http://a.b/c?d=1 % $ € / // | x ext
int anexo extenſion ſsn İp \u200b \ufeff ١ ٢٣ 𝟏𝟐𝟑𝟒 \U00010d41\U00010d42 ² ½ \u0301 Ａ <EMAIL> <PHONE>
"""
GAPS = [
    *(" ", " ", " ", " ", "", "", "\n", "\t", "  ", "\n\n", "\r\n", "\x0b", "\x1c", "\x85", "\xa0", "\u2028", "\u3000"),
    *(" \n ", "\u2003", "\x1f", ", ", ". ", ": ", ":", ";", "-", "."),
]
CHARACTERS = "0123456789-.:/()+ xX@abcdef\n,[]~#;=extinEXTINT\u0661\uff11\u2010\xa0\u0131\u0130"


def _hostile(draw: Random) -> str:
    """Findings, half findings, context words and odd white space in any order; or mere characters of numbers."""
    if draw.random() < 0.25:
        return "".join(draw.choice(CHARACTERS) for _ in range(draw.randint(1, 120)))
    pieces = []
    for _ in range(draw.randint(1, 25)):
        kind = draw.random()
        if kind < 0.35:
            hit = draw.choice(HITS)
            if draw.random() < 0.25:
                place = draw.randrange(len(hit))
                hit = hit[:place] + draw.choice(CHARACTERS) + hit[place + draw.randint(0, 1) :]
            pieces.append(hit)
        elif kind < 0.9:
            pieces.append(draw.choice(WORDS.split()))
        else:
            pieces.append("".join(draw.choice(CHARACTERS) for _ in range(draw.randint(1, 14))))
        pieces.append(draw.choice(GAPS))
    return "".join(pieces)


@pytest.fixture(scope="session")
def hostile() -> Callable[[Random], str]:
    return _hostile


@pytest.fixture(scope="session")
def carriers(shared_data) -> list[str]:
    """Sentences of novels in which nothing can be found."""
    found: set[str] = set()
    with zstandard.open(shared_data / "text-en/classic-books-part1.jsonl.zst", "rb") as file:
        for line, _ in zip(io.TextIOWrapper(file, "utf-8"), range(6), strict=False):
            sentences = re.split(r"(?<=[.!?])\s+", json.loads(line)["text"])
            found.update(" ".join(sentence.split()) for sentence in sentences)
    return sorted(s for s in found if 40 <= len(s) <= 160 and not re.search(r"[\d@:]", s))


@pytest.fixture(scope="session")
def refuse_sockets() -> str:
    """The start of a program that opens no connection; `tries` holds those that it asked for."""
    return """
import socket
tries = []
def refuse(*args, **options):
    tries.append(args)
    raise OSError("no network in this test")
for name in ("connect", "connect_ex", "sendto"):
    setattr(socket.socket, name, refuse)
socket.getaddrinfo = socket.create_connection = refuse
"""


@pytest.fixture(scope="session")
def kinds() -> list[str]:
    """All that Presidio finds, but for one kind whose pattern looks at the rest of the text from every place in it."""
    from gristmill.filters.pii.catalogue import CATALOGUE

    return [kind for kind, entry in CATALOGUE.items() if entry.recognizers and kind != "IN_PAN"]


@pytest.fixture(scope="session")
def reference(kinds) -> Callable[..., list[tuple]]:
    """text -> [(start, end, kind, score)] of AnalyzerEngine, in the gate's order.

    With all recognisers of `kinds` that a document in the language has.
    """
    from gristmill.filters.pii.engine import analyzer_engine

    engines = {}

    def analyze(text: str, language: str = "en", **options) -> list[tuple]:
        if language not in engines:
            engines[language] = analyzer_engine(kinds, language)
        results = engines[language].analyze(text, language=language, **options)
        return sorted((r.start, r.end, r.entity_type, r.score) for r in results)

    return analyze


@pytest.fixture(scope="session")
def gate(kinds):
    from gristmill.filters.pii.gate import Gate

    return Gate(kinds)
