"""What the search for personal data yields: a kind, a span of characters, and how sure Presidio is of it.

Light on purpose: recipes import the names of the kinds, and nothing here needs Presidio or spaCy.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

Kind = Literal["EMAIL_ADDRESS", "PHONE_NUMBER", "CREDIT_CARD", "IP_ADDRESS", "IBAN_CODE", "US_SSN"]
"""Presidio's names of the entities that the six recognisers know."""

KINDS: tuple[Kind, ...] = get_args(Kind)


class Finding(NamedTuple):
    """Characters [start, end) of a text hold personal data of a kind; `score` is Presidio's, between 0 and 1."""

    start: int
    end: int
    kind: Kind
    score: float
