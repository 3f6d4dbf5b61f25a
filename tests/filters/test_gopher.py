"""Gopher's rules against each dialect's definitions, written out in plain Python. Examples: test_gopher_dialects.py."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import os
import random
import re
import statistics
import subprocess
import sys
from collections import Counter
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest
import zstandard
from gristmill.console import RequestError
from gristmill.document import DOCUMENT
from gristmill.filters.measures.characters import PUNCTUATION, SENTENCE_ENDS
from gristmill.filters.quality.gopher import BULLETS, STOP_WORDS, GopherQuality, GopherRepetition
from gristmill.filters.rules import RuleStage
from gristmill.filters.stage import first_verdicts
from hypothesis import given, settings
from hypothesis import strategies as st

SYMBOLS = set(PUNCTUATION + SENTENCE_ENDS)
DIALECTS = ("datatrove", "dolma", "dclm", "paper")


def batch_of(texts: list[str]) -> pa.RecordBatch:
    n = len(texts)
    columns = {f.name: pa.nulls(n, f.type) for f in DOCUMENT}
    columns["key"] = pa.array([i.to_bytes(16, "big") for i in range(n)], DOCUMENT.field("key").type)
    columns["text"] = pa.array(texts, pa.large_string())
    return pa.RecordBatch.from_pydict(columns, DOCUMENT)


def stage(all_signals: bool = False, **values) -> RuleStage:
    """Both rules in order; each takes the settings that are its own."""
    rules = []
    for kind in (GopherRepetition, GopherQuality):
        rules.append(kind(kind.Settings(**{k: v for k, v in values.items() if k in kind.Settings.model_fields})))
    return RuleStage("quality", rules, all_signals=all_signals)


def dropped(texts: list[str], **values) -> list[str | None]:
    """The first broken rule of each text, without its prefix."""
    found: list[str | None] = [None] * len(texts)
    for drop in first_verdicts(stage(**values)(batch_of(texts))):
        for row in drop.rows:
            found[row] = drop.rule.removeprefix("gopher_")
    return found


# -- the definitions, as slowly as they read --------------------------------------------------------------------------


def letters_of(words: list[str]) -> int:
    return len("".join(words))


def share(a: int, b: int) -> Fraction | None:
    return Fraction(a, b) if b else None


def repeats(pieces: list[str]) -> tuple[int, int]:
    """(how many pieces repeat an earlier one, their characters)"""
    again = [piece for i, piece in enumerate(pieces) if piece in pieces[:i]]
    return len(again), sum(map(len, again))


def copies(pieces: list[str]) -> tuple[int, int]:
    """(how many pieces occur more than once, their characters)"""
    again = [piece for piece, count in Counter(pieces).items() for _ in range(count) if count > 1]
    return len(again), sum(map(len, again))


def grams(words: list[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


def top(words: list[str], n: int, joint: str) -> tuple[int, int]:
    """(count, characters) of the most frequent n-gram; of equals the first met"""
    if len(words) < n:
        return 0, 0
    gram, times = Counter(grams(words, n)).most_common(1)[0]
    return times, len(joint.join(gram))


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


def covered(words: list[str], n: int) -> int:
    count = Counter(grams(words, n))
    under = {j for i, gram in enumerate(grams(words, n)) if count[gram] > 1 for j in range(i, i + n)}
    return sum(len(words[j]) for j in under)


def stripped(text: str, mark: str) -> list[str]:
    return [piece.strip() for piece in re.split(mark, text) if piece.strip()]


def lettered(words: list[str]) -> int:
    return sum(any(c.isalpha() for c in w) for w in words)


def datatrove(text: str) -> dict[str, Fraction | None]:
    words, rows = text.split(), text.splitlines()
    plain = [w for w in words if not set(w) <= SYMBOLS]
    out: dict[str, Fraction | None] = {"characters": Fraction(len(text))}
    for name, pieces in (("paragraph", re.split(r"\n{2,}", text.strip())), ("line", re.split(r"\n+", text))):
        count, characters = repeats(pieces)
        out[f"duplicate_{name}s"] = share(count, len(pieces))
        out[f"duplicate_{name}_characters"] = share(characters, len(text))
    for n in (2, 3, 4):
        times, characters = top(words, n, " ")
        out[f"top_{n}_gram"] = share(times * characters, len(text))
    out |= {f"duplicate_{n}_grams": share(repeated(words, n), len(text)) for n in range(5, 11)}
    out |= {"words": Fraction(len(plain)), "mean_word_length": share(letters_of(plain), len(plain))}
    out |= {"hash_ratio": share(text.count("#"), len(words)), "symbol_ratio": None}
    out["ellipsis_ratio"] = share(text.count("...") + text.count("…"), len(words))
    out["bullet_lines"] = share(sum(r.lstrip().startswith(("•", "-")) for r in rows), len(rows))
    out["ellipsis_lines"] = share(sum(r.rstrip().endswith(("...", "…")) for r in rows), len(rows))
    out["alphabetic_words"] = share(lettered(words), len(words))
    out["stop_words"] = Fraction(len(set(STOP_WORDS) & set(words)))
    return out


def dolma(text: str) -> dict[str, Fraction | None]:
    words, lines = text.split(), text.split("\n")
    letters = letters_of(words)
    out: dict[str, Fraction | None] = dict.fromkeys(
        ("characters", "duplicate_paragraphs", "duplicate_paragraph_characters", "hash_ratio", "ellipsis_ratio")
    )
    count, characters = copies(lines)
    out |= {"duplicate_lines": share(count, len(lines)), "duplicate_line_characters": share(characters, letters)}
    for n in (2, 3, 4):
        times, characters = top(words, n, "")
        out[f"top_{n}_gram"] = share(times * characters, letters)
    for n in range(5, 11):
        every, count = grams(words, n), Counter(grams(words, n))
        again = sum(len("".join(g)) for g in every if count[g] > 1)
        out[f"duplicate_{n}_grams"] = share(again, sum(len("".join(g)) for g in every))
    out["words"] = Fraction(len(words))
    out["mean_word_length"] = Fraction(statistics.median(map(len, words))) if words else None
    out["symbol_ratio"] = share(sum("#" in w or "…" in w for w in words), len(words))
    out["bullet_lines"] = share(sum(line.startswith(("*", "-")) for line in lines), len(lines))
    out["ellipsis_lines"] = share(sum(line.endswith("…") for line in lines), len(lines))
    out["alphabetic_words"] = share(lettered(words), len(words))
    out["stop_words"] = Fraction(sum(w in STOP_WORDS for w in words))
    return out


def dclm(text: str) -> dict[str, Fraction | None]:
    every, lines = text.split(), stripped(text, "\n")
    words = [w for w in every if w[0].isalnum()]
    letters = letters_of(words)
    out: dict[str, Fraction | None] = {"characters": Fraction(len(text)), "hash_ratio": None, "ellipsis_ratio": None}
    for name, mark in (("paragraph", "\n\n"), ("line", "\n")):
        pieces = stripped(text, mark)
        count, characters = copies(pieces)
        out[f"duplicate_{name}s"] = share(count, len(pieces))
        out[f"duplicate_{name}_characters"] = share(characters, letters_of(pieces))
    for n in (2, 3, 4):
        count = Counter(grams(words, n))
        most = max(count.values(), default=0)
        longest = max((len("".join(g)) for g, c in count.items() if c == most), default=0)
        out[f"top_{n}_gram"] = share(longest * most if most > 1 else 0, letters)
    out |= {f"duplicate_{n}_grams": share(covered(words, n), letters) for n in range(5, 11)}
    out |= {"words": Fraction(len(words)), "mean_word_length": share(letters_of(every), len(every))}
    out["symbol_ratio"] = share(sum(text.count(s) for s in ("#", "...", ". . .", "…")), len(every))
    out["bullet_lines"] = share(sum(line.startswith(("●", "•", "*", "-")) for line in lines), len(lines))
    out["ellipsis_lines"] = share(sum(line.endswith(("...", ". . .", "…")) for line in lines), len(lines))
    out["alphabetic_words"] = share(lettered(every), len(every))
    out["stop_words"] = Fraction(sum(w.lower() in STOP_WORDS for w in every))
    return out


def paper(text: str) -> dict[str, Fraction | None]:
    words, lines = text.split(), stripped(text, "\n")
    letters = letters_of(words)
    out: dict[str, Fraction | None] = {"characters": Fraction(len(text)), "symbol_ratio": None}
    for name, mark in (("paragraph", "\n\n"), ("line", "\n")):
        pieces = stripped(text, mark)
        count, characters = repeats(pieces)
        out[f"duplicate_{name}s"] = share(count, len(pieces))
        out[f"duplicate_{name}_characters"] = share(characters, letters_of(pieces))
    for n in (2, 3, 4):
        times, characters = top(words, n, "")
        out[f"top_{n}_gram"] = share(times * characters if times > 1 else 0, letters)
    out |= {f"duplicate_{n}_grams": share(covered(words, n), letters) for n in range(5, 11)}
    out |= {"words": Fraction(len(words)), "mean_word_length": share(letters_of(words), len(words))}
    out |= {"hash_ratio": share(text.count("#"), len(words))}
    out["ellipsis_ratio"] = share(text.count("...") + text.count("…"), len(words))
    out["bullet_lines"] = share(sum(line.startswith(tuple(BULLETS)) for line in lines), len(lines))
    out["ellipsis_lines"] = share(sum(line.endswith(("...", "…")) for line in lines), len(lines))
    out["alphabetic_words"] = share(lettered(words), len(words))
    out["stop_words"] = Fraction(len(set(STOP_WORDS) & set(words)))
    return out


DEFINITIONS = {"datatrove": datatrove, "dolma": dolma, "dclm": dclm, "paper": paper}


def check(texts: list[str], dialect: str = "datatrove", **values) -> Counter:
    """Signals equal to the last bit, verdict and first failing rule equal; how often each rule came first."""
    expected = [DEFINITIONS[dialect](text) for text in texts]
    rules = stage(all_signals=True, dialect=dialect, **values)
    outcome = rules(batch_of(texts))
    for name in expected[0] if expected else ():
        exact = [np.nan if e[name] is None else float(e[name]) for e in expected]
        np.testing.assert_array_equal(outcome.signals[f"gopher_{name}"], exact, err_msg=name)
    firsts = []
    for numbers in expected:
        broken = None
        for limit in (*GopherRepetition.limits, *GopherQuality.limits):
            kind = GopherRepetition if limit in GopherRepetition.limits else GopherQuality
            bound = values.get(limit.setting, kind.Settings.model_fields[limit.setting].default)
            number = numbers[limit.signal]
            under = limit.setting.startswith("min_")
            if number is not None and (float(number) < bound if under else float(number) > bound):
                broken = limit.rule or limit.setting
                break
        firsts.append(broken)
    assert dropped(texts, dialect=dialect, **values) == firsts
    return Counter(firsts)


# -- texts ------------------------------------------------------------------------------------------------------------

VOCABULARY = ["the", "of", "and", "to", "a", "be", "word", "seven", "#tag", "…", "...", "•", "-", "–", "!!", "42"]
VOCABULARY += [
    "naïve",
    "中文",
    "end.",
    "aa",
    "aaa",
    "\0",
    "⁇",
    "longerwordhere",
    "The",
    "*",
    "●",
    ". . .",
    "x…",
    "THE",
    "aaaa",
]
SEPARATORS = [" "] * 12 + ["\n", "\n\n", "\n\n\n", "\r\n", "\r", "\t", "\xa0", "\u2028", "\x85", "\v", "\x1c"]
SEPARATORS += ["\x1f", "  ", " \n ", "...\n", "…\n", ".\n", "\n• ", "\n- ", "\n* ", ". . .\n", "", "\n\0- "]


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


@pytest.mark.parametrize("dialect", DIALECTS)
def test_equals_the_definitions_on_real_texts(shared_data, dialect):
    texts = shared_texts(shared_data)
    firsts = check(texts if dialect == "datatrove" else texts[::4], dialect)
    assert firsts[None] > 20
    assert len(firsts) > 3


@pytest.mark.parametrize("dialect", DIALECTS)
def test_equals_the_definitions_on_hostile_texts(dialect):
    rng = random.Random(7)
    firsts = check([hostile(rng) for _ in range(1000 if dialect == "datatrove" else 400)], dialect)
    assert len(firsts) > 6


@given(
    st.lists(st.text() | st.integers(0, 2**32).map(lambda seed: hostile(random.Random(seed))), max_size=6),
    st.sampled_from(DIALECTS),
)
@settings(deadline=None, max_examples=100)
def test_equals_the_definitions_on_any_text(texts, dialect):
    check(texts, dialect)


@given(st.integers(0, 2**32), st.randoms(use_true_random=False), st.sampled_from(DIALECTS))
@settings(deadline=None, max_examples=60)
def test_every_rule_and_threshold_counts(seed, rng, dialect):
    """With thresholds drawn at random the late rules are reached too."""
    names = {limit.setting for limit in (*GopherRepetition.limits, *GopherQuality.limits)}
    whole = ("min_words", "max_words", "min_stop_words", "min_characters")
    drawn = {n: rng.choice([0, 1, 5, 100] if n in whole else [0.0, 0.05, 0.5, 100.0]) for n in sorted(names)}
    texts = random.Random(seed)
    check([hostile(texts) for _ in range(10)], dialect, **drawn)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("text", ["", "\n", "\n\n\n", " ", "\0", "\x1c\n", "\n\na\n\n", "\u2028", "…", "#", "-\n-\n-"])
def test_equals_the_definitions_on_next_to_nothing(text, dialect):
    check([text], dialect)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_names_of_rules_differ_and_are_those_of_the_dialect(dialect):
    names = [check.rule for rule in stage(dialect=dialect).rules for check in rule.checks()]
    assert len(set(names)) == len(names) > 20
    assert ("gopher_max_symbol_ratio" in names) == (dialect in ("dolma", "dclm")) != ("gopher_max_hash_ratio" in names)


# -- documents worked by hand -----------------------------------------------------------------------------------------

GOOD = """A mill grinds grain between two stones, of which the lower lies still and the upper turns. The miller sets
the gap to the width of a hair and listens to the sound: where the stones touch, they sing. Wheat that comes in damp has
to be dried first, and with every sack he notes whose it was, what was lost on the way, and why. Bread is made of what
stays on the finest sieve. Nothing in this account is grand, but it can be checked, line by line, by whoever eats."""


def test_good_text_stays_and_each_kind_of_bad_text_goes():
    for dialect in DIALECTS:
        assert dropped([GOOD], dialect=dialect) == [None]
    bad = [GOOD[:200], "\n".join(["the same line again and again"] * 40), GOOD + " # ## ### #### #####", GOOD.upper()]
    bad.append("\n".join(f"- {line}" for line in GOOD.replace("\n", " ").split(", ")))
    expected = ["min_words", "max_duplicate_lines", "max_hash_ratio", "min_stop_words", "max_bullet_lines"]
    assert dropped([*bad, ""]) == [*expected, "min_characters"]


# -- how it is run ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", ["whitespace", "spacy", "unicode"])
def test_drops_do_not_depend_on_how_documents_are_cut_into_batches(words):
    rng = random.Random(3)
    texts = [hostile(rng) for _ in range(120)]
    rules, whole = stage(words=words), batch_of(texts)

    def verdicts(size):
        found = []
        for start in range(0, len(texts), size):
            outcome = rules(whole.slice(start, size))
            assert outcome.batch.num_rows == min(size, len(texts) - start)
            found += [(start + int(r), d.rule, v) for d in outcome.drops for r, v in zip(d.rows, d.values, strict=True)]
        return sorted(found)

    assert verdicts(120) == verdicts(7) == verdicts(1)


HASH_OF_SIGNALS = """
import hashlib
import pyarrow as pa
from gristmill.filters.measures.texts import Texts
from gristmill.filters.quality.gopher import GopherQuality, GopherRepetition

texts = ["It's a (small) text, isn't it?  foo:) : and :( http://a.b/c " * 9, "don't--stop. e.g. 10km; U.S. " * 7]
batch = pa.RecordBatch.from_arrays([pa.array(texts, pa.large_string())], ["text"])
digest = hashlib.sha256()
for words in ("whitespace", "spacy", "unicode"):
    for kind in (GopherQuality, GopherRepetition):
        for name, values in sorted(kind(kind.Settings(words=words)).measure(Texts(batch)).signals.items()):
            digest.update(name.encode() + values.tobytes())
print(digest.hexdigest())
"""


def test_signals_do_not_depend_on_the_seed_of_hashes():
    pytest.importorskip("spacy")
    command, results = [sys.executable, "-c", HASH_OF_SIGNALS], set()
    for seed in ("0", "1"):
        done = subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True)
        results.add(done.stdout)
    assert len(results) == 1


@pytest.mark.parametrize("words", ["whitespace", "spacy", "unicode"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_empty_batch(dialect, words):
    outcome = stage(dialect=dialect, words=words)(batch_of([]))
    assert outcome.drops == []
    assert all(len(values) == 0 for values in outcome.signals.values())


def test_settings_refuse_impossible_thresholds():
    from gristmill.config import validate

    with pytest.raises(RequestError, match="max_duplicate_lines"):
        validate(GopherRepetition.Settings, {"max_duplicate_lines": -0.1}, "recipe")
    with pytest.raises(RequestError, match="min_words"):
        validate(GopherQuality.Settings, {"min_words": 1.5}, "recipe")
    with pytest.raises(RequestError, match="dialect"):
        validate(GopherQuality.Settings, {"dialect": "gopher"}, "recipe")
