"""The fast scan changes nothing: 20,000 real documents, each read by Presidio's engine and by the gate.

Documents are pieces of 1,000 to 1,500 characters of the shared test data: books, proposals and encyclopaedias, web
pages, sentences and declarations in some hundred languages, revisions of one text, instructions, dialogues and labelled
personal data. Records of a file that have one language are strung together and cut at white space; pieces that are
equal count once. Half of the documents are drawn from the pieces that hold an `@`, a `::` or four digits in a row or
nearly so (three tenths of all), the other half from the rest. Revisions of one text differ, but little; they are drawn
as all others are.

Every recogniser by patterns that is on by default looks at each document in the language that the data say, in English
where they say none, and at every score: also at those that no recipe would take.
"""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest
import zstandard
from gristmill.filters.pii.catalogue import CATALOGUE, DEFAULT_KINDS, ENGLISH, language_of
from gristmill.filters.pii.engine import analyzer_engine
from gristmill.filters.pii.gate import Gate

DOCUMENTS = 20_000
FOLDERS = ("text-en", "multilingual", "neardup", "instruct", "preference", "quality", "pii")
KINDS = [kind for kind in DEFAULT_KINDS if CATALOGUE[kind].recognizers]

_PIECE = re.compile(r"(?s).{1000,1499}?(?=\s)|.{1500}")
_LIKELY = re.compile(r"@|::|\d(?:[-. /]?\d){3}")
_TWO_LETTERS = {  # of ISO 639-3, which collections of languages use
    "deu": "de",
    "eng": "en",
    "fin": "fi",
    "ita": "it",
    "kor": "ko",
    "pol": "pl",
    "spa": "es",
    "swe": "sv",
    "tha": "th",
    "tur": "tr",
}
_LANGUAGES = {language for entry in CATALOGUE.values() for language in entry.languages}
_OTHER = "xx"  # languages that no kind is bound to


class Document(NamedTuple):
    """A piece of text, the catalogue's code of its language, and the file that it is from."""

    text: str
    language: str
    file: str


def unpacked(path: Path) -> str:
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    elif path.suffix == ".zst":
        data = zstandard.ZstdDecompressor().decompressobj().decompress(data)
    return data.decode()


def strings(value: object) -> Iterator[str]:
    """Every string in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from strings(item)


def records(path: Path) -> Iterator[tuple[str | None, str]]:
    """(language, text) of the records of a file; a file that has none is one."""
    text = unpacked(path)
    if ".jsonl" not in path.name:
        yield None, text
        return
    for line in text.split("\n"):
        if line:
            record = json.loads(line)
            yield record.get("lang") or record.get("udhr_code"), "\n".join(strings(record))


def pages(path: Path, languages: dict[str, str]) -> Iterator[tuple[str | None, str]]:
    """The same of the pages of an archive; `languages` by address."""
    from fastwarc.warc import ArchiveIterator, WarcRecordType
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.encoding import bytes_to_str, detect_encoding

    with path.open("rb") as file:
        for record in ArchiveIterator(file, record_types=WarcRecordType.response):
            if "html" in (record.http_content_type or ""):
                body = record.reader.read()
                page = extract_plain_text(bytes_to_str(body, detect_encoding(body)))
                yield languages.get(record.headers.get("WARC-Target-URI", "")), page


def pieces(data: Path) -> Iterator[Document]:
    """Every piece of the test data, some more than once."""
    listed = unpacked(data / "web/warc-open/debian-docs-languages.jsonl.gz").splitlines()
    languages = {page["url"]: page["lang"] for page in map(json.loads, listed)}
    files = [path for folder in FOLDERS for path in sorted((data / folder).iterdir()) if path.suffix != ".bz2"]
    archives = [data / "web" / "warc" / f"{name}.warc.gz" for name in ("aut-example", "cc-sample-2", "pywb-iana")]
    archives += sorted((data / "web/warc-open").glob("*.warc.gz"))
    for path in [*files, *archives]:
        texts: dict[str, list[str]] = defaultdict(list)
        for language, text in pages(path, languages) if path in archives else records(path):
            known = language_of(language)
            known = _TWO_LETTERS.get(known, known)
            texts[known if known == ENGLISH or known in _LANGUAGES else _OTHER].append(text)
        for language, held in texts.items():
            yield from (Document(piece, language, path.name) for piece in _PIECE.findall("\n".join(held)))


def documents(data: Path) -> list[Document]:
    """The documents of the test, those of a language together."""
    distinct = list({piece.text: piece for piece in pieces(data)}.values())
    likely, others = [], []
    for piece in distinct:
        (likely if _LIKELY.search(piece.text) else others).append(piece)
    draw = Random(0)
    chosen = draw.sample(likely, DOCUMENTS // 2) + draw.sample(others, DOCUMENTS // 2)
    return sorted(chosen, key=lambda document: document.language)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_findings_are_the_same_with_and_without_the_scan(shared_data):
    chosen = documents(shared_data)
    assert len({document.text for document in chosen}) == DOCUMENTS
    counts: Counter[str] = Counter()
    unlike: Counter[str] = Counter()
    language = None
    for document in chosen:
        if document.language != language:
            language = document.language
            engine, gate = analyzer_engine(KINDS, language), Gate(KINDS, language=language)
        results = engine.analyze(document.text, language=language)
        want = sorted((r.start, r.end, r.entity_type, r.score) for r in results)
        unlike[document.file] += [finding[:4] for finding in gate.find(document.text)] != want
        counts.update(kind for _, _, kind, _ in want)
    assert not +unlike
    assert {"EMAIL_ADDRESS", "PHONE_NUMBER", "IP_ADDRESS", "US_SSN", "US_BANK_NUMBER"} <= counts.keys()
    assert counts.total() > DOCUMENTS / 4
