"""What overlaps becomes one tag over all of it; a tag is never personal data."""

from __future__ import annotations

import re
from itertools import pairwise
from random import Random

from gristmill.filters.pii.actions import Actions, Region, regions, replace_by_tags, tag_of
from gristmill.filters.pii.catalogue import KINDS
from gristmill.filters.pii.finding import Finding
from hypothesis import given
from hypothesis import strategies as st

TAGS = Actions(dict.fromkeys(KINDS, "tag"))
SCORES = [0.05, 0.4, 0.5, 0.6, 1.0]
FINDINGS = st.lists(
    st.builds(
        lambda start, length, kind, score: Finding(start, start + length, kind, score),
        st.integers(0, 60),
        st.integers(1, 15),
        st.sampled_from(KINDS),
        st.sampled_from(SCORES),
    ),
    max_size=12,
)


@given(FINDINGS, st.randoms(use_true_random=False))
def test_regions_are_the_components_of_overlap(findings, random: Random):
    got = regions(findings)
    covered = {i for f in findings for i in range(f.start, f.end)}
    assert {i for r in got for i in range(r.start, r.end)} == covered
    assert all(a.end <= b.start for a, b in pairwise(got))
    for f in findings:  # each lies in one region, never across the edge of one
        assert sum(r.start <= f.start and f.end <= r.end for r in got) == 1
    for r in got:
        inside = [f for f in findings if r.start <= f.start and f.end <= r.end]
        longest = max(f.end - f.start for f in inside)
        best = max(f.score for f in inside if f.end - f.start == longest)
        named = [f.kind for f in inside if f.end - f.start == longest and f.score == best]
        assert r.kind == min(named, key=KINDS.index)
        for cut in range(r.start + 1, r.end):  # not two regions made one
            assert any(f.start < cut < f.end for f in inside)
    shuffled = findings[:]
    random.shuffle(shuffled)
    assert regions(shuffled) == got


def test_touching_findings_stay_two():
    phone, card = Finding(0, 4, "PHONE_NUMBER", 0.4), Finding(4, 9, "CREDIT_CARD", 1.0)
    assert regions([card, phone]) == [Region(0, 4, "PHONE_NUMBER"), Region(4, 9, "CREDIT_CARD")]
    assert replace_by_tags("aaaabbbbb!", regions([phone, card])) == "<PHONE><CARD>!"


def test_union_is_replaced():
    findings = [Finding(2, 8, "PHONE_NUMBER", 0.4), Finding(6, 10, "CREDIT_CARD", 1.0), Finding(9, 12, "US_SSN", 0.5)]
    assert replace_by_tags("a 12345678901 b", regions(findings)) == "a <PHONE>1 b"


def test_no_tag_is_a_finding(gate):
    assert len({tag_of(kind) for kind in KINDS}) == len(KINDS)
    for tag in map(tag_of, KINDS):
        assert re.fullmatch("<[A-Z_]+>", tag)
        for text in (tag, tag * 3, f"call ssn {tag}12", f"a{tag}b"):
            assert not gate.find(TAGS.hide(text))


def test_tags_are_no_context(gate):
    text = "<SSN> 219099999 and <IP> :: and <PHONE> 212-555-2368"
    assert TAGS.hide("a <b> <EMAIL> <CASE_NUMBER>") == "a <b> <ZZZZZ> <CASE_NUMBER>"
    assert Actions({"CASE_NUMBER": "tag"}).hide("a <b> <EMAIL> <CASE_NUMBER>") == "a <b> <ZZZZZ> <ZZZZZZZZZZZ>"
    hidden = TAGS.hide(text)
    assert len(hidden) == len(text)
    assert [f.score for f in gate.find(hidden) if f.kind in ("US_SSN", "IP_ADDRESS", "PHONE_NUMBER")] == [
        0.05,
        0.1,
        0.4,
    ]
