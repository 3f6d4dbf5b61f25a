"""Addresses in one spelling, so that two spellings of one address are equal as text.

The parser is ada's, the WHATWG URL Standard that browsers follow: it lower-cases scheme and host, turns international
names into punycode (UTS 46), drops default ports, resolves `.` and `..`, and encodes what must not stand bare. What
that standard leaves to its users follows RFC 3986, section 6.2.2: letters, digits and `-._~` are never percent-encoded,
and hexadecimal digits are capitals. The fragment, the name and password of a user, the dot after a host and a question
mark with nothing behind it go. Not touched, since servers may tell them apart: the case of paths, a slash at the end,
doubled slashes, reserved characters, the order of parameters.

Nearly all addresses of a crawl are in that spelling already, and a regular expression sees it.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

# In canonical form as they stand; hosts that end in a digit may be numbers, and `xn--` must be checked
PLAIN = re.compile(
    r"(https?)://((?:[a-z0-9_-]+\.)+[a-z][a-z0-9-]*)((?:/(?!\.)[A-Za-z0-9._~-]*)+)"
    r"(\?[A-Za-z0-9._~=&;,+-]+)?\Z",
    re.ASCII,
)
_PARTS = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*)://(?:[^/?#\\]*@)?([^/?#\\]*)([^?#]*)(\?[^#]*)?", re.DOTALL)
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:[/\\]{2}")
_ENCODED = re.compile(r"%([0-9a-fA-F]{2})")
_BARE = re.compile(r"[^A-Za-z0-9\-._~:/?@!$&'()*+,;=%\[\]]")
_TRACKING = re.compile(
    r"(?:utm_[a-z_]+|(?:g|d|gb|wb|fb|ms|y|tw|tt|li_fat_|ir|vero_|oly_enc_|oly_anon_)cl?id|gclsrc|igshid|mc_[ce]id"
    r"|_hs(?:enc|mi)|mkt_tok|s_cid|spm|_openstat|_ga|_gl|ysclid)=",
    re.IGNORECASE,
)
UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def canonical_url(url: str, *, scheme: bool = True, www: bool = True, tracking: bool = True) -> str:
    """`url` in one spelling; a URL without a scheme is taken for http.

    scheme: keep `https` apart from `http`; if not, both are `http`.
    www: keep a `www.` at the front of the host.
    tracking: keep parameters that only tell where a visitor came from (`utm_source`, `gclid`, ...).

    It never raises: what the standard refuses comes back without fragment and space around it, its host lower-cased.
    """
    plain = PLAIN.match(url)
    if plain and "xn--" not in plain[2]:
        kind, host, path, query = plain[1], plain[2], plain[3], plain[4] or ""
    else:
        kind, host, path, query = _split(url)
    if not tracking and query:
        query = "&".join(p for p in query[1:].split("&") if not _TRACKING.match(p))
        query = f"?{query}" if query else ""
    if not scheme and kind == "https":
        kind = "http"
    if not www and host.startswith("www.") and "." in host[4:]:
        host = host[4:]
    return f"{kind}://{host}{path}{query}"


def canonical_host(host: str) -> str:
    """A host name as it stands in a canonical URL; `*.` or a dot at its front goes, and so does a port."""
    host = host.strip().removeprefix("*").removeprefix(".")
    found = _split(f"http://{host}/")[1]
    return found if found.startswith("[") else found.partition(":")[0]


def _split(url: str) -> tuple[str, str, str, str]:
    """(scheme, host and port, path, query with its question mark or nothing), each canonical."""
    url = url.strip("".join(map(chr, range(33))))  # what the standard strips: controls and spaces
    if not _SCHEME.match(url):
        url = "http:" + url if url.startswith("//") else "http://" + url
    parts = _PARTS.match(_parsed(url))
    if parts is None:
        return "http", "", url, ""
    kind, host, path, query = parts[1].lower(), parts[2].lower(), parts[3], parts[4] or ""
    name, colon, port = host.partition(":") if not host.startswith("[") else (host, "", "")
    name = name.rstrip(".") or name
    query = _spelled(query)
    return kind, f"{name}{colon}{port}", _spelled(path) or "/", "" if query == "?" else query


def _parsed(url: str) -> str:
    try:
        return _ada()(url)
    except ValueError:
        return url.partition("#")[0].replace("\\", "/")


@cache
def _ada() -> Any:
    from ada_url import normalize_url

    return normalize_url


def _spelled(text: str) -> str:
    """Percent-encoding in its one form."""
    if "%" in text:
        text = _ENCODED.sub(_decoded, text)
    return _BARE.sub(_encoded, text) if _BARE.search(text) else text


def _decoded(found: re.Match) -> str:
    character = chr(int(found[1], 16))
    return character if character in UNRESERVED else found[0].upper()


def _encoded(found: re.Match) -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode("utf-8", "surrogatepass"))
