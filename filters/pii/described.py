"""Recognisers that a recipe describes: a pattern, context words, and who validates what matches.

They are Presidio's `PatternRecognizer`, so they go through the same gate, and score and count context as its own do.
"""

from __future__ import annotations

import regex
from presidio_analyzer import Pattern, PatternRecognizer

from . import settings
from .checks import validator


class Described(PatternRecognizer):
    """The recogniser of one entry of `scrub.patterns`."""

    def __init__(self, described: settings.Pattern, language: str):
        flags = regex.MULTILINE | regex.DOTALL | (regex.IGNORECASE if described.ignore_case else 0)
        super().__init__(
            supported_entity=described.kind,
            patterns=[Pattern(described.kind, described.pattern, described.score)],
            context=list(described.context),
            supported_language=language,
            global_regex_flags=flags,
        )
        self._validator = None if described.validator is None else validator(described.validator)

    def validate_result(self, pattern_text: str) -> bool | None:
        """What the validator says of a match."""
        return None if self._validator is None else self._validator(pattern_text)
