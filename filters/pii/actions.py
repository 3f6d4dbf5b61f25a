"""What is done to a finding: here, a tag such as `<EMAIL>` takes its place.

Findings of different kinds overlap (a card number holds a phone number; Presidio gives both). What overlaps, directly
or through others, is one region and gets one tag, for the whole of it: cutting at the edge of one finding would leave
half of the other in the text. The tag is that of the longest finding; among equally long ones, the one with the
higher score, then the kind that stands first in `finding.KINDS`. Findings that only touch are two regions.

A tag holds no digit, quote, backslash or `@`, so no text becomes personal data, or broken JSON, by being tagged. It
does hold words that Presidio takes for context ("phone", "ssn"): `hide_tags` makes them unreadable before a text is
searched, so that tags do not raise the scores of what stands beside them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from .finding import KINDS, Finding, Kind

TAGS: dict[Kind, str] = {
    "EMAIL_ADDRESS": "<EMAIL>",
    "PHONE_NUMBER": "<PHONE>",
    "CREDIT_CARD": "<CARD>",
    "IP_ADDRESS": "<IP>",
    "IBAN_CODE": "<IBAN>",
    "US_SSN": "<SSN>",
}

_TAG = re.compile("<(?:" + "|".join(tag.strip("<>") for tag in TAGS.values()) + ")>")


class Region(NamedTuple):
    """Characters [start, end) to be replaced as one, and the kind that names them."""

    start: int
    end: int
    kind: Kind


def regions(findings: Iterable[Finding]) -> list[Region]:
    """The regions that cover all findings, in order, none overlapping another."""
    result: list[Region] = []
    group: list[Finding] = []
    end = 0
    for finding in sorted(findings):
        if group and finding.start >= end:
            result.append(Region(group[0].start, end, _name(group)))
            group = []
        end = max(end, finding.end) if group else finding.end
        group.append(finding)
    if group:
        result.append(Region(group[0].start, end, _name(group)))
    return result


def _name(group: list[Finding]) -> Kind:
    return max(group, key=lambda f: (f.end - f.start, f.score, -KINDS.index(f.kind))).kind


def replace(text: str, places: Iterable[Region]) -> str:
    """`text` with each region replaced by the tag of its kind."""
    pieces, end = [], 0
    for region in places:
        pieces += (text[end : region.start], TAGS[region.kind])
        end = region.end
    pieces.append(text[end:])
    return "".join(pieces)


def hide_tags(text: str) -> str:
    """`text`, as long as before, with the letters of every tag replaced by one that is in no context word."""
    return _TAG.sub(lambda tag: f"<{'Z' * (len(tag.group()) - 2)}>", text) if "<" in text else text
