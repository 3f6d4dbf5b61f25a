"""The reference: Presidio's AnalyzerEngine with its recognisers over a tokeniser, without any model or network.

What counts as personal data is Presidio's to say: its patterns, checksums, phone metadata, scores and context words.
The engine built here is the yardstick that the gate (`gate.py`) is held to, and the source of the recognisers that it
calls.

Context words ("phone", "ssn", "card") are compared with lemmas by Presidio, and a tokeniser alone gives none, so the
lower-cased token stands for its lemma. Names, places and organisations need a model (`names.py`).

Presidio: https://microsoft.github.io/presidio/ (MIT).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import spacy
import tldextract
from presidio_analyzer import AnalyzerEngine, EntityRecognizer, RecognizerRegistry, predefined_recognizers
from presidio_analyzer.context_aware_enhancers import LemmaContextAwareEnhancer
from presidio_analyzer.nlp_engine import SpacyNlpEngine
from presidio_analyzer.predefined_recognizers import EmailRecognizer
from spacy.language import Language
from spacy.tokens import Doc

from .catalogue import CATALOGUE, ENGLISH, KINDS, searched
from .finding import Kind
from .replacements import REGIONS

# spaCy's own tokenisers; those of Korean and Thai need packages with dictionaries, and every other language has none of
# its own among the kinds: theirs is the English one.
TOKENISERS = ("en", "de", "es", "fi", "it", "pl", "sv", "tr")

# Context words that Presidio's default configuration gives a recogniser in a language.
_CONTEXT = {
    ("CreditCardRecognizer", "es"): [
        *("tarjeta", "credito", "visa", "mastercard", "cc", "amex", "discover", "jcb", "diners", "maestro"),
        "instapayment",
    ]
}

# Presidio's debug and error messages quote the text that they are about, which no log of ours may hold.
logging.getLogger("presidio-analyzer").setLevel(logging.CRITICAL + 1)

# By default tldextract fetches the public-suffix list from the network at the first e-mail address, and keeps a copy
# under the home directory. Its bundled list is enough, and the same on every machine.
_SUFFIXES = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)


def has_public_suffix(host: str) -> bool:
    """Whether a host's name is a domain under a suffix at which anyone can register one, as `co.uk`."""
    return _SUFFIXES(host).fqdn != ""


class OfflineEmailRecognizer(EmailRecognizer):
    """Presidio's e-mail recogniser, validated against the bundled public-suffix list.

    Presidio hands the whole address to tldextract, which reads it as a URL and so takes what stands before a `/`, `?`
    or `#` for the host: `press/jane@example.org` would pass unseen. Only the part after the `@` is a host.
    """

    def validate_result(self, pattern_text: str) -> bool:
        """Whether the address ends in a domain under a known public suffix."""
        return has_public_suffix(pattern_text.rpartition("@")[2])


@Language.component("gristmill_lower_case_lemma")
def _lower_case_lemma(doc: Doc) -> Doc:
    for token in doc:
        token.lemma_ = token.lower_
    return doc


def tokeniser(language: str = ENGLISH) -> Language:
    """A fresh pipeline of spaCy's tokeniser alone. It keeps every string that it sees while it lives."""
    nlp = spacy.blank(language if language in TOKENISERS else ENGLISH)
    nlp.add_pipe("gristmill_lower_case_lemma")
    nlp.max_length = 1 << 40  # spaCy's limit of a million characters guards the memory of parsers
    return nlp


class TokenEngine(SpacyNlpEngine):
    """Presidio's view of `tokeniser`: tokens, lower-cased tokens as lemmas, no entities."""

    def __init__(self, language: str = ENGLISH) -> None:
        super().__init__()
        self.nlp = {language: tokeniser(language)}

    def load(self) -> None:
        """Nothing to load, and nothing to download."""


def recognizers(
    kinds: Sequence[Kind] = KINDS, language: str = ENGLISH, phone_regions: Sequence[str] = REGIONS
) -> list[EntityRecognizer]:
    """Presidio's recognisers of the kinds that are looked for in a language, in the order of `catalogue.KINDS`.

    With Presidio's defaults, but for the regions whose national form a phone number may have; a number that starts
    with + may be any country's.
    """
    made = []
    for kind in KINDS:
        if kind not in kinds or not searched(kind, language):
            continue
        for name in CATALOGUE[kind].recognizers:
            options = {"supported_regions": tuple(phone_regions)} if kind == "PHONE_NUMBER" else {}
            if (name, language) in _CONTEXT:
                options["context"] = _CONTEXT[name, language]
            known = OfflineEmailRecognizer if kind == "EMAIL_ADDRESS" else getattr(predefined_recognizers, name)
            made.append(known(supported_language=language, **options))
    return made


def context_enhancer(whole_words: bool = False) -> LemmaContextAwareEnhancer:
    """Presidio's default: a context word among the 5 before a finding, or within it, raises its score by 0.35.

    There a context word may be a part of a word ("lic" of "public"); not with `whole_words`.
    """
    return LemmaContextAwareEnhancer(context_matching_mode="whole_word" if whole_words else "substring")


def analyzer_engine(
    kinds: Sequence[Kind] = KINDS, language: str = ENGLISH, more: Sequence[EntityRecognizer] = ()
) -> AnalyzerEngine:
    """The reference engine, with the recognisers `more` beside Presidio's: `.analyze(text, language=language)`.

    It reads some half a megabyte of text a second.
    """
    return AnalyzerEngine(
        registry=RecognizerRegistry(recognizers=[*recognizers(kinds, language), *more], supported_languages=[language]),
        nlp_engine=TokenEngine(language),
        supported_languages=[language],
        context_aware_enhancer=context_enhancer(),
    )
