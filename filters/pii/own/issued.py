"""Secrets known by their form: what providers issue with a prefix or a shape of their own, and JSON Web Tokens.

A prefix, an alphabet and a length are what the providers' documentation gives, or GitHub's list "Supported secret
scanning patterns": providers agree on such forms so that leaks can be found. Some forms hold more to check: JSON Web
Tokens a header that decodes to JSON (RFC 7519), GitHub's and npm's tokens a CRC-32 at the end, Discord's a number in
Base64 at the start.

A whole text is searched for the first characters of all forms at once; what follows is read where one was found.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import re2

from .noise import HEX, WORDLIKE, is_noise, is_placeholder, predictable

Secret = tuple[int, int, float]
"""Where it starts and ends, and how sure one is of it."""

# -- a prefix and characters of an alphabet --------------------------------------------------------------------------

_W, _U, _D, _H = "0-9A-Za-z", "0-9A-Za-z_", r"0-9A-Za-z_\-", "0-9a-f"
_B = r"0-9A-Za-z+/=_\-"  # Base64, and its form for URLs
_MOST = 1000


class Form(NamedTuple):
    """`least` to `most` characters of a class behind one of the prefixes, and no more of them behind that."""

    prefixes: str
    characters: str
    least: int
    most: int = _MOST


_AMAZON = Form("AKIA ASIA ABIA ACCA", "0-9A-Z", 16, 16)
_FORMS = (
    _AMAZON,
    Form("LTAI", _W, 16, 20),  # Alibaba
    Form("aio_", _W, 28, 28),  # Adafruit
    Form("AGE-SECRET-KEY-1", "0-9A-Z", 58, 58),
    Form("sk-ant-", _D, 32),  # Anthropic
    Form("ATATT3 ATCTT3 ATBB", _D + "=", 28),  # Atlassian
    Form("xkeysib-", _D, 81, 81),  # Brevo
    Form("bkua_", _H, 40, 40),  # Buildkite
    Form("CCIPAT_ CCIPRJ_", _U, 40),  # CircleCI
    Form("CLOJARS_", _W, 60, 60),
    Form("CFPAT-", _D, 43, 43),  # Contentful
    Form("cio", _W, 32, 32),  # crates.io
    Form("dapi", _H, 32, 32),  # Databricks
    Form("dop_v1_ doo_v1_ dor_v1_", _H, 64, 64),  # DigitalOcean
    Form("dckr_pat_ dckr_oat_", _D, 27),  # Docker
    Form("dp.pt. dp.st. dp.ct. dp.sa.", _D + ".", 40),  # Doppler
    Form("dt0c01. dt0s01.", "0-9A-Z.", 89, 89),  # Dynatrace
    Form("EZAK EZTK", _W, 54, 54),  # EasyPost
    Form("EAA", _W, 90),  # Facebook
    Form("figd_", _D, 40),  # Figma
    Form("ghp_ gho_ ghu_ ghr_", _W, 36, 36),  # GitHub
    Form("ghs_", _D + ".", 36),
    Form("github_pat_", _U, 82, 82),
    Form(
        "glpat- gldt- glrt- glrtr- glcbt- glptt- glft- glimt- glagent- gloas- glsoat- glffct-", _D + ".", 20
    ),  # GitLab
    Form("AIza", _D, 35, 35),  # Google
    Form("ya29.", _D + ".", 20),
    Form("GOCSPX-", _D, 28, 28),
    Form("1//0", _D, 40),
    Form("glc_", _B, 32),  # Grafana
    Form("glsa_", _U, 41, 41),
    Form("gsk_", _W, 52, 52),  # Groq
    Form("hvs. hvb. hvr.", _D, 24),  # HashiCorp
    Form("HRKU-", _D, 36, 60),  # Heroku
    Form("hf_ api_org_", _W, 34, 34),  # Hugging Face
    Form("sk-lf-", _H + r"\-", 36, 36),  # Langfuse
    Form("lin_api_ lin_oauth_", _W, 40),  # Linear
    Form("key-", _H, 32, 32),  # Mailgun
    Form("sk.eyJ", _D + ".", 60),  # Mapbox
    Form("nfp_", _W, 36),  # Netlify
    Form("NRAK- NRII- NRAL- NRRA- NRIQ-", _D, 27),  # New Relic
    Form("secret_", _W, 43, 43),  # Notion
    Form("ntn_", _W, 40),
    Form("npm_", _W, 36, 36),
    Form("oy2", "0-9a-z", 43, 43),  # NuGet
    Form("nvapi-", _D, 60),  # NVIDIA
    Form("sk-proj- sk-svcacct- sk-admin- sk-None-", _D, 40),  # OpenAI
    Form("sk-", _W, 32),
    Form("sk-or-v1-", _H, 64, 64),  # OpenRouter
    Form("pplx-", _W, 40),  # Perplexity
    Form("pcsk_", _U, 60),  # Pinecone
    Form("pscale_tkn_ pscale_pw_ pscale_oauth_", _D + ".", 32),  # PlanetScale
    Form("PMAK-", _H + r"\-", 59, 59),  # Postman
    Form("pul-", _H, 40, 40),  # Pulumi
    Form("pypi-AgE", _D, 50),  # PyPI
    Form("r8_", _W, 37, 37),  # Replicate
    Form("rubygems_", _H, 48, 48),
    Form("SG.", _D + ".", 66, 66),  # SendGrid
    Form("sntrys_", _B, 60),  # Sentry
    Form("sntryu_", _H, 64, 64),
    Form("shpat_ shpca_ shppa_ shpss_", "0-9A-Fa-f", 32, 32),  # Shopify
    Form("xoxb- xoxp- xoxa- xoxe- xoxr- xoxs- xoxo- xoxc- xoxd- xoxe.xoxp- xoxe.xoxb-", _D + "%", 24),  # Slack
    Form("xapp-", _D, 40),
    Form("hooks.slack.com/services/ hooks.slack.com/workflows/", "0-9A-Za-z/", 40, 100),
    Form("sgp_", _U, 40),  # Sourcegraph
    Form("sq0atp-", _D, 22, 22),  # Square
    Form("sq0csp-", _D, 43, 43),
    Form("EAAA", _D, 60, 60),
    Form("sk_live_ rk_live_ sk_test_ rk_test_", _W, 24, 250),  # Stripe
    Form("whsec_", _B, 32),
    Form("sbp_", _H, 40, 40),  # Supabase
    Form("sb_secret_", _D, 31),
    Form("tskey-", _D, 20),  # Tailscale
    Form("SK AC", _H, 32, 32),  # Twilio
    Form("tfp_", _D + ".", 40),  # Typeform
    Form("discord.com/api/webhooks/ discordapp.com/api/webhooks/", _D + "/", 78, 120),
    Form("xai-", _W, 80),
)
_WEBHOOKS = frozenset(prefix for form in _FORMS if "/" in form.characters for prefix in form.prefixes.split())
"""Their host stays: what follows is the secret."""

_CHECKED = frozenset(["ghp_", "gho_", "ghu_", "ghr_", "ghs_", "npm_"])
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

_RUNS = {prefix: form for form in _FORMS for prefix in form.prefixes.split()}
_PREFIX = re.compile("|".join(map(re.escape, sorted(_RUNS, key=len, reverse=True))))
_RUN_OF = {form: re.compile(f"[{form.characters}]{{{form.least},{form.most}}}") for form in _FORMS}
_AFTER = {form: re.compile(f"[{form.characters.replace('.', '')}]") for form in _FORMS}

_LOOKED_FOR = 12  # characters of a form behind its prefix
_PREFIXED = [
    f"(?:{'|'.join(map(re.escape, form.prefixes.split()))})[{form.characters}]{{{min(form.least, _LOOKED_FOR)}}}"
    for form in _FORMS
]

# -- other shapes ----------------------------------------------------------------------------------------------------


class Shape(NamedTuple):
    """`core` is the rarest piece of a form, in RE2's syntax; `before` stands in front of it, `after` begins with it."""

    core: str
    before: str
    after: str


_SHAPES = {
    "jwt": Shape(rf"eyJ[{_D}]+\.[{_D}]{{2}}", "", rf"eyJ[{_D}]++\.[{_D}]++\.[{_D}]*+(?:\.[{_D}]*+){{0,2}}"),
    "discord": Shape(rf"\.[{_D}]{{6}}\.[{_D}]{{27}}", rf"[MNO][{_D}]{{23,27}}", rf"\.[{_D}]{{6}}\.[{_D}]{{27,38}}"),
    "telegram": Shape(rf"[0-9]:AA[{_D}]{{33}}", "[0-9]{7,9}", rf"[0-9]:AA[{_D}]{{33}}"),
    "mailchimp": Shape(rf"[{_H}]-us[0-9]", rf"[{_H}]{{31}}", rf"[{_H}]-us[0-9]{{1,2}}"),
    "terraform": Shape(r"\.atlasv1\.", rf"[{_W}]{{14}}", rf"\.atlasv1\.[{_D}]{{60,70}}"),
    "airtable": Shape(rf"pat[{_W}]{{14}}\.[{_H}]{{12}}", "", rf"pat[{_W}]{{14}}\.[{_H}]{{64}}"),
    "azure": Shape(rf"[0-9]Q~[{_W}]", rf"[{_U}~.\-]{{3}}", rf"[0-9]Q~[{_U}~.\-]{{31,34}}"),
}
_LONGEST_BEFORE = 31

MUST_HOLD = "|".join([*_PREFIXED, *(shape.core for shape in _SHAPES.values())])
"""In RE2's syntax: every text with a secret of a form of its own matches it somewhere."""

_prefixed = re2.compile("|".join(_PREFIXED))
_shapes = [
    (name, re2.compile(shape.core), re.compile(rf"(?:{shape.before})\Z"), re.compile(shape.after))
    for name, shape in _SHAPES.items()
]
_shaped = re2.compile("|".join(shape.core for shape in _SHAPES.values()))

# -- the search ------------------------------------------------------------------------------------------------------

# A letter may touch what follows an escape, in JSON ("\nghp_") or in a URL ("%3Dghp_"), or Telegram's "/bot".
_FREE = re.compile(r"(?:(?:\A|[^0-9A-Za-z])(?:bot)?|\\[nrt]|%[0-9A-F]{2})\Z")
_TOKEN_CHARACTER = re.compile(r"[0-9A-Za-z_-]")
_AMAZON_SECRET = re.compile(r"(?<![0-9A-Za-z/+=])[0-9A-Za-z/+]{40}(?![0-9A-Za-z/+=])")
_BESIDE = 200  # characters between an Amazon key and its secret


def issued(text: str) -> Iterator[Secret]:
    """The secrets of a form of their own in `text`."""
    yield from _with_prefix(text)
    if _shaped.search(text):
        yield from _with_shape(text)


def _with_prefix(text: str) -> Iterator[Secret]:
    for hit in _prefixed.finditer(text):
        start = hit.start()
        prefix = _PREFIX.match(text, start).group()
        form = _RUNS[prefix]
        run = _RUN_OF[form].match(text, start + len(prefix))
        if run is None or not _is_free(text, start):
            continue
        value = run.group().rstrip(".")
        end = run.start() + len(value)
        if len(value) < form.least or _AFTER[form].match(text, end) or not _is_random(value):
            continue
        score = 1.0 if prefix in _CHECKED and _has_checksum(value) else 0.6
        yield (run.start() if prefix in _WEBHOOKS else start), end, score
        if form is _AMAZON:
            for beside in _AMAZON_SECRET.finditer(text, max(0, start - _BESIDE), end + _BESIDE):
                if _is_random(beside.group()) and is_noise(beside.group()) and not HEX.fullmatch(beside.group()):
                    yield *beside.span(), 0.6


def _with_shape(text: str) -> Iterator[Secret]:
    for name, core, before, after in _shapes:
        for hit in core.finditer(text):
            at = hit.start()
            head, tail = before.search(text, max(0, at - _LONGEST_BEFORE), at), after.match(text, at)
            if head is None or tail is None:
                continue
            start, value = head.start(), head.group() + tail.group().rstrip(".")
            end = start + len(value)
            if not _is_free(text, start) or _TOKEN_CHARACTER.match(text, end):
                continue
            if name == "jwt":
                score = 1.0 if _has_algorithm(value) else 0.0
            elif name == "discord":
                score = 1.0 if decoded(value.partition(".")[0]).isdigit() else 0.0
            else:
                score = 0.6 if _is_random(value) else 0.0
            if score:
                yield start, end, score


def _is_free(text: str, start: int) -> bool:
    return _FREE.search(text, max(0, start - 4), start) is not None


def _is_random(value: str) -> bool:
    return not is_placeholder(value) and predictable(value) <= WORDLIKE and len(set(value)) > 5


def _has_checksum(value: str) -> bool:
    """Whether the last 6 characters are the CRC-32 of the others in base 62."""
    number = 0
    for character in value[-6:]:
        number = number * 62 + _BASE62.find(character)
    return number == zlib.crc32(value[:-6].encode())


def _has_algorithm(token: str) -> bool:
    """Whether the first part of a JSON Web Token names an algorithm."""
    try:
        header = json.loads(decoded(token.partition(".")[0]))
    except (ValueError, RecursionError):
        return False
    return isinstance(header, dict) and isinstance(header.get("alg"), str)


def decoded(value: str) -> bytes:
    """What Base64 of either alphabet, with or without padding, stands for; nothing if it is none."""
    bare, others = value.rstrip("="), b"-_" if "-" in value or "_" in value else None
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), others)
    except (binascii.Error, ValueError):
        return b""
