"""Secrets and URL credentials: found in real text, whole, and nothing else; whatever the text, in linear time."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random

import pytest
import re2
import zstandard
from gristmill.filters.pii.own.noise import WORDLIKE, is_noise, is_placeholder, predictable
from gristmill.filters.pii.own.secrets import Secrets
from gristmill.filters.pii.own.urls import UrlCredentials
from hypothesis import example, given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))  # so that made_secrets.py beside this file can be imported by name

import made_secrets

SECRETS, CREDENTIALS = Secrets(), UrlCredentials()
GATES = {recognizer: re2.compile(recognizer.must_hold) for recognizer in (SECRETS, CREDENTIALS)}
MADE = {
    "providers": (SECRETS, made_secrets.PROVIDER_LINES, 0.98),
    "keys": (SECRETS, made_secrets.GENERIC_LINES, 0.96),
    "urls": (CREDENTIALS, {"url": made_secrets.url_line}, 0.98),
}
LENGTH = 200_000
TEXT = st.text(st.characters(codec="utf-8"), max_size=20)


def found(text: str, recognizer=SECRETS, context=()) -> list[str]:
    findings = list(recognizer.find(text, context))
    if findings:
        assert GATES[recognizer].search(text)
    return [text[f.start : f.end] for f in findings]


# -- made texts ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def paragraphs(shared_data) -> list[str]:
    """Paragraphs about code, with code."""
    with zstandard.open(shared_data / "text-en" / "peps-part1.jsonl.zst", "rt", encoding="utf-8") as lines:
        texts = [json.loads(next(lines))["text"] for _ in range(40)]
    return [part for text in texts for part in text.split("\n\n")[5:45] if 80 < len(part) < 600]


@pytest.mark.parametrize("name", MADE)
def test_made_secrets_are_found_whole_and_nothing_else(name, paragraphs):
    recognizer, lines, least = MADE[name]
    spans = right = findings = false = 0
    missed: Counter[str] = Counter()
    for made in made_secrets.made_texts(lines, 1_000, paragraphs, seed=3):
        there = {(f.start, f.end) for f in recognizer.find(made.text)}
        assert not there or GATES[recognizer].search(made.text)
        spans += len(made.spans)
        right += len(there.intersection(made.spans))
        missed[made.form] += len(set(made.spans) - there)
        findings += len(there)
        false += sum(not any(a < end and start < b for a, b in made.spans) for start, end in there)
    assert spans >= 1_000
    assert right / spans >= least, missed.most_common(5)
    assert 1 - false / findings >= 0.995


@pytest.mark.parametrize("form", made_secrets.PROVIDER_LINES)
def test_no_form_of_a_provider_is_lost(form):
    draw = Random(form)
    values = [made_secrets.PROVIDER_LINES[form](draw) for _ in range(20)]
    assert sum(set(parts[1::2]) <= set(found("".join(parts))) for parts in values) >= 19


@pytest.mark.parametrize("name", made_secrets.NEGATIVES)
def test_what_only_looks_like_a_secret_stays(name):
    draw = Random(name)
    texts = {made_secrets.NEGATIVES[name](draw) for _ in range(100)}
    assert [hit for text in texts for recognizer in (SECRETS, CREDENTIALS) for hit in found(text, recognizer)] == []


@pytest.mark.parametrize("text", [*made_secrets.PLACEHOLDERS, *made_secrets.LABELS])
def test_documentation_stays(text):
    assert found(text) == found(text, CREDENTIALS) == []


# -- what can be checked ---------------------------------------------------------------------------------------------


@given(st.randoms(use_true_random=False), st.sampled_from(["ghp_", "gho_", "ghr_", "ghs_", "npm_"]))
def test_a_checksum_makes_sure(draw, prefix):
    token = made_secrets.checked(prefix, draw)
    other = token[:-1] + ("a" if token[-1] != "a" else "b")
    for value, score in ((token, 1.0), (other, 0.6)):
        body = value.removeprefix(prefix)
        if predictable(body) <= WORDLIKE and not is_placeholder(body):
            assert [f.score for f in SECRETS.find(f"({value})")] == [score]
            assert found(value + "aB") == [] or prefix == "ghs_"


def test_published_checksum():
    """The one token whose parts are spelt out in public, in a gist on the format."""
    assert [f.score for f in SECRETS.find("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")] == [1.0]


def test_json_web_token_of_rfc_7519():
    token = (
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9"
        ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
        ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    )
    assert [tuple(f)[:4] for f in SECRETS.find(f"see {token}.")] == [(4, 4 + len(token), "SECRET", 1.0)]
    for header in ({"typ": "JWT"}, {"alg": 5}, ["alg"], "alg"):
        first = made_secrets.b64(json.dumps(header).encode().ljust(9))
        assert found(f"see {first}{token[token.index('.') :]}") == []


@pytest.mark.parametrize("label", ["PRIVATE KEY", "OPENSSH PRIVATE KEY", "PGP PRIVATE KEY BLOCK"])
@pytest.mark.parametrize("code", [False, True])
def test_a_private_key_cut_off_goes_to_its_end(label, code):
    block = made_secrets.pem(Random(label), label, 300, "Version: 1\n\n")
    whole = block.replace("\n", '\\n"\n    "') if code else block
    assert found(f"key: {whole}\n\nThat was it.") == [whole]
    begin = len(f"-----BEGIN {label}-----")
    for end in range(begin + 150, whole.index("-----END"), 7):
        cut = whole[:end]
        (value,) = found("This is it:\n" + cut)
        assert value == cut.rstrip(' \n"\\') or cut.removeprefix(value).strip(' \nn"\\') == ""
        assert found(f"{cut}\n\nThat was all there is of it.")[0] in cut


def test_what_is_no_key_in_a_private_block_stays():
    assert found("-----BEGIN RSA PRIVATE KEY-----\n" * 3) == []
    assert found("-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA...\n-----END RSA PRIVATE KEY-----") == []


# -- keys that say so ------------------------------------------------------------------------------------------------

TOKEN, PASSWORD, UUID = "q8Zk1LmXoP7rTtUvWx0Q", "Xk29fjw2!a", "3f2b8c1e-9a47-4d05-b6e8-71c0d5a92f34"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (f"Authorization: Bearer {TOKEN}", TOKEN),
        (f"requests.get(url, headers={{'Authorization': 'token {TOKEN}'}})", TOKEN),
        (f"https://a.org/x?limit=3&access_token={TOKEN}&page=2", TOKEN),
        (f"X-Api-Key: {TOKEN}.", TOKEN),
        (f'spring.datasource.password="{PASSWORD}"', PASSWORD),
        (f"the DB_PASSWORD is set: DB_PASSWORD={PASSWORD}", PASSWORD),
        (f"setenv('DB_PASSWORD', '{PASSWORD}')", PASSWORD),
        (f"MY_API_KEY_PROD: {TOKEN}", TOKEN),
        (f"API key: {TOKEN}", TOKEN),
        (f"HEROKU_API_KEY={UUID}", UUID),
        (f"client_secret: {UUID}", UUID),
    ],
)
def test_a_key_tells_its_value(text, value):
    assert found(text) == [value]


@pytest.mark.parametrize(
    "text",
    [
        f"PublicKeyToken={TOKEN}",
        f'"nextPageToken": "{TOKEN}"',
        f"token_url = {TOKEN}",
        f"key = {TOKEN}",
        f"sigma={TOKEN}",
        f'"{TOKEN}", "password", "{TOKEN}"',
        f'"AWS::AppSync::ApiKey": "{TOKEN}"',
        f"bypass: {PASSWORD}",
        f"request_token: {UUID}",
        f"id: {UUID}",
        "password = getpass.getpass(2)",
        "private_key: ed25519.Ed25519PrivateKey, password: bytes",
        "token = tokens[i1 + 2].lower()",
        "password = other.password2",
        "api_key = process.env.API_KEY_2",
        "secret: arn:aws:secretsmanager:eu-west-1:210987654321:secret:prod/db-Xk29fj",
        "token = '2024-05-01T12:00:00.000Z'",
        "secret = 0000000000000000000000000000",
        'password: "Passwort123"',
    ],
)
def test_a_key_of_something_else_tells_nothing(text):
    assert found(text) == []


def test_a_key_of_metadata_tells_too():
    assert found(TOKEN, context=("api_key",)) == [TOKEN]
    assert found(PASSWORD, context=("Password",)) == [PASSWORD]
    assert found(TOKEN, context=("etag", "title")) == found(f"as {TOKEN} says", context=("api_key",)) == []


@given(
    st.integers(16, 64),
    st.sampled_from([made_secrets.HEX, made_secrets.BASE62, made_secrets.URLSAFE]),
    st.randoms(use_true_random=False),
)
def test_noise_needs_a_key(length, alphabet, draw):
    token = made_secrets.of(draw, alphabet, length)
    assert found(f'client_secret = "{token}"') == [token] * (is_noise(token) and not is_placeholder(token))
    assert found(f"the build {token} of it") == []


def test_most_noise_is_known():
    draw = Random(1)
    for alphabet, length in ((made_secrets.HEX, 32), (made_secrets.BASE62, 20), (made_secrets.URLSAFE, 43)):
        assert sum(is_noise(made_secrets.of(draw, alphabet, length)) for _ in range(500)) >= 490


def test_names_of_code_are_no_noise():
    names = "getAccessTokenSilently ConfidentialClientApplication2 x86_64-unknown-linux-gnu-v2 utf8_general_ci_2023"
    assert not any(map(is_noise, [*names.split(), "aaaa1111aaaa1111", "0123456789abcdef", "1234567890123456"]))


# -- URLs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "credentials"),
    [
        ("https://anna:Xk29fj@acme.org/x", "anna:Xk29fj"),
        ("redis://:p4w9@10.0.0.1:6379/0", ":p4w9"),
        ("smtp://anna@acme.org:w9@b@mail.acme.org:25", "anna@acme.org:w9@b"),
        ("ftp://anna:w%40rd9@[2001:db8::1]:21/", "anna:w%40rd9"),
        ("jdbc:mysql://anna:rd9wqk@db/shop", "anna:rd9wqk"),
        ("mongodb://anna:rd9wqk@h1:27017,h2:27017/db", "anna:rd9wqk"),
        ("mongodb+srv://anna21:anna21@c0.acme.net", "anna21:anna21"),
        ("(https://anna:Xk29fj@acme.org)", "anna:Xk29fj"),
    ],
)
def test_user_and_password(url, credentials):
    assert found(f"See {url} and http://acme.org:80/a@b:c", CREDENTIALS) == [credentials]


@pytest.mark.parametrize(
    "text",
    """
    ssh://git@github.com:22/x.git|https://anna@acme.org|https://anna:@acme.org|http://acme.org:80/~x@y|anna:Xk29@acme.org
    http://${U}:${P}@h.org|http://$USER:$PASS@h.org|http://<user>:<password>@h.org|http://[user]:[pass]@h.org
    http://user:password@h.org|http://username:password@h.org|http://user:pass@h.org|http://foo:bar@h.org|p://a:b@h.org
    amqp://guest:guest@localhost|postgres://shop:shop@localhost/shop|http://{u}:{p}@h.org|http://u:***@h.org
    smb://benutzer:passwort@server/drucker|smb://usuario:contraseña@servidor/x|http://u:xxxx@h.org|http://%s:%s@h.org
    http://acme.org:80 and mail anna@acme.org|http://a?x:y@z.org|http://a#x:y@z.org|://anna:Xk29fj@acme.org
    """.strip()
    .replace("\n    ", "|")
    .split("|"),
)
def test_no_user_and_password(text):
    assert found(text, CREDENTIALS) == []


UNRESERVED = made_secrets.URLSAFE + ".~!$&*+,;="


@given(
    st.sampled_from(made_secrets.SCHEMES),
    st.text(UNRESERVED, max_size=12),
    st.text(UNRESERVED + ":@", min_size=1, max_size=30),
    st.sampled_from(made_secrets.HOSTS),
    st.text(st.characters(codec="utf-8"), max_size=20),
)
@example("https", "", "@", "acme.org", "")
def test_the_credentials_are_what_rfc_3986_calls_userinfo(scheme, user, password, host, before):
    credentials = f"{user}:{password}"
    expected = [] if is_placeholder(password) or (user == password and "." not in host) else [credentials]
    text = f"{before} {scheme}://{credentials}@{host}/path"
    assert found(text, CREDENTIALS)[-len(expected) :] == expected or not expected


# -- any text --------------------------------------------------------------------------------------------------------

PIECES = [
    *(
        "token=",
        "password: ",
        '"',
        "'",
        "`",
        "\\",
        "\\n",
        "\n",
        " ",
        ",",
        "(",
        ")",
        "<password>",
        "</",
        "::",
        "=>",
        "://",
    ),
    *("-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", "eyJhbGciOiJIUzI1NiJ9.", "a1B2" * 9, TOKEN, PASSWORD),
    *(
        "AKIA",
        "ghp_",
        "sk-",
        "SG.",
        "bearer ",
        "basic ",
        "?sig=",
        "--pwd ",
        ":",
        "@",
        "é",
        "密码",
        "%40",
        "=",
        ".",
    ),
]


@given(st.lists(st.one_of(st.sampled_from(PIECES), TEXT), max_size=14).map("".join))
def test_any_text(text):
    for recognizer, gate in GATES.items():
        findings = list(recognizer.find(text))
        assert findings == list(recognizer.find(text))
        assert all(0 <= f.start < f.end <= len(text) and f.score >= 0.4 and f.by == "gristmill" for f in findings)
        assert not findings or gate.search(text)


@given(TEXT, st.sampled_from(sorted(made_secrets.GENERIC_LINES)), st.integers(0, 50))
@example("é\U0001f600", "bearer", 1)
def test_places_are_characters(before, form, seed):
    line = "".join(made_secrets.GENERIC_LINES[form](Random(seed)))
    alone = [(f.start, f.end) for f in SECRETS.find("\n" + line)]
    shift = len(before) + 1
    there = [(f.start, f.end) for f in SECRETS.find(f"{before}.\n{line}")]
    assert [(start + shift, end + shift) for start, end in alone] == [span for span in there if span[0] > shift]


HOSTILE = [
    *(f"password='{'a' * 110}1!' ", f"token={'a.' * 60} ", f"-----BEGIN PRIVATE KEY-----{'A' * 20}\n+ Aa: ", "%", "$"),
    *(
        "a",
        "A",
        "0",
        "f",
        " ",
        "\n",
        ".",
        "-",
        "=",
        ":",
        "/",
        '"',
        "\\n",
        "sk-",
        "eyJ",
        "eyJa.bb",
        "eyJa.bb.",
        "token",
        "M.",
    ),
    *(
        "token:",
        "token=",
        "token='",
        'password="a1B2c3d4',
        "password='x\"y",
        "bearer ",
        "--pwd ",
        "?sig=",
        "<password>",
    ),
    *(
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\n+ + ",
        "-----BEGIN ",
        "://a:b@",
        "://",
        "a:b@",
        "0Q~",
    ),
    *("AKIAQ3XN5TRZ7WLK2VBD ", f"token={TOKEN} ", "glpat-a.", "pat", ".atlasv1.", "f-us1", "1:AA", "é token: "),
]


@pytest.mark.parametrize("unit", HOSTILE)
def test_hostile_runs_take_no_time(unit):
    text = (unit * (LENGTH // len(unit) + 1))[:LENGTH]
    start = time.process_time()
    for recognizer, gate in GATES.items():
        gate.search(text)
        list(recognizer.find(text))
    assert time.process_time() - start < 1.5
