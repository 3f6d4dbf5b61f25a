"""NeMo Curator's heuristics against their definitions, written out over Python strings."""

from __future__ import annotations

import gzip
import itertools
import json
import math
import random
import re

import pyarrow as pa
import pytest
from gristmill.document import DOCUMENT
from gristmill.filters.measures.texts import Texts
from gristmill.filters.quality.c4 import POLICY_PHRASES
from gristmill.filters.quality.curator import COMMON_WORDS, CuratorCharacters, CuratorLines, CuratorWords
from gristmill.filters.rules import RuleStage
from gristmill.filters.stage import first_verdicts
from hypothesis import given, settings
from hypothesis import strategies as st

FAMILIES = (CuratorCharacters, CuratorWords, CuratorLines)
URL = re.compile(r"https?://[!$-_a-z]+")


def batch_of(texts: list[str]) -> pa.RecordBatch:
    n = len(texts)
    columns = {f.name: pa.nulls(n, f.type) for f in DOCUMENT}
    columns["key"] = pa.array([i.to_bytes(16, "big") for i in range(n)], DOCUMENT.field("key").type)
    columns["text"] = pa.array(texts, pa.large_string())
    return pa.RecordBatch.from_pydict(columns, DOCUMENT)


def measured(texts: list[str]) -> dict[str, list]:
    """Signals of the three families with their defaults."""
    signals, shared = {}, Texts(batch_of(texts))
    for family in FAMILIES:
        signals |= family(family.Settings()).measure(shared).signals
    return {name: values.tolist() for name, values in signals.items()}


def small(text: str) -> str:
    return text.lower()


def slowly(text: str) -> dict[str, float]:
    def share(a, b):
        return a / b if b else math.nan

    words, stripped = text.split(), text.strip()
    lines = [line.strip() for line in text.split("\n")]
    paragraphs = ["\n".join(run) for filled, run in itertools.groupby(lines, bool) if filled]
    lines = [line for line in lines if line]
    urls = URL.findall(text)
    boilerplate = [any(phrase in small(p) for phrase in POLICY_PHRASES) for p in paragraphs]

    def repeats(pieces):
        return [piece for i, piece in enumerate(pieces) if piece in pieces[:i]]

    def unmarked(line):
        return not line.endswith((".", "?", "!", '"', "'")) or line.endswith("...")

    return {
        "non_alphanumeric": share(sum(not (c.isalnum() or c in "\n?!,.") for c in text), len(text)),
        "numbers": share(sum(c.isdecimal() for c in text), len(text)),
        "white_space": share(sum(c in "\t\n\r\b " for c in stripped), len(stripped)),
        "parentheses": share(sum(c in "{}⟨⟩[]()" for c in text), len(text)),
        "urls": share(sum(map(len, urls)), len(text)),
        "blocked_urls": sum("porn" in small(url) for url in urls),
        "mean_word_length": share(sum(map(len, words)), len(words)),
        "longest_word": max(map(len, words), default=0),
        "symbol_words": share(sum(w in ("...", "…") or w.count("#") / len(w) > 0.5 for w in words), len(words)),
        "common_words": sum(w in COMMON_WORDS for w in words),
        "unmarked_lines": share(sum(map(unmarked, lines)), len(lines)),
        "bullet_lines": share(sum(line[0] in "•‣⁃⁌⁍∙○●◘◦⦾⦿" for line in lines), len(lines)),
        "repeated_lines": share(len(repeats(lines)), len(lines)),
        "repeated_paragraphs": share(len(repeats(paragraphs)), len(paragraphs)),
        "repeated_line_characters": share(sum(map(len, repeats(lines))), sum(map(len, lines))),
        "repeated_paragraph_characters": share(sum(map(len, repeats(paragraphs))), sum(map(len, paragraphs))),
        "boilerplate_paragraphs": share(sum(boilerplate), len(boilerplate)),
        "boilerplate_at_edge": int(any(boilerplate[:1] + boilerplate[-1:])),
    }


def check(texts: list[str]) -> dict[str, list]:
    signals = measured(texts)
    for i, text in enumerate(texts):
        expected = slowly(text)
        assert set(signals) == set(expected)
        for name, value in expected.items():
            found = signals[name][i]
            assert found == value or (math.isnan(value) and math.isnan(found)), (name, found, value, text)
    return signals


PIECES = [
    "The",
    "the",
    "of",
    "to",
    "mill",
    "grinds",
    "corn.",
    "42",
    "١٢",
    "3.5",
    "(a)",
    "[b]",
    "{",
    "}",
    "⟨",
    "⟩",
    "#tag",
    "##",
    "#",
    "…",
]
PIECES += [
    "...",
    "http://mill.example/a?b=c%20d",
    "https://x",
    "http://",
    "https://porn.example/",
    "HTTP://a",
    "hhttp://PORN~a",
    "httphttps://b#c",
]
PIECES += [
    "• item",
    "◦",
    "●",
    "Privacy Policy",
    "we use coo\u212aies",
    "terms of use",
    "é",
    "日本",
    "\u0301",
    "\0",
    "\b",
    "x" * 40,
    "\u200b",
    "!",
    "end!",
]
GAPS = [" "] * 10 + ["\n"] * 6 + ["\n\n", "\n \n", "\r\n", "\r", "\t", "\xa0", "\u2028", "\x85", "", "\n• ", "\n\n\n"]


def hostile(rng: random.Random) -> str:
    pieces = rng.sample(PIECES, rng.randrange(2, len(PIECES)))
    return "".join(rng.choice(pieces) + rng.choice(GAPS) for _ in range(rng.randrange(60)))


def test_equals_the_definitions_on_hostile_texts():
    rng = random.Random(1)
    signals = check([hostile(rng) for _ in range(2000)])
    for name, values in signals.items():
        assert len(set(values)) > 1, f"{name} is always the same"


@given(st.lists(st.text() | st.integers(0, 2**32).map(lambda seed: hostile(random.Random(seed))), max_size=5))
@settings(max_examples=120)
def test_equals_the_definitions_on_any_text(texts):
    check(texts)


def test_equals_the_definitions_on_real_texts(shared_data):
    texts = []
    for path in sorted((shared_data / "quality").glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as rows:
            texts += [str(json.loads(row).get("text") or "")[:10_000] for row in itertools.islice(rows, 40)]
    wet = (shared_data / "web" / "wet-derived" / "derived-00000.warc.wet.gz").read_bytes()
    wet = gzip.decompress(wet).decode("utf-8", "replace")
    texts += [record.partition("\r\n\r\n")[2][:10_000] for record in wet.split("WARC/1.0\r\n")[1:60]]
    check(texts)


PROSE = "The miller sets the gap of the stones. He listens to them, and that is all there is to be heard."


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (PROSE + " @@@@@@@@@@@@", "max_non_alphanumeric"),
        (PROSE + " 12345678901234567890", "max_numbers"),
        (PROSE + "\n" * 20 + "The end.", "max_white_space"),
        (PROSE + " a(b)(c)(d)(e)(f)(g)(h)(i)(j)", "max_parentheses"),
        (PROSE + " http://mill.example/aaaaaaaaaaaaaaa", "max_urls"),
        (PROSE * 5 + " http://porn.example", "max_blocked_urls"),
        ("a b of it " * 9, "min_mean_word_length"),
        ("To grindinggrinding of millstonemillstone watermillwatermill.", "max_mean_word_length"),
        (PROSE * 150 + " " + "a" * 1001, "max_word_length"),
        (PROSE + " ... ... ...", "max_symbol_words"),
        ("The mill sings. A big stone sings as well.", "min_common_words"),
        ("Mill of the wind\nMill to the sea", "max_unmarked_lines"),
        ("• The mill of the wind.\n• The mill to the sea.", "max_bullet_lines"),
        ("The mill is to be.\nThe mill is to be.", "max_repeated_lines"),
        (f"{PROSE}\n\nTo be.\n\n{PROSE}", "max_repeated_paragraphs"),
        (f"{PROSE}\n{PROSE}\nOf a.\nTo b.\nThe c.", "max_repeated_line_characters"),
        (f"{PROSE}\n\nOf the use of cookies.\n\nOf the use of cookies here.\n\nEnd.", "max_boilerplate_paragraphs"),
        (f"Read the privacy policy.\n\n{PROSE}\n\nTo be.", "max_boilerplate_at_edge"),
    ],
)
def test_by_hand(text, rule):
    """With every other threshold off, the page goes and ordinary prose stays; at the default threshold."""
    stage = RuleStage("quality", [family(family.Settings()) for family in FAMILIES])
    assert first_verdicts(stage(batch_of([PROSE]))) == []
    (family,) = [family for family in FAMILIES if rule in family.Settings.model_fields]
    off = {limit.setting: None for limit in family.limits if limit.setting != rule}
    (drop,) = first_verdicts(RuleStage("quality", [family(family.Settings(**off))])(batch_of([PROSE, text])))
    assert (drop.rule, drop.rows.tolist()) == (f"curator_{rule}", [1])


def test_lists_of_the_recipe():
    words = CuratorWords(CuratorWords.Settings(common_words=("der", "die", "und")))
    assert words.measure(Texts(batch_of(["der Müller und die Mühle, Und der Wind"]))).signals[
        "common_words"
    ].tolist() == [4]
    lines = CuratorLines(CuratorLines.Settings(boilerplate=("Datenschutzerklärung",)))
    signals = lines.measure(Texts(batch_of(["Zur DATENSCHUTZERKLÄRUNG", "Zur Mühle"]))).signals
    assert signals["boilerplate_paragraphs"].tolist() == [1.0, 0.0]


def test_ten_million_characters_and_inactive_rows():
    texts = Texts(batch_of(["x" * 10_000_000, "\n" * 1_000_000, PROSE]))
    texts.active[1] = False
    signals = CuratorLines(CuratorLines.Settings()).measure(texts).signals
    assert signals["unmarked_lines"][[0, 2]].tolist() == [1.0, 0.0]
