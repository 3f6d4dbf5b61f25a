"""Personal data in what stands around the text: the metadata, which are JSON, and the id, address, date and language.

Metadata are scrubbed value by value, never as raw JSON: what looks like one number may be two values, and an edit of
the raw form could end a string or an escape. Keys are scrubbed too. A whole number that is personal data (a card
number as a JSON number) becomes a tagged string. Each value is searched with its key as context, so that {"ssn":
219099999} is found.

What is here by the thousand may look like a phone number by chance and is none. UUIDs, and values that are a date and
time, are hidden from the search. Bare numbers (a JSON number, an id of digits only) are counters and timestamps as a
rule, and 7 of 10 Unix timestamps, 9 of 10 numbers of ten digits are valid phone numbers somewhere: they count as one
only if the key says so ("phone", "mobile", "cell").
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Protocol

from ...document import json_text

_UUID = re.compile(r"(?<![0-9A-Za-z])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![0-9A-Za-z])", re.IGNORECASE)
_TIME = re.compile(
    r"[12]\d{3}-[01]\d-[0-3]\d(?:[T ][0-2]\d:[0-5]\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?)?", re.ASCII
)


def hide_neutral(text: str) -> str:
    """`text`, as long as before, with a letter for each character of a UUID, or of a date and time if that is all."""
    if text.count("-") >= 4:
        text = _UUID.sub(lambda uuid: "Z" * len(uuid.group()), text)
    return "Z" * len(text) if _TIME.fullmatch(text) else text


class Replace(Protocol):
    """The text scrubbed; the same object if nothing was found. `bare`: a number that only its context explains."""

    def __call__(self, text: str, context: Sequence[str] = (), bare: bool = False) -> str: ...


def scrub_json(raw: str, replace: Replace) -> str:
    """`raw` JSON with every string, key and whole number scrubbed; `raw` itself if nothing was found.

    What is no JSON, or nested beyond Python's limit, is scrubbed as plain text.
    """
    try:
        value = json.loads(raw)
        scrubbed = _walk(value, (), replace)
        if scrubbed is value:
            return raw
        text = json_text(scrubbed)
        return text if text.isascii() or _encodes(text) else json.dumps(scrubbed, sort_keys=True, separators=(",", ":"))
    except (ValueError, RecursionError):
        return replace(raw)


def _encodes(text: str) -> bool:
    """False for lone surrogates, which JSON escapes may hold and UTF-8 may not."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _walk(value: Any, context: Sequence[str], replace: Replace) -> Any:
    """`value` scrubbed; the same object if nothing in it was found."""
    if isinstance(value, str):
        return replace(value, context)
    if isinstance(value, dict):
        return _walk_mapping(value, replace)
    if isinstance(value, list):
        scrubbed = [_walk(item, context, replace) for item in value]
        return value if all(new is old for new, old in zip(scrubbed, value, strict=True)) else scrubbed
    if isinstance(value, bool) or value is None or (isinstance(value, float) and not value.is_integer()):
        return value
    digits = str(int(value))
    scrubbed = replace(digits, context, bare=True)
    return value if scrubbed is digits else scrubbed


def _walk_mapping(mapping: dict[str, Any], replace: Replace) -> dict[str, Any]:
    scrubbed: dict[str, Any] = {}
    changed = False
    for key in sorted(mapping):
        value = _walk(mapping[key], (key,), replace)
        name = replace(key)
        changed |= value is not mapping[key] or name is not key
        unique, copies = name, 1
        while unique in scrubbed or (unique is not key and unique in mapping):  # two addresses may become one tag
            copies += 1
            unique = f"{name} {copies}"
        scrubbed[unique] = value
    return scrubbed if changed else mapping
