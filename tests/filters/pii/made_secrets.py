"""Labelled texts made for tests: secrets of the providers' documented forms and of people's habits, in real text.

Nothing here knows a pattern of the scrubber: a form is written down as what it is made of (a prefix, so many random
characters of an alphabet, a checksum), and so are the lines of code, configuration and prose that secrets stand in.
The hard negatives are what tools that look for secrets are known to take for one. One stands in every text.
"""

from __future__ import annotations

import base64
import hashlib
import json
import string
import uuid
import zlib
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import NamedTuple

HEX, LOWER, UPPER, DIGITS = "0123456789abcdef", string.ascii_lowercase, string.ascii_uppercase, string.digits
BASE62 = DIGITS + UPPER + LOWER
URLSAFE, BASE64 = BASE62 + "-_", BASE62 + "+/"

Maker = Callable[[Random], str]
Line = Callable[[Random], tuple[str, ...]]
"""Text and secrets in turn."""


class Made(NamedTuple):
    """A text with a line of secrets, [start, end) each, written in `form`; `negative` names what else stands in it."""

    text: str
    spans: list[tuple[int, int]]
    form: str
    negative: str


def made_texts(lines: dict[str, Line], count: int, carriers: Sequence[str], seed: int = 0) -> Iterator[Made]:
    """`count` texts with a line each, forms in turn; the same arguments give the same texts."""
    draw, forms, negatives = Random(f"secrets {seed}"), list(lines), list(NEGATIVES)
    for number in range(count):
        form, negative = forms[number % len(forms)], draw.choice(negatives)
        first, other, last = draw.sample(carriers, 3)
        unlike = f"\n\n{other}\n\n{NEGATIVES[negative](draw)}\n\n"
        text, spans = first + (unlike if draw.random() < 0.5 else "\n\n"), []
        for place, part in enumerate(lines[form](draw)):
            if place % 2:
                spans.append((len(text), len(text) + len(part)))
            text += part
        text += f"\n\n{last}" if unlike in text else unlike + last
        yield Made(text, spans, form, negative)


def of(draw: Random, alphabet: str, length: int) -> str:
    """Random characters."""
    return "".join(draw.choices(alphabet, k=length))


def b64(data: bytes) -> str:
    """Base64 for URLs, without padding."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


# -- providers -------------------------------------------------------------------------------------------------------


def checked(prefix: str, draw: Random) -> str:
    """30 random characters and their CRC-32 in 6 digits of base 62, as GitHub's blog has it (April 2021)."""
    body, digits = of(draw, BASE62, 30), ""
    number = zlib.crc32(body.encode())
    for _ in range(6):
        number, digit = divmod(number, 62)
        digits = BASE62[digit] + digits
    return prefix + body + digits


def jwt(draw: Random) -> str:
    """A signed token of RFC 7519."""
    header = {"alg": draw.choice(["HS256", "RS256", "ES384"]), "typ": "JWT"}
    claims = {"sub": of(draw, DIGITS, 10), "iat": draw.randrange(10**9, 2 * 10**9), "scope": "read write"}
    parts = [b64(json.dumps(part).encode()) for part in (header, claims)]
    return ".".join([*parts, b64(draw.randbytes(32))])


def pem(draw: Random, label: str, size: int, headers: str = "") -> str:
    """A block of RFC 7468."""
    body = base64.b64encode(draw.randbytes(size)).decode()
    lines = "\n".join(body[i : i + 64] for i in range(0, len(body), 64))
    return f"-----BEGIN {label}-----\n{headers}{lines}\n-----END {label}-----"


PROVIDERS: dict[str, Maker] = {
    "amazon": lambda d: d.choice(["AKIA", "ASIA"]) + of(d, UPPER + "234567", 16),
    "anthropic": lambda d: f"sk-ant-api03-{of(d, URLSAFE, 93)}AA",
    "anthropic admin": lambda d: f"sk-ant-admin01-{of(d, URLSAFE, 93)}AA",
    "databricks": lambda d: "dapi" + of(d, HEX, 32),
    "digitalocean": lambda d: "dop_v1_" + of(d, HEX, 64),
    "discord": lambda d: (
        f"{b64(str(d.randrange(4 * 10**17, 12 * 10**17)).encode())}.{of(d, URLSAFE, 6)}.{of(d, URLSAFE, 38)}"
    ),
    "docker": lambda d: "dckr_pat_" + of(d, URLSAFE, 27),
    "github": lambda d: checked(d.choice(["ghp_", "gho_", "ghu_", "ghs_", "ghr_"]), d),
    "github fine-grained": lambda d: f"github_pat_{of(d, BASE62, 22)}_{of(d, BASE62, 59)}",
    "github stateless": lambda d: f"ghs_{of(d, DIGITS, 6)}_{jwt(d)}",
    "gitlab": lambda d: d.choice(["glpat-", "gldt-", "glrt-", "glptt-"]) + of(d, URLSAFE, 20),
    "gitlab routable": lambda d: f"glpat-{of(d, URLSAFE, 27)}.01.{of(d, DIGITS + LOWER, 9)}",
    "google": lambda d: "AIza" + of(d, URLSAFE, 35),
    "google access": lambda d: "ya29.a0" + of(d, URLSAFE, 160),
    "google client": lambda d: "GOCSPX-" + of(d, URLSAFE, 28),
    "grafana": lambda d: f"glsa_{of(d, BASE62, 32)}_{of(d, HEX, 8)}",
    "groq": lambda d: "gsk_" + of(d, BASE62, 52),
    "hugging face": lambda d: "hf_" + of(d, LOWER + UPPER, 34),
    "jwt": jwt,
    "mailchimp": lambda d: f"{of(d, HEX, 32)}-us{d.randint(1, 21)}",
    "mailgun": lambda d: "key-" + of(d, HEX, 32),
    "new relic": lambda d: "NRAK-" + of(d, UPPER + DIGITS, 27),
    "npm": lambda d: checked("npm_", d),
    "openai": lambda d: f"sk-{of(d, BASE62, 20)}T3BlbkFJ{of(d, BASE62, 20)}",
    "openai project": lambda d: f"sk-proj-{of(d, URLSAFE, 74)}T3BlbkFJ{of(d, URLSAFE, 74)}",
    "openssh": lambda d: pem(d, "OPENSSH PRIVATE KEY", 280),
    "pem encrypted": lambda d: pem(
        d, "RSA PRIVATE KEY", 600, f"Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,{of(d, HEX.upper(), 32)}\n\n"
    ),
    "pem": lambda d: pem(d, d.choice(["PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY"]), d.choice([121, 600, 1190])),
    "pem in json": lambda d: pem(d, "PRIVATE KEY", 1190).replace("\n", "\\n"),
    "pgp": lambda d: pem(d, "PGP PRIVATE KEY BLOCK", 700, "Version: GnuPG v2\n\n"),
    "postman": lambda d: f"PMAK-{of(d, HEX, 24)}-{of(d, HEX, 34)}",
    "pypi": lambda d: "pypi-AgEIcHlwaS5vcmc" + of(d, URLSAFE, 150),
    "replicate": lambda d: "r8_" + of(d, BASE62, 37),
    "rubygems": lambda d: "rubygems_" + of(d, HEX, 48),
    "sendgrid": lambda d: f"SG.{of(d, URLSAFE, 22)}.{of(d, URLSAFE, 43)}",
    "shopify": lambda d: d.choice(["shpat_", "shpss_"]) + of(d, HEX, 32),
    "slack": lambda d: f"xoxb-{of(d, DIGITS, 12)}-{of(d, DIGITS, 13)}-{of(d, BASE62, 24)}",
    "slack user": lambda d: "xoxp-" + "-".join([of(d, DIGITS, 12) for _ in range(3)] + [of(d, HEX, 32)]),
    "square": lambda d: "sq0csp-" + of(d, URLSAFE, 43),
    "stripe": lambda d: d.choice(["sk_live_", "rk_live_", "sk_test_"]) + of(d, BASE62, d.choice([24, 99])),
    "telegram": lambda d: f"{of(d, '123456789', 10)}:AA{of(d, URLSAFE, 33)}",
    "twilio": lambda d: d.choice(["SK", "AC"]) + of(d, HEX, 32),
    "vault": lambda d: "hvs.CAES" + of(d, URLSAFE, 90),
}

PLACES = [
    ('API_KEY = "', '"'),
    ("export SERVICE_KEY=", ""),
    ("    client = Client('", "', timeout=30)"),
    ("The one we used was ", "."),
    ("- `", "`: still valid"),
    ('{"name": "ci", "value": "', '", "id": 7}'),
    ("value: ", ""),
    ("curl -H 'X-Auth: ", "' https://api.example.com/v1/items"),
    ("curl https://api.example.com/v1/items?key=", "&limit=5"),
    ("2024-05-01 12:00:01 INFO using ", " for upload"),
    ("", ""),
    ("<value>", "</value>"),
]
WHOLE_BLOCKS = {"openssh", "pem encrypted", "pem", "pgp"}


def _placed(form: str, maker: Maker) -> Line:
    def line(draw: Random) -> tuple[str, ...]:
        value = maker(draw)
        before, after = draw.choice(
            [('KEY = """', '"""'), ("", ""), ("key: |\n", "")] if form in WHOLE_BLOCKS else PLACES
        )
        return before, value, after

    return line


PROVIDER_LINES: dict[str, Line] = {form: _placed(form, maker) for form, maker in PROVIDERS.items()}
PROVIDER_LINES |= {
    "amazon pair": lambda d: (
        "aws_access_key_id = ",
        PROVIDERS["amazon"](d),
        "\naws_secret_access_key = ",
        of(d, BASE64, 40),
        "\nregion = eu-west-1",
    ),
    "amazon csv": lambda d: ("build,", PROVIDERS["amazon"](d), ",", of(d, BASE64, 40), ",eu-west-1"),
    "azure storage": lambda d: (
        "DefaultEndpointsProtocol=https;AccountName=shop;AccountKey=",
        base64.b64encode(d.randbytes(64)).decode(),
        ";EndpointSuffix=core.windows.net",
    ),
    "azure sas": lambda d: (
        "https://shop.blob.core.windows.net/c/b?sv=2022-11-02&se=2024-05-02T00%3A00%3A00Z&sp=r&sig=",
        base64.b64encode(d.randbytes(32)).decode().replace("+", "%2B").replace("/", "%2F").replace("=", "%3D"),
        " expires",
    ),
    "slack webhook": lambda d: (
        "url: https://hooks.slack.com/services/",
        f"T{of(d, UPPER + DIGITS, 10)}/B{of(d, UPPER + DIGITS, 10)}/{of(d, BASE62, 24)}",
        "",
    ),
    "discord webhook": lambda d: (
        'fetch("https://discord.com/api/webhooks/',
        f"{of(d, '123456789', 18)}/{of(d, URLSAFE, 68)}",
        '")',
    ),
    "telegram url": lambda d: ("https://api.telegram.org/bot", PROVIDERS["telegram"](d), "/getMe"),
    "heroku": lambda d: ("HEROKU_API_KEY=", str(uuid.UUID(int=d.getrandbits(128), version=4)), ""),
}

# -- keys that say so ------------------------------------------------------------------------------------------------

SYMBOLS = "!#%*+-_@^~?"
WORDS = str.split("summer winter dragon monkey garden silver orange castle falcon shadow thunder purple chelsea")


def token(draw: Random) -> str:
    """What services hand out that have no prefix."""
    alphabet, length = draw.choice(
        [(HEX, 32), (HEX, 40), (HEX, 64), (BASE62, 24), (BASE62, 32), (BASE62, 40), (URLSAFE, 43), (LOWER + DIGITS, 20)]
    )
    return of(draw, alphabet, length)


def password(draw: Random) -> str:
    """From a password manager, or a word with digits and a sign."""
    if draw.random() < 0.6:
        return of(draw, BASE62 + SYMBOLS, draw.randint(10, 20)) + draw.choice(DIGITS) + draw.choice(LOWER)
    word = draw.choice(WORDS)
    word = draw.choice([word, word.capitalize(), word.replace("e", "3").replace("a", "4").replace("o", "0")])
    return word + draw.choice(["!", "_", "#", "", "@"]) + of(draw, DIGITS, draw.randint(3, 5))


TOKEN_NAMES = str.split(
    "api_key apiKey API_KEY access_token accessToken auth_token client_secret SECRET_KEY secret token"
)
PASSWORD_NAMES = str.split("password DB_PASSWORD db_password smtpPassword passwd pwd admin_password ROOT_PASSWORD")
_TOKEN_LINES = {
    "python": ('{} = "', '"'),
    "javascript": ("const {} = '", "';"),
    "object": ("  {}: '", "',"),
    "json": ('"{}": "', '",'),
    "yaml": ("  {}: ", ""),
    "env": ("{}=", ""),
    "export": ("export {}=", ""),
    "typed": ('{}: str = "', '"'),
    "php": ("define('{}', '", "');"),
    "arrow": ("'{}' => '", "',"),
    "go": ('{} := "', '"'),
    "query": ("GET /v1/items?{}=", "&page=2"),
    "xml": ("<{0}>", "</{0}>"),
    "dotnet": ('<add key="{}" value="', '" />'),
    "subscript": ("os.environ['{}'] = '", "'"),
    "escaped": (r'"{{\"{}\": \"', r'\"}}"'),
    "argument": ('connect("db.example.com", {}="', '")'),
}
_PASSWORD_LINES = {name: _TOKEN_LINES[name] for name in set(_TOKEN_LINES) - {"query", "typed"}}
_PASSWORD_LINES |= {"flag": ("mysqldump --user backup --{} ", " shop")}


def _keyed(names: Sequence[str], place: tuple[str, str], maker: Maker) -> Line:
    def line(draw: Random) -> tuple[str, ...]:
        name = draw.choice(names)
        return place[0].format(name), maker(draw), place[1].format(name)

    return line


GENERIC_LINES: dict[str, Line] = {
    **{f"token, {form}": _keyed(TOKEN_NAMES, place, token) for form, place in sorted(_TOKEN_LINES.items())},
    **{f"password, {form}": _keyed(PASSWORD_NAMES, place, password) for form, place in sorted(_PASSWORD_LINES.items())},
    "bearer": lambda d: ('curl -H "Authorization: Bearer ', token(d), '" https://api.example.com'),
    "header": lambda d: ("X-Api-Key: ", token(d), ""),
    "django": lambda d: ("SECRET_KEY = '", of(d, LOWER + DIGITS + "!@#$%^&*(-_=+)", 50), "'"),
    "basic": lambda d: ("Authorization: Basic ", base64.b64encode(f"anna:{password(d)}".encode()).decode(), ""),
}

# -- hard negatives --------------------------------------------------------------------------------------------------


def _sha(draw: Random, name: str) -> bytes:
    return hashlib.new(name, draw.randbytes(8)).digest()


def _camel(draw: Random, count: int) -> str:
    return "".join(word.capitalize() for word in draw.choices(WORDS, k=count))


NEGATIVES: dict[str, Maker] = {
    "git": lambda d: f"commit {_sha(d, 'sha1').hex()}\nindex {of(d, HEX, 7)}..{of(d, HEX, 7)} 100644",
    "sha256": lambda d: f"{_sha(d, 'sha256').hex()}  release-1.2.tar.gz",
    "pip hash": lambda d: f"numpy==2.1.0 --hash=sha256:{_sha(d, 'sha256').hex()}",
    "npm lock": lambda d: (
        f'"integrity": "sha512-{base64.b64encode(_sha(d, "sha512")).decode()}",\n"resolved": '
        f'"https://registry.npmjs.org/a/-/a-1.0.0.tgz#{_sha(d, "sha1").hex()}"'
    ),
    "poetry lock": lambda d: f'content-hash = "{_sha(d, "sha256").hex()}"',
    "uuid": lambda d: f'id: "{uuid.UUID(int=d.getrandbits(128), version=4)}"',
    "image": lambda d: f'<img src="data:image/png;base64,{base64.b64encode(d.randbytes(400)).decode()}">',
    "certificate": lambda d: pem(d, "CERTIFICATE", 800),
    "public key": lambda d: pem(d, "PUBLIC KEY", 290) + "\nssh-rsa AAAAB3NzaC1yc2E" + of(d, BASE64, 300),
    "minified": lambda d: (
        f"function {of(d, LOWER, 1)}(t){{var e=t.token,n=t.password;return e?{{token:e,secret:n[0],password:!0,key:r(t,"
        f"{d.randrange(999)})}}:u.getToken({{api_key:f.apiKey}})}}"
    ),
    "placeholder": lambda d: d.choice(PLACEHOLDERS),
    "css": lambda d: (
        f'<div class="sc-{of(d, BASE62, 6)} css-{of(d, LOWER + DIGITS, 7)} Button__{_camel(d, 2)}--active">'
    ),
    "camel": lambda d: f"token = {_camel(d, 4)}TokenProvider.get{_camel(d, 3)}()",
    "path": lambda d: f"secret: /run/secrets/{d.choice(WORDS)}_{d.choice(WORDS)}_v{d.randrange(9)}",
    "call": lambda d: (
        f'api_key = os.environ["{d.choice(WORDS).upper()}_API_KEY"]\ntoken = config.get_token("{d.choice(WORDS)}")'
    ),
    "assembly": lambda d: f"Version=4.0.0.0, Culture=neutral, PublicKeyToken={of(d, HEX, 16)}",
    "label": lambda d: d.choice(LABELS),
    "page token": lambda d: f'"nextPageToken": "{of(d, BASE62, 24)}"',
    "model": lambda d: (
        f"tokenizer: bert-base-{d.choice(WORDS)}-uncased-v{d.randrange(9)}, max_tokens=4096, token_count: 128000"
    ),
    "git user": lambda d: f"ssh://git@github.com:22/{d.choice(WORDS)}.git and http://{d.choice(WORDS)}.org:8080/a@b",
}

PLACEHOLDERS = [
    'api_key = "YOUR_API_KEY_HERE"',
    "password: ${DB_PASSWORD}",
    'token: "{{ github_token }}"',
    'password = "<your-password>"',
    "AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE\nAWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    'SECRET_KEY = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"',
    'password: "changeme123"',
    "Authorization: Bearer <token>",
    "Authorization: Bearer $ACCESS_TOKEN",
    "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    "export OPENAI_API_KEY=sk-...",
    "sk-proj-your-openai-key-goes-here-before-you-start-it",
    'password = "****************"',
    "xoxb-your-bot-token-goes-here-please",
    "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----",
    "DATABASE_URL=postgres://user:password@localhost:5432/db",
    "https://${USER}:${PASS}@host/x https://<user>:<password>@host/x",
    "client_secret=0000000000000000000000000000",
    "Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
]
LABELS = [
    '"password": "Mot de passe"',
    'password: "Passwort"',
    "password: 'Password is required'",
    "Password: at least 8 characters, 1 digit",
    'passwordLabel="Enter password"',
    '<input type="password" name="password" placeholder="password">',
    "token: the string that was read, e.g. NAME or NUMBER",
    "The secret: documentation-driven development.",
    "password_hash_algorithm = 'pbkdf2_sha256'",
    'token_type: "urn:ietf:params:oauth:token-type:jwt"',
    "def check(token: Optional[str] = None, password: SecretStr = Field(...)) -> bool:",
]

# -- URLs ------------------------------------------------------------------------------------------------------------

HOSTS = str.split("db.acme.org 10.1.2.3:5432 [2001:db8::1]:21 acme.org localhost:27017 xn--bcher-kva.org")
SCHEMES = str.split(
    "https http ftp postgres postgresql+psycopg2 mongodb+srv redis amqp mysql smtp git+https jdbc:mysql"
)


def url_line(draw: Random) -> tuple[str, ...]:
    """A URL of RFC 3986 with a user and a password, either percent-encoded, or an e-mail address for the user."""
    user = draw.choice(["anna", "svc-backup", "deploy_bot", "anna@acme.org", "anna%40acme.org", "x-access-token", ""])
    secret = of(draw, BASE62 + "!$&*+,;=._~-", draw.randint(6, 20)) + draw.choice(["", "%40", "%23x", "@7"])
    before, after = draw.choice([("", ""), ('url = "', '"'), ("see <", "> for it"), ("(", ")"), ("DATABASE_URL=", "")])
    rest = draw.choice(["", "/shop", "/shop?ssl=true", "/a/b.git", "/#top"])
    return f"{before}{draw.choice(SCHEMES)}://", f"{user}:{secret}", f"@{draw.choice(HOSTS)}{rest}{after}"
