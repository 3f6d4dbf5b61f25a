"""E-mail addresses that run into one another, as where a page lost the white space of a list: a@b.co.uka@b.co.uk.

Presidio's pattern takes `a@b.co.uka` for the first address, finds no such domain, and goes on behind it: both stay. A
chain of names with `@` between them whose last part is a domain is taken as a whole.

A chain needs two `@`; one address alone is Presidio's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import re2

from ..engine import has_public_suffix
from ..finding import Finding, Kind

_LOCAL = r"\pL\pN!#$%&'*+/=?^_`{|}~.-"
_CHAIN = re2.compile(rf"[{_LOCAL}]+(?:@[\pL\pN_][\pL\pN_.-]*){{2,}}")


class GluedEmailRecognizer:
    """Finds chains of e-mail addresses."""

    kind: Kind = "EMAIL_ADDRESS"
    must_hold = r"@[\pL\pN_.-]+@"

    def find(self, text: str, context: Sequence[str] = ()) -> Iterable[Finding]:
        """The chains in `text`, in order."""
        for match in _CHAIN.finditer(text):
            chain = match.group().rstrip(".-")
            if has_public_suffix(chain.rpartition("@")[2]):
                yield Finding(match.start(), match.start() + len(chain), self.kind, 1.0, "gristmill")
