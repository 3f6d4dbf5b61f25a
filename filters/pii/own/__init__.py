"""Recognisers of our own, beside Presidio's: what it has no pattern for, or finds by halves.

Each gives findings that are worth taking: a right form and a right check, or a form and a word that says what it is.
`recognizers: presidio` in a recipe leaves them all out (`search.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from ..finding import Finding, Kind


class Recognizer(Protocol):
    """Finds one kind. Presidio's recognisers run beside it; what is contained in another finding is dropped later."""

    kind: Kind
    must_hold: str
    """In RE2's syntax: every text with a finding matches it somewhere."""

    def find(self, text: str, context: Sequence[str] = ()) -> Iterable[Finding]:
        """The findings in `text`, in any order. `context`: words that count as if they stood beside every finding."""
        ...
