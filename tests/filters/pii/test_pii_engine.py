"""The reference engine asks no network, says nothing of what it reads, and knows an address by its domain."""

from __future__ import annotations

import logging
import os
import subprocess
import sys

import pytest
from gristmill.filters.pii.engine import OfflineEmailRecognizer, recognizers
from gristmill.filters.pii.finding import KINDS

NO_NETWORK = """
import logging, socket, sys
tries = []
def refuse(*args, **options):
    tries.append(args)
    raise OSError("no network in this test")
for name in ("connect", "connect_ex", "sendto"):
    setattr(socket.socket, name, refuse)
socket.getaddrinfo = socket.create_connection = refuse

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


def test_no_socket_is_opened(tmp_path):
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "XDG_CACHE_HOME": str(tmp_path),
        "TLDEXTRACT_CACHE": str(tmp_path),
    }
    environment.pop("TLDEXTRACT_SUFFIX_LIST_URLS", None)
    done = subprocess.run(
        [sys.executable, "-c", NO_NETWORK], capture_output=True, text=True, env=environment, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_one_recogniser_a_kind_in_order():
    assert [r.supported_entities for r in recognizers()] == [[kind] for kind in KINDS]


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
