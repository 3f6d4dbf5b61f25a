"""The stage `quality` against datatrove's definitions, written out here in plain Python over `str.split` words."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import random
import re
from collections import Counter
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest
import zstandard
from gristmill.console import RequestError
from gristmill.document import DOCUMENT
from gristmill.filters.measures.characters import PUNCTUATION, SENTENCE_ENDS
from gristmill.filters.quality.gopher import RULES, STOP_WORDS, Gopher, GopherSettings
from gristmill.filters.stage import first_verdicts
from hypothesis import given, settings
from hypothesis import strategies as st

SYMBOLS = set(PUNCTUATION + SENTENCE_ENDS)
DEFAULTS = GopherSettings()


def batch_of(texts: list[str]) -> pa.RecordBatch:
    n = len(texts)
    columns = {f.name: pa.nulls(n, f.type) for f in DOCUMENT}
    columns["key"] = pa.array([i.to_bytes(16, "big") for i in range(n)], DOCUMENT.field("key").type)
    columns["text"] = pa.array(texts, pa.large_string())
    return pa.RecordBatch.from_pydict(columns, DOCUMENT)


# -- the definitions, as slowly as they read --------------------------------------------------------------------------


def repeats(pieces: list[str]) -> tuple[int, int]:
    """(how many pieces repeat an earlier one, their characters)"""
    again = [piece for i, piece in enumerate(pieces) if piece in pieces[:i]]
    return len(again), sum(map(len, again))


def top(words: list[str], n: int) -> int:
    grams = [" ".join(words[i : i + n]) for i in range(len(words) - n + 1)]
    if not grams:
        return 0
    gram, times = Counter(grams).most_common(1)[0]  # of equals the first met
    return len(gram) * times


def repeated(words: list[str], n: int) -> int:
    seen, letters, i = set(), 0, 0
    while i + n <= len(words):
        gram = "".join(words[i : i + n])
        if gram in seen:
            letters += len(gram)
            i += n
        else:
            seen.add(gram)
            i += 1
    return letters


def numbers(text: str) -> list[tuple[str, Fraction | None]]:
    """(rule, the exact number it looks at) in order; None where the denominator is nothing."""

    def share(a: int, b: int) -> Fraction | None:
        return Fraction(a, b) if b else None

    paragraphs, lines, words = re.split(r"\n{2,}", text.strip()), re.split(r"\n+", text), text.split()
    plain = [w for w in words if not set(w) <= SYMBOLS]
    rows = text.splitlines()
    letters = sum(map(len, plain))
    result = []
    for name, pieces in (("paragraph", paragraphs), ("line", lines)):
        count, characters = repeats(pieces)
        result.append((f"max_duplicate_{name}s", share(count, len(pieces))))
        result.append((f"max_duplicate_{name}_characters", share(characters, len(text))))
    result += [(f"max_top_{n}_gram", share(top(words, n), len(text))) for n in (2, 3, 4)]
    result += [(f"max_duplicate_{n}_grams", share(repeated(words, n), len(text))) for n in (5, 6, 7, 8, 9, 10)]
    result += [("min_words", Fraction(len(plain))), ("max_words", Fraction(len(plain)))]
    result += [(f"{side}_mean_word_length", share(letters, len(plain))) for side in ("min", "max")]
    result.append(("max_hash_ratio", share(text.count("#"), len(words))))
    result.append(("max_ellipsis_ratio", share(text.count("...") + text.count("…"), len(words))))
    result.append(("max_bullet_lines", share(sum(r.lstrip().startswith(("•", "-")) for r in rows), len(rows))))
    result.append(("max_ellipsis_lines", share(sum(r.rstrip().endswith(("...", "…")) for r in rows), len(rows))))
    result.append(("min_alphabetic_words", share(sum(any(c.isalpha() for c in w) for w in words), len(words))))
    result.append(("min_stop_words", Fraction(len(set(STOP_WORDS) & set(words)))))
    return result


def first_failing(text: str, limits: GopherSettings) -> str | None:
    for name, number in numbers(text):
        field = "max_symbol_ratio" if name in ("max_hash_ratio", "max_ellipsis_ratio") else name
        limit = getattr(limits, field)
        if number is not None and (float(number) < limit if name[:3] == "min" else float(number) > limit):
            return f"gopher_{name}"
    return None


def check(texts: list[str], limits: GopherSettings = DEFAULTS) -> Counter:
    """Signals equal to the last bit, verdict and first failing rule equal; how often each rule came first."""
    outcome = Gopher(limits)(batch_of(texts))
    expected = [dict(numbers(text)) for text in texts]
    for rule in RULES:
        name = rule.rule.removeprefix("gopher_")
        exact = [np.nan if e[name] is None else float(e[name]) for e in expected]
        np.testing.assert_array_equal(outcome.signals[rule.signal], exact, err_msg=name)
    verdicts = {}
    for drop in first_verdicts(outcome):
        assert drop.values is not None
        number = outcome.signals[next(r.signal for r in RULES if r.rule == drop.rule)][drop.rows]
        np.testing.assert_array_equal(drop.values, number)
        verdicts |= dict.fromkeys(map(int, drop.rows), drop.rule)
    firsts = [first_failing(text, limits) for text in texts]
    assert [verdicts.get(i) for i in range(len(texts))] == firsts
    return Counter(firsts)


# -- texts ------------------------------------------------------------------------------------------------------------

VOCABULARY = ["the", "of", "and", "to", "a", "be", "word", "seven", "#tag", "…", "...", "•", "-", "–", "!!", "42"]
VOCABULARY += ["naïve", "中文", "end.", "aa", "aaa", "\0", "⁇", "longerwordhere", "The"]
SEPARATORS = [" "] * 12 + [
    "\n",
    "\n\n",
    "\n\n\n",
    "\r\n",
    "\r",
    "\t",
    "\xa0",
    "\u2028",
    "\x85",
    "\v",
    "\x1c",
    "\x1f",
    "  ",
]
SEPARATORS += [" \n ", "...\n", "…\n", ".\n", "\n• ", "\n- ", ""]


def hostile(rng: random.Random) -> str:
    words = rng.sample(VOCABULARY, rng.randrange(3, len(VOCABULARY)))
    phrase = " ".join(rng.choices(words, k=rng.randrange(2, 12)))
    pieces = [phrase if rng.random() < 0.06 else rng.choice(words) for _ in range(rng.randrange(140))]
    return "".join(piece + rng.choice(SEPARATORS) for piece in pieces)


def shared_texts(shared_data) -> list[str]:
    def lines(path):
        with (zstandard.open if path.suffix == ".zst" else gzip.open)(path, "rb") as raw:
            yield from map(json.loads, io.TextIOWrapper(raw, encoding="utf-8"))

    texts = []
    for path in sorted((shared_data / "quality").glob("*.jsonl.gz")):
        texts += [str(row.get("text") or "") for row in itertools.islice(lines(path), 60)]
    for name in ("peps-part1.jsonl.zst", "classic-books-part1.jsonl.zst", "us-presidents-part1.jsonl.gz"):
        for row in itertools.islice(lines(shared_data / "text-en" / name), 12):
            texts += [row["text"][i : i + 6000] for i in range(0, 30_000, 6000)]
    return texts


def test_equals_the_definitions_on_real_texts(shared_data):
    firsts = check(shared_texts(shared_data))
    assert firsts[None] > 100
    assert len(firsts) > 6


def test_equals_the_definitions_on_hostile_texts():
    rng = random.Random(7)
    firsts = check([hostile(rng) for _ in range(1500)])
    assert len(firsts) > 8


@given(st.lists(st.text() | st.integers(0, 2**32).map(lambda seed: hostile(random.Random(seed))), max_size=6))
@settings(deadline=None, max_examples=100)
def test_equals_the_definitions_on_any_text(texts):
    check(texts)


@given(st.integers(0, 2**32), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=60)
def test_every_rule_and_threshold_counts(seed, rng):
    """With thresholds drawn at random the late rules are reached too."""
    drawn = {name: rng.choice([0.0, 0.05, 0.5, 100.0]) for name in GopherSettings.model_fields}
    drawn |= {name: rng.choice([0, 1, 5, 100]) for name in ("min_words", "max_words", "min_stop_words")}
    texts = random.Random(seed)
    check([hostile(texts) for _ in range(10)], GopherSettings(**drawn))


@pytest.mark.parametrize("text", ["", "\n", "\n\n\n", " ", "\0", "\x1c\n", "\n\na\n\n", "\u2028", "…", "#", "-\n-\n-"])
def test_equals_the_definitions_on_next_to_nothing(text):
    check([text])


def test_order_is_repetition_then_quality():
    names = [rule.rule for rule in RULES]
    assert names == [f"gopher_{name}" for name, _ in numbers("some text")]
    assert len(set(names)) == len(names)


GOOD = """A mill grinds grain between two stones, of which the lower lies still and the upper turns. The miller sets
the gap to the width of a hair and listens to the sound: where the stones touch, they sing. Wheat that comes in damp has
to be dried first, and with every sack he notes whose it was, what was lost on the way, and why. Bread is made of what
stays on the finest sieve. Nothing in this account is grand, but it can be checked, line by line, by whoever eats."""


def test_good_text_stays_and_each_kind_of_bad_text_goes():
    assert first_verdicts(Gopher(DEFAULTS)(batch_of([GOOD]))) == []
    bad = [GOOD[:200], "\n".join(["the same line again and again"] * 40), GOOD + " # ## ### #### #####", GOOD.upper()]
    bad.append("\n".join(f"- {line}" for line in GOOD.replace("\n", " ").split(", ")))
    rules = {int(row): drop.rule for drop in first_verdicts(Gopher(DEFAULTS)(batch_of(bad))) for row in drop.rows}
    assert [rules[i] for i in range(5)] == [
        "gopher_min_words",
        "gopher_max_duplicate_lines",
        "gopher_max_hash_ratio",
        "gopher_min_stop_words",
        "gopher_max_bullet_lines",
    ]


def test_drops_do_not_depend_on_how_documents_are_cut_into_batches():
    rng = random.Random(3)
    texts = [hostile(rng) for _ in range(120)]
    stage, whole = Gopher(DEFAULTS), batch_of(texts)

    def verdicts(size):
        found = []
        for start in range(0, len(texts), size):
            outcome = stage(whole.slice(start, size))
            assert outcome.batch.num_rows == min(size, len(texts) - start)
            found += [(start + int(r), d.rule, v) for d in outcome.drops for r, v in zip(d.rows, d.values, strict=True)]
        return sorted(found)

    assert verdicts(120) == verdicts(7) == verdicts(1)


def test_empty_batch():
    outcome = Gopher(DEFAULTS)(batch_of([]))
    assert outcome.drops == []
    assert all(len(values) == 0 for values in outcome.signals.values())


def test_settings_refuse_impossible_thresholds():
    from gristmill.config import validate

    with pytest.raises(RequestError, match="max_duplicate_lines"):
        validate(GopherSettings, {"max_duplicate_lines": -0.1}, "recipe")
    with pytest.raises(RequestError, match="min_words"):
        validate(GopherSettings, {"min_words": 1.5}, "recipe")
