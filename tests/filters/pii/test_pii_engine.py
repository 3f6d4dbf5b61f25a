"""The reference engine asks no network, says nothing of what it reads, and knows an address by its domain."""

from __future__ import annotations

import logging
import os
import subprocess
import sys

import pytest
from gristmill.filters.pii.catalogue import CATALOGUE, KINDS, searched
from gristmill.filters.pii.engine import OfflineEmailRecognizer, recognizers
from presidio_analyzer import PatternRecognizer, predefined_recognizers

NO_NETWORK = """
import logging
from gristmill.filters.pii.engine import analyzer_engine
from gristmill.filters.pii.gate import Gate

text = "write to jane@example.co.uk, call (212) 555-2368, DE89370400440532013000 from 10.1.2.3"
found = analyzer_engine().analyze(text, language="en")
assert {r.entity_type for r in found} == {"EMAIL_ADDRESS", "PHONE_NUMBER", "IBAN_CODE", "IP_ADDRESS"}, found
assert len(Gate().find(text)) == len(found)
assert not tries, tries

logging.disable()
import tldextract
tldextract.extract("jane@example.co.uk")
assert tries, "tldextract's default no longer asks the network: this test proves nothing"
"""


def test_no_socket_is_opened(tmp_path, refuse_sockets):
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "XDG_CACHE_HOME": str(tmp_path),
        "TLDEXTRACT_CACHE": str(tmp_path),
    }
    environment.pop("TLDEXTRACT_SUFFIX_LIST_URLS", None)
    done = subprocess.run(
        [sys.executable, "-c", refuse_sockets + NO_NETWORK],
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


LANGUAGES = sorted({language for entry in CATALOGUE.values() for language in entry.languages})


@pytest.mark.parametrize("language", LANGUAGES)
def test_recognisers_of_a_language_in_order(language):
    made = recognizers(language=language)
    expected = [kind for kind in KINDS if CATALOGUE[kind].recognizers and searched(kind, language)]
    assert [r.supported_entities for r in made] == [[kind] for kind in expected]
    assert {r.supported_language for r in made} == {language}


def test_the_catalogue_holds_what_presidio_ships():
    """Every recogniser by pattern, in the languages that Presidio has it for, but for those named as left out."""
    shipped = [c for c in vars(predefined_recognizers).values() if isinstance(c, type)]
    shipped = [c for c in shipped if issubclass(c, PatternRecognizer) and c is not PatternRecognizer]
    left_out = {"DATE_TIME", "URL", "UUID"}
    entities = {made.supported_entities[0]: made for made in (c() for c in shipped)}
    assert entities.keys() - left_out == {k for k, e in CATALOGUE.items() if e.recognizers} - {"PHONE_NUMBER"}
    for kind, made in entities.items():
        if kind not in left_out and CATALOGUE[kind].languages:
            assert made.supported_language == CATALOGUE[kind].languages[0], kind


@pytest.mark.parametrize(
    ("address", "valid"),
    [
        ("jane@example.org", True),
        ("press/jane@example.co.uk", True),
        ("page?mail=jane@example.org", True),
        ("#jane@example.org", True),
        ("иван@пример.рф", True),
        ("jane@example.invalid", False),
        ("example.org/jane@localhost.nowhere", False),
        ("root@10.0.0.1", False),
    ],
)
def test_an_address_is_known_by_its_domain(address, valid):
    recognizer = OfflineEmailRecognizer()
    assert recognizer.validate_result(address) is valid
    assert bool(recognizer.analyze(address, ["EMAIL_ADDRESS"])) is valid


def test_logs_hold_no_text(gate, reference, caplog):
    with caplog.at_level(logging.DEBUG):
        text = "call me: ssn 219-09-9999, jane@example.org, DE89370400440532013000, card 4111111111111111"
        assert len(reference(text)) == len(gate.find(text)) > 3
    assert not any(secret in caplog.text for secret in ("219-09", "jane", "DE89", "4111", "ssn"))
