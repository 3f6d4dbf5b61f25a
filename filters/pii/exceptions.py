"""Findings that have the form of personal data and concern nobody: they stay in the text, and are counted apart.

Without them a corpus of code and manuals loses its version numbers and examples, and a model learns that every address
is `<EMAIL>`. Each exception errs to the safe side: a version number is one only where the words beside it say so.
Cards, account numbers and social security numbers have none; to take a real one for an example would cost more than
the examples are worth.

Sources: RFC 2606 and 6761 (names for documentation), RFC 5737 and 3849 (addresses for documentation), NANPA and the
other authorities' ranges for films (`replacements.FICTITIOUS`), RFC 1918, 4193, 1122 and 3927 (private addresses).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal, get_args

from .finding import Finding, Kind
from .replacements import FICTITIOUS, address, is_documentation, parsed, plain

ExceptionName = Literal["documentation", "versions", "private", "no_reply"]
EXCEPTIONS: tuple[ExceptionName, ...] = get_args(ExceptionName)

_RESERVED_DOMAIN = re.compile(r"(?:.*\.)?(?:example(?:\.com|\.net|\.org)?|test|invalid|localhost)", re.IGNORECASE)
_NO_REPLY = re.compile(r"(?:no|do[._-]?not)[._-]?reply|mailer-daemon", re.IGNORECASE)
_NOTE = 40  # characters beside a finding that may say what it is

# "v 1.2.3.4", "version: 1.2.3.4", "section 1.2.3.4", "numpy==1.2.3.4", "numpy (>= 1.2.3.4)"
_VERSION_BEFORE = re.compile(
    r"(?:(?<!\w)(?:v|ver|versions?|releases?|rev|revision|build|firmware|section|sec|chapter|clause)"
    r"(?:\.|\b)[\"']?[ \t\u00a0:=#]{0,3}(?:is |number |no\. )?[\"']?v?"
    r"|\u00a7[ \u00a0]?"
    r"|[A-Za-z][\w.\-\]]*[ ]?\(?[ ]?(?:===?|[<>~!]=|~>)[ ]?[\"']?)\Z",
    re.IGNORECASE,
)
# "numpy-1.2.3.4.tar.gz", "numpy_1.2.3.4-py3-none-any.whl"
_PACKAGE_BEFORE = re.compile(r"[A-Za-z][\w+.]*[-_]v?\Z")
_PACKAGE_AFTER = re.compile(
    r"[\w.+-]{0,40}?\.(?:tar(?:\.\w{2,4})?|tgz|zip|whl|egg|jar|war|deb|rpm|apk|gem|exe|msi|dmg|dll|so|pkg|nupkg|crate)\b"
)


def excepted(text: str, finding: Finding, names: frozenset[ExceptionName]) -> bool:
    """Whether one of the exceptions `names` says that `finding` in `text` is nobody's."""
    tests = _TESTS.get(finding.kind, {})
    return any(name in names and test(text, finding.start, finding.end) for name, test in tests.items())


def _documented_email(text: str, start: int, end: int) -> bool:
    """At example.com, example.net, example.org, a host under them, or under .example, .test, .invalid, .localhost."""
    return _RESERVED_DOMAIN.fullmatch(plain(text[start:end]).rpartition("@")[2]) is not None


def _no_reply(text: str, start: int, end: int) -> bool:
    """noreply@, no-reply@, do-not-reply@, mailer-daemon@; nothing more before the @, which may name someone."""
    return _NO_REPLY.fullmatch(plain(text[start:end]).rpartition("@")[0]) is not None


def _documented_ip(text: str, start: int, end: int) -> bool:
    found = address(text[start:end])
    return found is not None and is_documentation(found)


def _private_ip(text: str, start: int, end: int) -> bool:
    """Private, loopback, link-local and unspecified addresses, which tell no host of the Internet."""
    found = address(text[start:end])
    private = found is not None and (found.is_private or found.is_loopback or found.is_link_local)
    return private and not is_documentation(found)


def _version(text: str, start: int, end: int) -> bool:
    """Four numbers that the words before call a version or a section, or in the name of a package file."""
    if not re.fullmatch(r"[0-9.]+", text[start:end]):
        return False
    before = text[max(0, start - _NOTE) : start]
    if _VERSION_BEFORE.search(before):
        return True
    return bool(_PACKAGE_BEFORE.search(before) and _PACKAGE_AFTER.match(text, end))


def _fictitious_phone(text: str, start: int, end: int) -> bool:
    number = parsed(plain(text[start:end]))
    if number is None:
        return False
    patterns = FICTITIOUS.get(number.country_code, ("", ()))[1]
    digits = str(number.national_number)
    return any(re.fullmatch(p.replace("A", r"\d{3}").replace("N", r"\d"), digits) for p in patterns)


_TESTS: dict[Kind, dict[ExceptionName, Callable[[str, int, int], bool]]] = {
    "EMAIL_ADDRESS": {"documentation": _documented_email, "no_reply": _no_reply},
    "PHONE_NUMBER": {"documentation": _fictitious_phone},
    "IP_ADDRESS": {"documentation": _documented_ip, "private": _private_ip, "versions": _version},
}
