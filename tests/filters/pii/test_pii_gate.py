"""The gate gives AnalyzerEngine's findings: type, start, end and score, on real and on hostile text."""

from __future__ import annotations

import gzip
import io
import json
import re
import time
from random import Random

import pytest
import regex
import zstandard
from gristmill.filters.pii.catalogue import CATALOGUE, DEFAULT_KINDS
from gristmill.filters.pii.gate import Gate, readable

EVERYTHING = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x110000)]))
# Digits of regex's Unicode that are none of Python's, on which Presidio's validators may raise
_NEW_DIGIT = regex.compile("[" + "".join(c for c in regex.findall(r"\d", EVERYTHING) if not c.isdecimal()) + "]")


def agree(gate, reference, texts, language="en") -> int:
    """Assert equal findings on every text; how many there were."""
    count = 0
    for text in texts:
        want = reference(text, language)
        assert found(gate, text) == want, text
        count += len(want)
    return count


def found(gate, text: str, context=()) -> list[tuple]:
    findings = gate.find(text, context)
    assert all(f.by == "presidio" for f in findings)
    return [f[:4] for f in findings]


def lines(path):
    with path.open("rb") as file:
        zipped = path.suffix == ".gz"
        stream = gzip.GzipFile(fileobj=file) if zipped else zstandard.ZstdDecompressor().stream_reader(file)
        for line in io.TextIOWrapper(stream, "utf-8"):
            yield json.loads(line)["text"]


@pytest.mark.parametrize("name", ["presidio-generated-large-part1", "presidio-synth-v2-part1", "dolma-documents-000"])
def test_findings_on_labelled_texts(gate, reference, shared_data, name):
    texts = list(lines(shared_data / "pii" / f"{name}.jsonl.gz"))
    texts = Random(name).sample(texts, min(250, len(texts)))
    assert agree(gate, reference, texts) > 10


def test_findings_on_web_pages(gate, reference, shared_data):
    from fastwarc.warc import ArchiveIterator, WarcRecordType
    from resiliparse.extract.html2text import extract_plain_text

    texts = []
    with (shared_data / "web/warc-open/debian-docs-00000.warc.gz").open("rb") as file:
        for record in ArchiveIterator(file, record_types=WarcRecordType.response):
            page = extract_plain_text(record.reader.read().decode("utf-8", "replace"))
            hit = re.search(r"@|\d[-. ]?\d[-. ]?\d[-. ]?\d|::", page)
            if hit:
                texts.append(page[max(0, hit.start() - 300) : hit.start() + 900])
            if len(texts) == 250:
                break
    assert agree(gate, reference, texts) > 50


def test_findings_in_books_and_technical_text(gate, reference, shared_data):
    texts = []
    for name in ("classic-books-part1", "peps-part1"):
        for text, _ in zip(lines(shared_data / "text-en" / f"{name}.jsonl.zst"), range(60), strict=False):
            start = Random(len(text)).randrange(len(text))
            texts.append(text[start : start + 2_000])
    agree(gate, reference, texts)


def test_findings_in_hostile_texts(gate, reference, hostile):
    draw = Random(20)
    texts = [hostile(draw) for _ in range(1_000)]
    texts = [text for text in texts if not _NEW_DIGIT.search(text)]  # on which Presidio's card check may raise
    assert agree(gate, reference, texts) > 1_000


def test_context_is_found_far_from_the_last_finding(gate, reference, hostile):
    """Long texts, where the gate reads windows and goes back as far as it must."""
    draw = Random(21)
    filler = ["the ", "of it ", ". ", "( ", "word ", "\n", "x:y ", " " * 40, "ſ", "\u3000"]
    texts = []
    for _ in range(60):
        parts = []
        for _ in range(4):
            parts += [
                draw.choice(filler) * draw.randint(0, 300),
                draw.choice(["ssn ", "ip ", "phone ", ""]),
                hostile(draw),
            ]
        texts.append("".join(parts))
    texts = [text for text in texts if not _NEW_DIGIT.search(text)]
    assert agree(gate, reference, texts) > 100


LANGUAGES = sorted({language for entry in CATALOGUE.values() for language in entry.languages} - {"en"})


@pytest.mark.parametrize("language", LANGUAGES)
def test_findings_in_hostile_texts_of_a_language(reference, hostile, kinds, language):
    gate = Gate(kinds, language=language)
    draw = Random(language)
    texts = [text for text in (hostile(draw) for _ in range(100)) if not _NEW_DIGIT.search(text)]
    assert agree(gate, reference, texts, language) > 100


@pytest.mark.parametrize("kind", ["EMAIL_ADDRESS", "PHONE_NUMBER", "CREDIT_CARD", "IP_ADDRESS", "IBAN_CODE", "US_SSN"])
def test_one_kind_alone(reference, hostile, kind):
    gate = Gate([kind])
    draw = Random(kind)
    for text in (hostile(draw) for _ in range(60)):
        if not _NEW_DIGIT.search(text):
            assert found(gate, text) == reference(text, entities=[kind])


@pytest.mark.parametrize("kind", [kind for kind, entry in CATALOGUE.items() if entry.recognizers and kind != "IN_PAN"])
def test_a_threshold_that_only_context_reaches(reference, hostile, kind):
    """Where the gate asks for context words before it asks for the kind."""
    language = (CATALOGUE[kind].languages or ("en",))[0]
    gate = Gate([kind], 0.4, language)
    draw = Random(kind)
    for text in (hostile(draw) for _ in range(40)):
        if not _NEW_DIGIT.search(text):
            assert found(gate, text) == reference(text, language, entities=[kind], score_threshold=0.4)


def test_threshold_and_given_context(reference, kinds):
    gate = Gate(kinds, min_score=0.4)
    for text in ("219099999", "::", "(212) 555-2368", "219-09-9999 219099999"):
        for context in ([], ["SSN"], ["user_ip"], ["phone"]):
            assert found(gate, text, context) == reference(text, score_threshold=0.4, context=context)


def test_characters_that_presidio_cannot_read(gate, reference):
    digits = "\U00010d41" * 16  # decimal digits of Unicode 16
    if regex.match(r"\d", digits) and not digits[0].isdecimal():
        with pytest.raises(ValueError):
            reference("4111" + digits[:12])
    text = f"{digits} 4111{digits[:12]} 4111111111111111 \ud800 a@b.com \udfff"
    found = [text[f.start : f.end] for f in gate.find(text) if f.kind in ("CREDIT_CARD", "EMAIL_ADDRESS")]
    assert found == ["4111111111111111", "a@b.com"]
    assert readable("\ud800é") == "\ufffdé"


@pytest.mark.parametrize(
    "text",
    [
        "a." * 100_000 + "@x",
        "a@" * 100_000,
        "a@" + "a-" * 100_000,
        "a@b.com/" + "a/" * 100_000,
        "(" * 100_000 + " a@b.com " + "(" * 100_000 + " 10.0.0.1",
        "1" * 200_000,
        "((1" * 30_000,
        "1 ext 1 " * 10_000,
        ":: " * 10_000,
        "the " * 20_000 + ":: " * 10_000,
        "a:" * 50_000 + " 10.0.0.1",
        "::%" + "a" * 100_000,
        "2012-01-02 08 " * 5_000,
    ],
    ids=lambda text: text[:8],
)
def test_no_text_takes_quadratic_time(text):
    gate = Gate(DEFAULT_KINDS)
    start = time.process_time()
    gate.find(text)
    assert time.process_time() - start < 5  # quadratic: minutes
