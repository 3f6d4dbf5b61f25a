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

# Names that a version follows: with a hyphen ("libfoo-3.4.2.10"), a stroke (RFC 9110: "Opera/9.10.2.1") or, where they
# are well known, a space ("Oracle 11.2.0.4"). Addresses follow the names of hosts in the same way, so the name must be
# no host's and the numbers small: a random address has four below 32 once in 4,096 times. Some that are known by heart
# have them, too.
_SMALL = 32
_RESOLVERS = {"1.1.1.1", "1.0.0.1", "4.2.2.1", "4.2.2.2", "8.8.8.8", "8.8.4.4", "9.9.9.9"}
_NAMED = re.compile(
    r"(?:(?<![\w.@:-])(?<!//)(?P<package>[A-Za-z][\w.+]*(?:-[A-Za-z][\w.+]*){0,4})-v?"
    r"|(?<![\w./:-])(?P<agent>[A-Z][\w.+-]*)/)\Z"
)
_HOST = re.compile(
    r"(?:.*[._-])?(?:ip|ipv4|addr|address|e?net|subnet|lan|wan|vpn|host|server|srv|node|client|peer|router|gw|gateway"
    r"|proxy|dns|ns|mx|smtp|mail|web|www|ftp|ssh|db|ec2|vm|vps|pool|static|dyn|dynamic|dhcp|dsl|adsl|cable|ppp|dial|user"
    r"|guest|tor|relay|exit|bot|from|to|at|by|src|dst|source|dest|target|range)\d*",
    re.IGNORECASE,
)
_PRODUCT = re.compile(
    r"(?<![\w-])(?:oracle(?: database)?|java|jdk|jre|jboss|weblogic|websphere|tomcat|db2|mysql|mariadb|postgresql"
    r"|sqlite|mongodb|openssl|openssh|php|python|ruby|rails|perl|node\.js|linux|kernel|windows|mac ?os(?: x)?|ios"
    r"|android|ubuntu|debian|fedora|chrome|chromium|firefox|thunderbird|opera|safari|internet explorer"
    r"|flash(?: player)?|acrobat(?: reader)?|adobe reader|skype|itunes|quicktime|winamp|word ?press|drupal"
    r"|joomla!?|\.net(?: framework)?|directx|driver|bios|sdk|patch|hotfix|article|paragraph|annex|appendix|figure"
    r"|fig\.|table|(?:upgrad|updat|downgrad)(?:e|ed|ing) (?:from|to)) v?\Z",
    re.IGNORECASE,
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
    """Four numbers that the words before call a version or a section, or in the name of a package or its file."""
    if not re.fullmatch(r"[0-9.]+", text[start:end]):
        return False
    before = text[max(0, start - _NOTE) : start]
    if _VERSION_BEFORE.search(before):
        return True
    if _PACKAGE_BEFORE.search(before) and _PACKAGE_AFTER.match(text, end):
        return True
    return text[start:end] not in _RESOLVERS and _named_version(text[start:end], before)


def _named_version(numbers: str, before: str) -> bool:
    """Whether a name of software stands before four small numbers."""
    if any(int(number) >= _SMALL for number in numbers.split(".")):
        return False
    name = _NAMED.search(before)
    if name:
        return _HOST.fullmatch(name["package"] or name["agent"]) is None
    return _PRODUCT.search(before) is not None


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
