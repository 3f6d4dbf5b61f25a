"""Kind SECRET: keys, tokens and passwords of machines, in code, configurations, logs and manuals.

Three kinds of evidence: a form of its own (`issued.py`); a block of a private key (RFC 7468, RFC 4880, OpenSSH's
PROTOCOL.key); a key that says so (`password = "..."`, `X-Api-Key: ...`, `Authorization: Bearer ...`, `?sig=...`) with a
value that is neither placeholder nor name (`noise.py`). Hashes, UUIDs and Base64 without a key beside them are none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal
from urllib.parse import unquote

import re2

from ..finding import Finding, Kind
from .issued import MUST_HOLD, Secret, decoded, issued
from .noise import PATH, UUID, WORDLIKE, is_noise, is_placeholder, predictable

# -- private keys ----------------------------------------------------------------------------------------------------

_BEGIN = r"-----BEGIN [0-9A-Z ]*PRIVATE KEY(?: BLOCK)?-----"
_begin = re2.compile(_BEGIN)
_END = re.compile(r"-----END [0-9A-Z ]{0,48}-----")
_LONGEST_KEY = 32_000
_LEAST_KEY = 60  # characters of Base64: an Ed25519 key in PKCS #8 has 64
_BASE64_RUN = re.compile(r"[0-9A-Za-z+/=]{16,}")
# One more line of a key whose end is cut off: a header of RFC 1421, Base64, its last line. In code it is quoted.
_KEY_LINE = re.compile(
    r"(?:[\s\"'>,]|\\[nr]|\+\s)*+"
    r"(?:[A-Z][0-9A-Za-z-]{1,30}: [^\n\\]{0,200}|[0-9A-Za-z+/=]{16,}+|[0-9A-Za-z+/]{0,15}=[0-9A-Za-z+/=]{0,5}"
    r"|[0-9A-Za-z+/]{1,15}\Z)"
)


def _private_keys(text: str) -> Iterator[Secret]:
    """Whole blocks, and what there is of one whose end is missing."""
    for hit in _begin.finditer(text):
        start, body = hit.span()
        limit = min(len(text), body + _LONGEST_KEY)
        following = text.find("-----BEGIN", body, limit)
        limit = following if following >= 0 else limit
        close = text.find("-----END ", body, limit)
        ending = _END.match(text, close) if close >= 0 else None
        end = ending.start() if ending else body
        while ending is None and (line := _KEY_LINE.match(text, end, limit)):
            end = line.end()
        if sum(map(len, _BASE64_RUN.findall(text, body, end))) >= _LEAST_KEY:
            yield start, ending.end() if ending else end, 1.0 if ending else 0.6


# -- keys that say so ------------------------------------------------------------------------------------------------

_NAME = (
    r"(?:passw(?:or)?d|passwort|passphrase|pass|pwd|secret|token|authorization"
    r"|(?:api|access|account|admin|app|auth|client|encryption|hmac|jwt|license|master|private|secret|service|shared"
    r"|signing|storage|subscription|webhook)[ _.-]?key)[0-9A-Za-z_-]*"
)
# "key": value, key = value, key => value, key: str = value, ["key"] = value, ("key", value), <key>value</key>,
# key="key" value="value"
_ASSIGNED = (
    rf"{_NAME}(?:\\?[\"'`]|\]){{0,3}}[ \t]{{0,4}}"
    r"(?::[ \t]?[a-z][0-9a-z_.]{0,15}[ \t]?=|=>|:=|={1,3}|[:,>]|value[ \t]?=)[ \t]{0,4}"
)
_FLAG = rf"--[a-z0-9_-]*{_NAME}[ \t]{{1,4}}"
_SIGNED = r"[?&;](?:x-amz-)?sig(?:nature)?="
_SCHEME = r"(?:(?:basic|bearer|token|apikey)[ \t]{1,4})"
_KEYED = rf"(?:{_ASSIGNED}|{_FLAG}|{_SIGNED}|bearer[ \t]{{1,4}})"
_keyed = re2.compile(f"(?i){_KEYED}")

_LEAST_PASSWORD, _LEAST_TOKEN = 8, 16
_READ = 1000  # characters of a value
_JUDGED = 120  # of them, those that say whether it is one
_QUOTED = re.compile(
    rf"(?i:[a-z@$]{{0,2}})(?P<quote>\\?[\"'`])(?i:(?P<scheme>{_SCHEME}))?"
    rf"(?P<value>(?:(?!(?P=quote))\S){{8,{_READ}}})(?=(?P=quote))"
)
_BARE = re.compile(
    rf"(?i:(?P<scheme>{_SCHEME}))?(?P<value>[^\s\"'`<>()\[\]{{}},;|\\&:=]{{8,{_READ}}}+={{0,2}})(?![\w(\[{{:=])"
)
_NAME_BEFORE = re.compile(r"(?:\(?[\"'])?(?:::)?[\w$.-]*\Z")
_NAME_OF_HIT = re.compile(r"[\w .-]*")
_LONGEST_BEFORE = 40

_MEMBER = re.compile(r"[a-z_][a-z0-9_]{0,20}(?:\.\w+)+")  # `rsa.PrivateKey`

Role = Literal["password", "secret", "token"]
"""What a key says of its value. Many a token is none to keep, and so a UUID that is called a token stays."""

_NAME_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_QUALIFIERS = re.compile(
    r"value|string|str|text|default|prod(?:uction)?|dev|test|staging|raw|plain|base|live|env|old|new|current"
    r"|confirm(?:ation)?"
)
# PublicKeyToken names a .NET assembly; a page token, the next page of a list; a lock token, a state of a resource.
_HARMLESS = re.compile(
    r"public|(?:^|_)(?:next|prev|previous|page|starting|continuation|cursor|sync|resume|csrf|xsrf|lock|change"
    r"|idempotency|client|request)_(?:page_|request_|forward_|backward_)?token"
)
_ROLES: dict[Role, re.Pattern[str]] = {
    "password": re.compile(r"(?:password|passwd|passwort|passphrase|pwd|(?:^|_)pass)$"),
    "secret": re.compile(r"(?:secret|authorization|bearer|key|(?:access|api|auth|bot|refresh)_?token)$"),
    "token": re.compile(r"token$"),
}


def _role(name: str) -> Role | None:
    """What a key says of its value; nothing in the case of `token_url` and `passwordField`."""
    parts = [part.lower() for part in _NAME_PARTS.findall(name)]
    while len(parts) > 1 and _QUALIFIERS.fullmatch(parts[-1]):
        parts.pop()
    name = "_".join(parts)
    if _HARMLESS.search(name):
        return None
    return next((role for role, is_so in _ROLES.items() if is_so.search(name)), None)


def _keyed_secrets(text: str) -> Iterator[Secret]:
    for hit in _keyed.finditer(text):
        value = _QUOTED.match(text, hit.end()) or _BARE.match(text, hit.end())
        if value is None:
            continue
        key, quoted = hit.group(), value.re is _QUOTED
        name = _NAME_OF_HIT.match(key).group()
        separator = key[len(name) :].strip("\"'`]\\ \t")
        before = _NAME_BEFORE.search(text, max(0, hit.start() - _LONGEST_BEFORE), hit.start()).group()
        role = "secret" if key[0] in "?&;" else _role(before + name)
        if role is None or "::" in before:  # `Type::Token` is a type
            continue
        if separator == "," and not (quoted and before.startswith("(")):  # in a list
            continue
        if separator == ">" and not text.startswith("</", value.end()):
            continue
        secret = value["value"] if quoted else value["value"].rstrip(".")
        if _is_secret(secret, role, quoted or separator == ">", value["scheme"] or ""):
            yield value.start("value"), value.start("value") + len(secret), 0.4


def _is_secret(value: str, role: Role, quoted: bool, scheme: str = "") -> bool:
    """Whether the value of a key that says what it is, is no placeholder, no name and no word."""
    value = unquote(value[:_JUDGED])
    if is_placeholder(value) or (not quoted and _MEMBER.fullmatch(value)):
        return False
    if scheme[:5].lower() == "basic":
        user, colon, password = decoded(value).partition(b":")
        return bool(user and colon) and not is_placeholder(password.decode("latin-1"))
    if role == "password" and len(value) >= _LEAST_PASSWORD:
        return _is_password(value, quoted)
    if UUID.fullmatch(value):
        return role == "secret"
    return len(value) >= _LEAST_TOKEN and is_noise(value)


_LABEL = re.compile(r"[a-z]+(?:[_.-][a-z]+)*[_.-]?[0-9]{0,2}", re.IGNORECASE)
_SIGN = re.compile(r"[^\w\s.,:;/\\-]")


def _is_password(value: str, quoted: bool) -> bool:
    """Whether a password is no label, name or path: a word with some digits will do, else it looks random."""
    value = value.strip(".,:;?*")
    letters, digits = any(map(str.isalpha, value)), sum(map(str.isdigit, value))
    mixed = value != value.lower() and value != value.upper()
    if not letters or len(set(value)) < 5 or PATH.match(value):
        return False
    if digits >= 3 and (quoted or mixed or _SIGN.search(value)):
        return True
    if digits:
        return not _LABEL.fullmatch(value) and predictable(value) <= WORDLIKE
    return mixed and predictable(value) <= WORDLIKE


# -- the recogniser --------------------------------------------------------------------------------------------------

_OPENING = rf"(?:[a-z@$]{{0,2}}\\?[\"'`])?{_SCHEME}?"
_ALONE = re.compile(r"[!-~]{8,1000}")


class Secrets:
    """Keys, tokens and passwords: of a webhook's URL or a header what is secret in it, of a private key the block."""

    kind: Kind = "SECRET"
    must_hold = rf"{MUST_HOLD}|{_BEGIN}|(?i:{_KEYED}{_OPENING}[^\s]{{8}})|^[!-~]{{8}}[!-~]*$"

    def find(self, text: str, context: Sequence[str] = ()) -> Iterable[Finding]:
        """The secrets in `text`. Where a word of `context` is a key that says so, the whole text may be its value."""
        found = {*issued(text), *_private_keys(text), *_keyed_secrets(text)}
        if context and _ALONE.fullmatch(text):
            roles = filter(None, map(_role, context))
            if any(_is_secret(text, role, quoted=True) for role in roles):
                found.add((0, len(text), 0.4))
        return [Finding(start, end, self.kind, score, "gristmill") for start, end, score in sorted(found)]
