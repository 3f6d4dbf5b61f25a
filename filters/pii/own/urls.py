"""Kind URL_CREDENTIALS: a user name and a password in front of the host of a URL.

RFC 3986, section 3.2.1, deprecates `scheme://user:password@host`, since URLs end up in logs, manuals and issues; there
they are found. The finding covers `user:password` alone, so that scheme, host and path can still be read.

A user without a password is none (`ssh://git@host`), nor are variables and what documentation puts in their place:
`$USER:$PASSWORD`, `user:pass`, `guest:guest`. A user for its own password is a default where the host is no public one
(`shop:shop@localhost`), and careless elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from urllib.parse import unquote

from ..finding import Finding, Kind
from .noise import is_placeholder

_NOT_IN_USERINFO = r"\s/?#\\\"'`<>{}|^"
_AUTHORITY = re.compile(rf"[^{_NOT_IN_USERINFO}]*")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}\Z")
_LONGEST_SCHEME = 31
_BRACKETED = re.compile(r"\[.*\]")


class UrlCredentials:
    """`user:password` between `://` and the last `@` of an authority; the user may be empty."""

    kind: Kind = "URL_CREDENTIALS"
    must_hold = rf"[A-Za-z0-9+.-]://[^:{_NOT_IN_USERINFO}]*:[^{_NOT_IN_USERINFO}]+@[^{_NOT_IN_USERINFO}:@]"

    def find(self, text: str, context: Sequence[str] = ()) -> Iterable[Finding]:
        """The credentials in `text`, from left to right. They stand in a URL or nowhere: no context counts."""
        at = text.find("://")
        while at >= 0:
            start = at + 3
            if _SCHEME.search(text, max(0, at - _LONGEST_SCHEME), at):
                credentials, sign, host = _AUTHORITY.match(text, start).group().rpartition("@")
                if sign and (host[:1].isalnum() or host[:1] in ("[", "%")) and _is_secret(credentials, host):
                    yield Finding(start, start + len(credentials), self.kind, 0.6, "gristmill")
            at = text.find("://", start)


def _is_secret(credentials: str, host: str) -> bool:
    """Whether there is a password, and one that is not for everybody."""
    user, _, password = map(unquote, credentials.partition(":"))
    if not password or (password == user and "." not in host):
        return False
    return not any(map(_BRACKETED.fullmatch, (user, password))) and not is_placeholder(password)
