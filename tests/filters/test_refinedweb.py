"""RefinedWeb's corrections of lines against regular expressions, line by line."""

from __future__ import annotations

import gzip
import itertools
import json
import random
import re

import pyarrow as pa
import pytest
from gristmill.document import DOCUMENT
from gristmill.filters.quality.refinedweb import ANYWHERE, AT_END, AT_START, COUNTERS, RefinedWebLines
from gristmill.filters.rules import RuleStage
from gristmill.filters.stage import first_verdicts
from hypothesis import given, settings
from hypothesis import strategies as st

COUNTER = re.compile(r"\W*\d[\d.,]*[kmb]?\s+(?:{})\W*".format("|".join(COUNTERS)))


def small(text: str) -> str:
    """Small letters, one for one; `re.IGNORECASE` takes more letters for the same."""
    return "".join(c.lower() if len(c.lower()) == 1 else c for c in text)


def batch_of(texts: list[str]) -> pa.RecordBatch:
    n = len(texts)
    columns = {f.name: pa.nulls(n, f.type) for f in DOCUMENT}
    columns["key"] = pa.array([i.to_bytes(16, "big") for i in range(n)], DOCUMENT.field("key").type)
    columns["text"] = pa.array(texts, pa.large_string())
    return pa.RecordBatch.from_pydict(columns, DOCUMENT)


def corrected(texts: list[str], **changes) -> tuple[list[str], dict[str, list], list]:
    """(texts as they are cut, whether they stay or not; signals; details)"""
    rule = RefinedWebLines(RefinedWebLines.Settings(**({"max_removed_words": None} | changes)))
    outcome = RuleStage("quality", [rule])(batch_of(texts))
    signals = {
        name.removeprefix("refinedweb_lines_"): values.tolist()
        for name, values in outcome.signals.items()
        if name.startswith("refinedweb")
    }
    left = outcome.batch.column("text").to_pylist()
    edited = {int(row) for edits in outcome.edits for row in edits.rows}
    assert edited == {i for i, text in enumerate(texts) if left[i] != text}
    assert edited == {i for i, cut in enumerate(signals["cut_bytes"]) if cut}
    return left, signals, [json.loads(d) for edits in outcome.edits for d in edits.detail]


def spans_of(line: str) -> set[int]:
    """Characters of a stripped line that go with a phrase."""
    found = set()
    for phrases, where in ((AT_START, r"\A{}"), (AT_END, r"{}\Z"), (ANYWHERE, "{}")):
        for phrase in phrases:
            pattern = where.format(rf"(?<!\w)({re.escape(phrase)})(?!\w)")
            for match in re.finditer(f"(?={pattern})", small(line)):
                start, end = match.span(1)
                if end == len(line):
                    start = len(line[:start].rstrip())
                found.update(range(start, len(line) - len(line[end:].lstrip())))
    return found


def slowly(text: str) -> tuple[str, int, int]:
    """(the text, its words, words removed)"""
    out, total, removed, gone, kept = [], 0, 0, False, ""
    for whole in text.splitlines(keepends=True):
        line, words = whole.strip(), len(whole.split())
        total += words
        start, stop = whole.index(line), whole.index(line) + len(line)
        gone = False
        if words:
            gone = sum(c.isupper() for c in line) > 0.5 * len(line)
            gone = gone or all(c.isnumeric() or c.isspace() for c in line)
            gone = gone or COUNTER.fullmatch(small(line)) is not None or words < 2
            covered = set() if gone or words > 10 or len(line.encode()) > 1000 else spans_of(line)
            rest = "".join(c for i, c in enumerate(line) if i not in covered)
            gone = gone or not re.search(r"\w", rest if covered else "a")
            removed += words - (0 if gone else len(rest.split()))
        if gone:
            continue
        if words:
            kept = "".join(out) + whole[:start] + rest
            out.append(whole[:start] + rest + whole[stop:])
        else:
            out.append(whole)
    unbroken = bool(text) and len(text.splitlines()) == len((text + "a").splitlines())
    return kept if gone and unbroken else "".join(out), total, removed


PIECES = [
    "The miller sets the gap and listens to the stones.",
    "3 likes",
    "1.2k Views",
    "12,5 m  followers!",
    "· 7 comments ·",
]
PIECES += [
    "3 likes us",
    "3likes",
    "THE MILL",
    "THE miLL",
    "12",
    "١٢ 3",
    "½",
    "1,2",
    "Home",
    "home of the miller",
    "Homeless people",
]
PIECES += [
    "Sign in",
    "sign-in to see more",
    "Sign up or log in",
    "The mill. Read more...",
    "Read more…",
    "the 3 items in cart today",
]
PIECES += [
    "All rights reserved",
    "© 2020 All Rights Reserved.",
    "add to cart, please",
    "word",
    "!!",
    "É",
    "日本 語",
    "\u200b",
    "x" * 400,
]
PIECES += [
    "it can be checked by whoever eats, all rights reserved, and by the ten others",
    "s\u0130gn in",
    "vie\u212aws",
    "read",
    "more",
]
GAPS = ["\n"] * 12 + [" "] * 4 + ["\n\n", "\r\n", "\r", "\t", "\xa0", "\u2028", "\x85", "  ", " \n ", "", "\0"]


def hostile(rng: random.Random) -> str:
    return "".join(rng.choice(PIECES) + rng.choice(GAPS) for _ in range(rng.randrange(12)))


def check(texts: list[str]) -> int:
    """How many of the texts lost something."""
    left, signals, _ = corrected(texts)
    for i, text in enumerate(texts):
        expected, total, removed = slowly(text)
        assert left[i] == expected, text
        assert (signals["words"][i], signals["removed_words"][i]) == (total, removed), text
        share = signals["removed_word_share"][i]
        assert share == removed / total if total else share != share
    return sum(map(bool, signals["cut_bytes"]))


def test_equals_the_expressions_on_hostile_texts():
    rng = random.Random(1)
    check([hostile(rng) for _ in range(3000)])


def test_equals_the_expressions_on_real_texts(shared_data):
    texts = []
    for path in sorted((shared_data / "quality").glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as rows:
            texts += [str(json.loads(row).get("text") or "") for row in itertools.islice(rows, 40)]
    wet = (shared_data / "web" / "wet-derived" / "derived-00000.warc.wet.gz").read_bytes()
    wet = gzip.decompress(wet).decode("utf-8", "replace")
    texts += [record.partition("\r\n\r\n")[2] for record in wet.split("WARC/1.0\r\n")[1:60]]
    assert check(texts) > 50


@given(st.lists(st.text() | st.integers(0, 2**32).map(lambda seed: hostile(random.Random(seed))), max_size=5))
@settings(max_examples=100)
def test_equals_the_expressions_on_any_text(texts):
    check(texts)


LINE = "The miller sets the gap to the width of a hair."


@pytest.mark.parametrize(
    ("line", "reason", "left"),
    [
        ("ABOUT THE MILL", "uppercase_lines", None),
        ("ABOUT the mill", None, "ABOUT the mill"),  # 5 capitals of 14 characters
        ("2020", "numeric_lines", None),
        ("20 20", "numeric_lines", None),
        ("3 likes", "counter_lines", None),
        ("(1.2K views)", "counter_lines", None),
        ("3 millers", None, "3 millers"),
        ("Home", "one_word_lines", None),
        ("Home | About us", "phrase_lines", "| About us"),
        ("Homeless people", None, "Homeless people"),
        ("The stones sing. Read more...", "phrase_lines", "The stones sing."),
        ("Sign in", "phrase_lines", None),
        ("You have 3 items in cart now", "phrase_lines", "You have 3 now"),
        ("a b c d e f g h read more", "phrase_lines", "a b c d e f g h"),  # ten words
        ("a b c d e f g h i read more", None, "a b c d e f g h i read more"),
    ],
)
def test_by_hand(line, reason, left):
    texts = [f"{LINE}\n{line}\n{LINE}", f"{LINE}\n{line}"]
    middle = [LINE, LINE] if left is None else [LINE, left, LINE]
    result, signals, details = corrected(texts)
    assert result == ["\n".join(middle), LINE if left is None else f"{LINE}\n{left}"]
    names = ("uppercase_lines", "numeric_lines", "counter_lines", "one_word_lines", "phrase_lines")
    assert {name: signals[name][0] for name in names if signals[name][0]} == ({reason: 1} if reason else {})
    assert details == ([{reason: 1, "lines": [2]}] * 2 if reason else [])


def test_pages_that_lose_too_much_are_dropped():
    rule = RefinedWebLines(RefinedWebLines.Settings())
    texts = [LINE + "\n3 likes\n" + LINE, "\n".join([LINE] * 4) + "\n3 likes", "3 likes", ""]
    outcome = RuleStage("quality", [rule])(batch_of(texts))
    (drop,) = first_verdicts(outcome)
    assert drop.rule == "refinedweb_lines_max_removed_words"
    assert drop.rows.tolist() == [0, 2]  # 2 of 24 words; 2 of 46 are under 5 %
    assert drop.values.tolist() == [2 / 24, 1.0]
    assert outcome.batch.column("text").to_pylist() == [texts[0], "\n".join([LINE] * 4), texts[2], ""]


def test_every_rule_can_be_off():
    off = {
        "max_uppercase": None,
        "remove_numeric": False,
        "counters": (),
        "min_words_per_line": 1,
        "max_phrase_words": 0,
    }
    rng = random.Random(2)
    texts = [hostile(rng) for _ in range(50)]
    assert corrected(texts, **off)[0] == texts


def test_a_line_of_ten_million_characters():
    texts = ["word " * 2_000_000, "X" * 10_000_000, "1 " * 5_000_000]
    left, _, _ = corrected(texts)
    assert left == [texts[0], "", ""]
