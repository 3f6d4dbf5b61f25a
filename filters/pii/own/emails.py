"""E-mail addresses that run into what stands beside them, so that Presidio finds no domain, and leaves them.

Into one another, as where a page lost the white space of a list: a@b.co.uka@b.co.uk. A chain of names with `@` between
them whose last part is a domain is taken as a whole. Into the next word, in scripts that set no spaces: an address of
ASCII ends where they begin.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import re2

from ..engine import has_public_suffix
from ..finding import Finding, Kind

_LOCAL = r"\pL\pN!#$%&'*+/=?^_`{|}~.-"
_CHAIN = re2.compile(rf"[{_LOCAL}]+(?:@[\pL\pN_][\pL\pN_.-]*){{2,}}")


_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Hangul}"
_ENDED = re2.compile(rf"([0-9A-Za-z_.%+-]+@(?:[0-9A-Za-z-]+\.)+[A-Za-z]{{2,}})[{_UNSPACED}]")


class GluedEmailRecognizer:
    """Finds chains of e-mail addresses, and addresses before a script without spaces."""

    kind: Kind = "EMAIL_ADDRESS"
    must_hold = rf"@[\pL\pN_.-]+@|@[0-9A-Za-z.-]+\.[A-Za-z]{{2,}}[{_UNSPACED}]"

    def find(self, text: str, context: Sequence[str] = ()) -> Iterable[Finding]:
        """The findings in `text`; `context` says nothing here."""
        for match in _ENDED.finditer(text):
            if has_public_suffix(match[1].rpartition("@")[2]):
                yield Finding(*match.span(1), self.kind, 1.0, "gristmill")
        for match in _CHAIN.finditer(text):
            chain = match.group().rstrip(".-")
            if has_public_suffix(chain.rpartition("@")[2]):
                yield Finding(match.start(), match.start() + len(chain), self.kind, 1.0, "gristmill")
