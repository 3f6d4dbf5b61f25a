"""Addresses in one spelling: examples of the standards, and what must hold for any address."""

from __future__ import annotations

import re

import pytest
from ada_url import normalize_url
from gristmill.filters.urls import PLAIN, canonical_host, canonical_url
from hypothesis import assume, example, given
from hypothesis import strategies as st

SAME = [  # the spelling, and others of it
    ("http://example.com/", ["HTTP://EXAMPLE.com", "example.com", "//example.com", "http://example.com:80/#top"]),
    (
        "http://example.com/",
        [
            "http://example.com./",
            "http://me:secret@example.com/",
            " http://exa\tmple.com/\n",
            "http://example.com/?",
        ],
    ),
    ("https://example.com/", ["https://example.com:443", "https:\\\\example.com\\"]),
    ("http://example.com:8080/a", ["http://example.com.:8080/a", "example.com:8080/a"]),
    ("http://example.com/~a-b_c.d", ["http://example.com/%7Ea%2Db%5Fc%2ed", "http://example.com/%7ea-b_c.d"]),
    ("http://example.com/a%2Fb%C3%A9", ["http://example.com/a%2fbé", "http://example.com/a%2Fb%c3%a9"]),
    ("http://example.com/b", ["http://example.com/a/../b", "http://example.com/./b", "http://example.com/a/%2E%2e/b"]),
    ("http://example.com/%7C%5E%20?q=%7C", ["http://example.com/|^ ?q=|"]),
    ("http://xn--exmple-cua.com/", ["http://exämple.com", "http://EXÄMPLE.COM/", "xn--exmple-cua.com"]),
    ("http://127.0.0.1/", ["http://0x7f.1", "http://2130706433/", "127.0.0.1"]),
    ("http://[::1]/x", ["http://[0:0:0:0:0:0:0:1]:80/x"]),
]


@pytest.mark.parametrize(("spelling", "others"), SAME)
def test_spellings_of_one_address(spelling, others):
    assert [canonical_url(other) for other in [spelling, *others]] == [spelling] * (len(others) + 1)


def test_what_servers_may_tell_apart_stays():
    kept = ["/A", "/a", "/a/", "/a//", "/a?x=1&y=2", "/a?y=2&x=1", "/a?x", "/a;b", "/a%2Fb", "/a/b", "/a+b", "/a%20b"]
    assert len({canonical_url(f"http://example.com{path}") for path in kept}) == len(kept)
    assert canonical_url("https://www.example.com/") == "https://www.example.com/"


def test_options():
    url = "https://www.example.com/a?utm_source=x&b=2&gclid=3&fbclid=4&c=&spmx=1"
    assert canonical_url(url, scheme=False) == "http" + url[5:]
    assert canonical_url(url, www=False) == url.replace("www.", "")
    assert canonical_url(url, tracking=False) == "https://www.example.com/a?b=2&c=&spmx=1"
    assert canonical_url("http://a.com/?utm_medium=x", tracking=False) == "http://a.com/"
    assert canonical_url("http://www.com/", www=False) == "http://www.com/"


def test_hosts():
    names = [" *.EXämple.COM. ", ".example.com", "1.2.3.4", "example.com:80", "[::1]", "a_b.example.com"]
    wanted = ["xn--exmple-cua.com", "example.com", "1.2.3.4", "example.com", "[::1]", "a_b.example.com"]
    assert [canonical_host(name) for name in names] == wanted


FORM = r"(https?|HTTP)://[A-Za-z][A-Za-z0-9.äß_-]{0,12}(:\d{1,5})?(/[^\s#\x00-\x20]{0,12}){0,3}"
formed = st.from_regex(FORM, fullmatch=True)
addresses = st.text(max_size=30) | formed | st.from_regex(r"[a-z.:/\\@?#%0-9A-F]{0,20}", fullmatch=True)


@given(addresses)
@example("http://a/%%41")
@example("http://a.b/%25%34%31")
@example("//")
@example("http://@/?#")
def test_canonical_twice_is_canonical_once(url):
    once = canonical_url(url)
    if re.match(r"https?://[a-z]", once):  # more than dots and slashes
        assert canonical_url(once) == once
    for scheme in (True, False):
        for www in (True, False):
            assert isinstance(canonical_url(url, scheme=scheme, www=www, tracking=False), str)


@given(st.from_regex(PLAIN, fullmatch=True))
def test_what_is_plain_is_as_the_parser_gives_it(url):
    assume("xn--" not in url)
    assert canonical_url(url) == url
    assert normalize_url(url) == url


@given(formed, st.sampled_from(["#x", "#", "#/a?b"]))
def test_a_fragment_changes_nothing(url, fragment):
    assert canonical_url(url + fragment) == canonical_url(url)
