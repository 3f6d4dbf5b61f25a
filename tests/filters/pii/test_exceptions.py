"""What concerns nobody is left; what only looks like it is not."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from gristmill.filters.pii.exceptions import _TESTS, EXCEPTIONS, excepted
from gristmill.filters.pii.finding import Finding

# The finding is what is in brackets.
NOBODYS = {
    ("EMAIL_ADDRESS", "documentation"): """
[jane@example.com]|[jane@mail.example.org]|[JANE@EXAMPLE.NET]|[a@host.example]|[a@b.test]|[root@x.localhost]
[a@q.invalid]|[jane＠example.com]""",
    ("EMAIL_ADDRESS", "no_reply"): """
[noreply@acme.org]|[no-reply@acme.org]|[No.Reply@acme.org]|[donotreply@a.de]|[do-not-reply@a.de]|[MAILER-DAEMON@a.de]""",
    ("PHONE_NUMBER", "documentation"): """
[(212) 555-0123]|[+1 212 555 0199]|[1-800-555-0100]|[020 7946 0958]|[+44 20 7946 0958]|[+33 1 99 00 12 34]
[+49 30 23125 123]""",
    ("IP_ADDRESS", "documentation"): """
[192.0.2.1]|[198.51.100.0/24]|[203.0.113.255]|[2001:db8::1]|[2001:0DB8:0:0:0:0:0:1]|[::ffff:192.0.2.1]""",
    ("IP_ADDRESS", "private"): """
[10.0.0.1]|[172.16.0.1]|[172.31.255.255]|[192.168.1.1/24]|[127.0.0.1]|[::1]|[::]|[0.0.0.0]|[169.254.1.1]|[fe80::1%eth0]
[fd00::1]|[::ffff:10.0.0.1]""",
    ("IP_ADDRESS", "versions"): """
version [1.2.3.4]|Version: [1.2.3.4]|ver. [1.2.3.4]|v [1.2.3.4]|v.[1.2.3.4]|version = "[1.2.3.4]"|release [1.2.3.4]
build [6.1.7.60]|numpy==[1.2.3.4]|numpy>=[1.2.3.4]|numpy (>= [1.2.3.4])|gem rails, ~> 1, rails ~> [4.2.1.1]
numpy-[1.2.3.4].tar.gz|numpy_[1.2.3.4]-py3-none-any.whl|libfoo-[1.2.3.4].jar|setup-v[1.2.3.4].exe|section [1.2.3.4]
§ [1.2.3.4]|the version is [1.2.3.4]|firmware [1.2.3.4]|foo[extra]==[1.2.3.4]|libfoo-[3.4.2.10]|lib-foo-bar-v[1.2.3.4]
/opt/jboss-as-[7.1.1.2]/bin|(Opera/[9.10.2.1])|Oracle Database [11.2.0.4]|Windows [5.1.2.3]|upgraded to [2.3.4.5]""",
}
SOMEBODYS = {
    "EMAIL_ADDRESS": """
[jane@example.co.uk]|[jane@myexample.com]|[jane@example.com.au]|[jane@example-post.com]|[jane@examples.org]|[a@test.com]
[noreply.jane@acme.org]|[noreply+jane@acme.org]|[reply@acme.org]|[12345+jane@users.noreply.github.com]""",
    "PHONE_NUMBER": """
[(212) 555-2368]|[(212) 555-1123]|[020 7946 1958]|[+44 20 7219 3000]|[+33 1 40 63 60 00]|[+55 11 98765-0123]""",
    "IP_ADDRESS": """
[8.8.8.8]|[172.32.0.1]|[192.0.3.1]|[192.169.0.1]|[2600:1f18::1]|[2001:db9::1]|[11.0.0.1]|conversion [8.8.8.8]
ip-[8.8.8.8]|root@[8.8.8.8]|http://[8.8.8.8]/file.zip|dev [8.8.8.8]|server-[8.8.8.8] file.zip|name/[8.8.8.8]
ssh host-[8.8.8.8]|the server at [8.8.8.8]|version [8.8.8.8/24]|version [2600:1f18::1]|ip = [8.8.8.8]|"ip": "[8.8.8.8]"
version\\n\\n[8.8.8.8]|version 2 at [8.8.8.8]|host-[11.1.2.3]|ip-[52.3.4.5]|server [8.8.8.8]|user@[1.2.3.4]
http://foo-[1.2.3.4]/|web01-[5.6.7.8]|my-proxy-[5.6.7.8]|libfoo-[8.8.8.8]|libfoo-[93.184.2.10]|Windows [5.1.2.99]
whois/[5.6.7.8]|Server/[5.6.7.8]|Oracle at [11.2.0.4]|-[1.2.3.4]|1.1.1.1-[1.2.3.4]|updated [1.2.3.4]""",
    "CREDIT_CARD": "[4111111111111111]",
    "IBAN_CODE": "[DE89370400440532013000]",
    "US_SSN": "[219-09-9999]",
}


def cases(lines: str) -> Iterator[tuple[str, int, int]]:
    """(text, start and end of the finding)."""
    for case in re.split(r"[|\n]", lines.strip("\n")):
        before, value, after = re.fullmatch(r"(.*)\[(.*)\](.*)", case.replace("\\n", "\x1e")).groups()
        before = before.replace("\x1e", "\n")
        yield f"{before}{value}{after}", len(before), len(before) + len(value)


@pytest.mark.parametrize(("kind", "name"), list(NOBODYS))
def test_nobodys(kind, name):
    rest = frozenset(EXCEPTIONS) - {name}
    for text, start, end in cases(NOBODYS[kind, name]):
        finding = Finding(start, end, kind, 1.0)
        assert excepted(text, finding, frozenset([name])), text
        assert not excepted(text, finding, rest), text


@pytest.mark.parametrize("kind", list(SOMEBODYS))
def test_somebodys(kind):
    for text, start, end in cases(SOMEBODYS[kind]):
        assert not excepted(text, Finding(start, end, kind, 1.0), frozenset(EXCEPTIONS)), text


def test_every_exception_is_tested():
    assert {(kind, name) for kind, tests in _TESTS.items() for name in tests} == set(NOBODYS)
    assert {name for _, name in NOBODYS} == set(EXCEPTIONS)
