"""The reference: Presidio's AnalyzerEngine with six recognisers over a tokeniser, without any model or network.

What counts as personal data is Presidio's to say: its patterns, checksums, phone metadata, scores and context words.
The engine built here is the yardstick that the gate (`gate.py`) is held to, and the source of the recognisers that it
calls.

Names, places and organisations need a statistical model and are not looked for. Context words ("phone", "ssn", "card")
are: Presidio compares them with lemmas, and a tokeniser alone gives none, so the lower-cased token stands for its
lemma.

Presidio: https://microsoft.github.io/presidio/ (MIT).
"""

from __future__ import annotations

import logging

import spacy
import tldextract
from presidio_analyzer import AnalyzerEngine, EntityRecognizer, RecognizerRegistry
from presidio_analyzer.context_aware_enhancers import LemmaContextAwareEnhancer
from presidio_analyzer.nlp_engine import SpacyNlpEngine
from presidio_analyzer.predefined_recognizers import (
    CreditCardRecognizer,
    EmailRecognizer,
    IbanRecognizer,
    IpRecognizer,
    PhoneRecognizer,
    UsSsnRecognizer,
)
from spacy.language import Language
from spacy.tokens import Doc

LANGUAGE = "en"  # of the tokeniser, the stop words and the context words; the patterns know no language

# Presidio's debug and error messages quote the text that they are about, which no log of ours may hold.
logging.getLogger("presidio-analyzer").setLevel(logging.CRITICAL + 1)

# By default tldextract fetches the public-suffix list from the network at the first e-mail address, and keeps a copy
# under the home directory. Its bundled list is enough, and the same on every machine.
_SUFFIXES = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)


class OfflineEmailRecognizer(EmailRecognizer):
    """Presidio's e-mail recogniser, validated against the bundled public-suffix list.

    Presidio hands the whole address to tldextract, which reads it as a URL and so takes what stands before a `/`, `?`
    or `#` for the host: `press/jane@example.org` would pass unseen. Only the part after the `@` is a host.
    """

    def validate_result(self, pattern_text: str) -> bool:
        """Whether the address ends in a domain under a known public suffix."""
        return _SUFFIXES(pattern_text.rpartition("@")[2]).fqdn != ""


@Language.component("gristmill_lower_case_lemma")
def _lower_case_lemma(doc: Doc) -> Doc:
    for token in doc:
        token.lemma_ = token.lower_
    return doc


def tokeniser() -> Language:
    """A fresh pipeline of spaCy's English tokeniser alone. It keeps every string that it sees while it lives."""
    nlp = spacy.blank(LANGUAGE)
    nlp.add_pipe("gristmill_lower_case_lemma")
    nlp.max_length = 1 << 40  # spaCy's limit of a million characters guards the memory of parsers
    return nlp


class TokenEngine(SpacyNlpEngine):
    """Presidio's view of `tokeniser`: tokens, lower-cased tokens as lemmas, no entities."""

    def __init__(self) -> None:
        super().__init__()
        self.nlp = {LANGUAGE: tokeniser()}

    def load(self) -> None:
        """Nothing to load, and nothing to download."""


def recognizers() -> list[EntityRecognizer]:
    """The six recognisers, one a kind in the order of `finding.KINDS`, each with Presidio's defaults."""
    return [
        OfflineEmailRecognizer(),
        PhoneRecognizer(),  # US, GB, DE, FR, IL, IN, CA, BR; any country when the number starts with +
        CreditCardRecognizer(),
        IpRecognizer(),
        IbanRecognizer(),
        UsSsnRecognizer(),
    ]


def context_enhancer() -> LemmaContextAwareEnhancer:
    """Presidio's default: a context word among the 5 before a finding, or within it, raises its score by 0.35."""
    return LemmaContextAwareEnhancer()


def analyzer_engine() -> AnalyzerEngine:
    """The reference engine: `.analyze(text, language=LANGUAGE)` at about 0.25 MB of text a second."""
    return AnalyzerEngine(
        registry=RecognizerRegistry(recognizers=recognizers(), supported_languages=[LANGUAGE]),
        nlp_engine=TokenEngine(),
        supported_languages=[LANGUAGE],
        context_aware_enhancer=context_enhancer(),
    )
