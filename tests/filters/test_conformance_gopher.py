"""Gopher quality, Gopher repetition and FineWeb with spaCy's words against datatrove itself, document by document.

Verdict and first reason are what its filters return; each number is the one that its own helper functions give on its
own words. On the texts below nothing differs. Two kinds of text are left out, since datatrove has no one answer:

- a document on which it raises (no word, no line: the filters divide by zero once the earlier thresholds are off; with
  its default thresholds it never gets there);
- a document with the word IS_ALPHA, which spaCy 3.8 takes for a symbol of its own: the first one passes, later ones
  raise, by what the process read before, and datatrove then takes the word out of the text.

And one is documented but not met here: in a run of more than 20,000 characters without white space we have one word.
"""

from __future__ import annotations

import gzip
import io
import itertools
import json
import random
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest
import zstandard
from gristmill.filters.quality.fineweb import FineWeb
from gristmill.filters.quality.gopher import GopherQuality, GopherRepetition
from gristmill.filters.rules import RuleStage
from gristmill.filters.stage import first_verdicts

REASONS = {  # ours -> datatrove's
    "gopher_repetition": {
        "gopher_min_characters": "empty",
        "gopher_max_duplicate_paragraphs": "dup_para_frac",
        "gopher_max_duplicate_paragraph_characters": "dup_para_char_frac",
        "gopher_max_duplicate_lines": "dup_line_frac",
        "gopher_max_duplicate_line_characters": "dup_line_char_frac",
        **{f"gopher_max_top_{n}_gram": f"top_{n}_gram" for n in (2, 3, 4)},
        **{f"gopher_max_duplicate_{n}_grams": f"duplicated_{n}_n_grams" for n in range(5, 11)},
    },
    "gopher_quality": {
        "gopher_min_words": "gopher_short_doc",
        "gopher_max_words": "gopher_long_doc",
        "gopher_min_mean_word_length": "gopher_below_avg_threshold",
        "gopher_max_mean_word_length": "gopher_above_avg_threshold",
        "gopher_max_hash_ratio": "gopher_too_many_hashes",
        "gopher_max_ellipsis_ratio": "gopher_too_many_ellipsis",
        "gopher_max_bullet_lines": "gopher_too_many_bullets",
        "gopher_max_ellipsis_lines": "gopher_too_many_end_ellipsis",
        "gopher_min_alphabetic_words": "gopher_below_alpha_threshold",
        "gopher_min_stop_words": "gopher_enough_stop_words",
    },
    "fineweb": {
        "fineweb_min_lines": "empty",
        "fineweb_min_terminal_lines": "line_punct_ratio",
        "fineweb_max_short_lines": "short_line_ratio",
        "fineweb_max_duplicate_line_characters": "char_dup_ratio",
        "fineweb_max_newlines_per_word": "list_ratio",
    },
}
RULES = (GopherRepetition, GopherQuality, FineWeb)


def test_each_reason_has_one_of_ours_and_the_other_way_round():
    for kind in RULES:
        names = [check.rule for check in kind(kind.Settings()).checks()]
        assert names == list(REASONS[kind.name])
        assert len(set(REASONS[kind.name].values())) == len(names)


# -- datatrove's answers ----------------------------------------------------------------------------------------------


@dataclass
class Answers:
    reasons: dict[str, list[str | None]]  # by rule
    numbers: list[dict[str, float]]  # by our name of the signal; NaN: a division by zero


def datatrove_answers(texts: list[str]) -> Answers:
    data = pytest.importorskip("datatrove.data")
    filters = pytest.importorskip("datatrove.pipeline.filters")
    asked = {
        "gopher_repetition": filters.GopherRepetitionFilter(),
        "gopher_quality": filters.GopherQualityFilter(),
        "fineweb": filters.FineWebQualityFilter(),
    }
    answers = Answers({name: [] for name in asked}, [])
    for i, text in enumerate(texts):
        for name, one in asked.items():
            verdict = one.filter(data.Document(text=text, id=str(i)))
            answers.reasons[name].append(None if verdict is True else verdict[1])
        answers.numbers.append(datatrove_numbers(text, asked["gopher_repetition"]))
    return answers


def datatrove_numbers(text: str, repetition) -> dict[str, float]:
    from datatrove.pipeline.filters import gopher_repetition_filter as helper
    from datatrove.pipeline.filters.gopher_quality_filter import STOP_WORDS
    from datatrove.utils.text import PUNCTUATION_SET, TERMINAL_PUNCTUATION, split_into_words

    def share(a: float, b: float) -> float:
        return a / b if b else np.nan

    words, rows = split_into_words(text), text.splitlines()
    out = {"gopher_characters": len(text)}
    pieces = {"paragraph": repetition.paragraph_exp.split(text.strip()), "line": repetition._line_splitter.split(text)}
    for name, found in pieces.items():
        count, characters = helper.find_duplicates(found)
        out[f"gopher_duplicate_{name}s"] = share(count, len(found))
        out[f"gopher_duplicate_{name}_characters"] = share(characters, len(text))
    for n in (2, 3, 4):
        grams = helper.get_n_grams(words, n)
        out[f"gopher_top_{n}_gram"] = share(helper.find_top_duplicate(grams) if grams else 0, len(text))
    for n in range(5, 11):
        out[f"gopher_duplicate_{n}_grams"] = share(helper.find_all_duplicate(words, n), len(text))
    plain = [w for w in words if any(c not in PUNCTUATION_SET for c in w)]
    out["gopher_words"] = len(plain)
    out["gopher_mean_word_length"] = np.mean([len(w) for w in plain]) if plain else np.nan
    out["gopher_hash_ratio"] = share(text.count("#"), len(words))
    out["gopher_ellipsis_ratio"] = share(text.count("...") + text.count("…"), len(words))
    out["gopher_bullet_lines"] = share(sum(s.lstrip().startswith(("•", "-")) for s in rows), len(rows))
    out["gopher_ellipsis_lines"] = share(sum(s.rstrip().endswith(("...", "…")) for s in rows), len(rows))
    out["gopher_alphabetic_words"] = share(sum(any(c.isalpha() for c in w) for w in words), len(words))
    out["gopher_stop_words"] = len(set(STOP_WORDS) & set(words))
    lines = [line for line in text.split("\n") if line.strip()]
    out["fineweb_lines"] = len(lines)
    out["fineweb_terminal_lines"] = share(sum(line.endswith(tuple(TERMINAL_PUNCTUATION)) for line in lines), len(lines))
    out["fineweb_short_lines"] = share(sum(len(line) <= 30 for line in lines), len(lines))
    characters = helper.find_duplicates(lines)[1]
    out["fineweb_duplicate_line_characters"] = share(characters, len(text.replace("\n", "")))
    out["fineweb_newlines_per_word"] = share(text.count("\n"), len(words))
    return out


def check(texts: list[str]) -> dict[str, set[str | None]]:
    """Every verdict, reason and number equal; the reasons that were met."""
    answers = datatrove_answers(texts)
    n = len(texts)
    batch = pa.RecordBatch.from_arrays(
        [pa.array(texts, pa.large_string()), pa.nulls(n, pa.string())], ["text", "language"]
    )
    for kind in RULES:
        stage = RuleStage("quality", [kind(kind.Settings(words="spacy"))])
        outcome = stage(batch)
        ours: list[str | None] = [None] * n
        for drop in first_verdicts(outcome):
            for row in drop.rows:
                ours[row] = REASONS[kind.name][drop.rule]
        different = [(i, a, b) for i, (a, b) in enumerate(zip(ours, answers.reasons[kind.name], strict=True)) if a != b]
        assert not different, (kind.name, different[:5], texts[different[0][0]][:300])
        names = {check.signal for check in stage.rules[0].checks()}
        for name in sorted(names):
            theirs = np.array([row[name] for row in answers.numbers], float)
            np.testing.assert_array_equal(np.asarray(outcome.signals[name], float), theirs, err_msg=name)
    return {name: set(reasons) for name, reasons in answers.reasons.items()}


# -- documents --------------------------------------------------------------------------------------------------------


def rows(path):
    opener = zstandard.open if path.suffix == ".zst" else gzip.open
    with opener(path, "rb") as raw:
        yield from (str(json.loads(line).get("text") or "") for line in io.TextIOWrapper(raw, encoding="utf-8"))


def wet(path):
    """The texts of WET records."""
    with gzip.open(path, "rb") as raw:
        while line := raw.readline():
            length, conversion = None, False
            while line not in (b"\r\n", b""):
                name, _, value = line.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
                conversion |= name.lower() == b"warc-type" and value.strip() == b"conversion"
                line = raw.readline()
            if length is not None:
                body = raw.read(length)
                if conversion:
                    yield body.decode("utf-8", "replace")


def documents(shared_data, each: int, longest: int) -> list[str]:
    """Web text, WET, C4, DCLM's human-rated pages, books, PEPs, speeches; at most `each` of a file."""
    found: list[str] = []
    for path in sorted((shared_data / "quality").glob("*.jsonl.gz")):
        found += [text[:longest] for text in itertools.islice(rows(path), each)]
    for path in (*sorted((shared_data / "web").glob("*/*.warc.wet.gz")),):
        found += [text[:longest] for text in itertools.islice(wet(path), each)]
    for name in ("peps-part1.jsonl.zst", "classic-books-part1.jsonl.zst", "us-presidents-part1.jsonl.gz"):
        pieces = (
            text[i : i + longest]
            for text in rows(shared_data / "text-en" / name)
            for i in range(0, min(len(text), 40 * longest), longest)
        )
        found += itertools.islice(pieces, each)
    return found


VOCABULARY = [
    "the",
    "of",
    "and",
    "to",
    "have",
    "a",
    "be",
    "that",
    "with",
    "word",
    "seven",
    "#tag",
    "…",
    "...",
    "x",
    "•",
]
VOCABULARY += [
    "-",
    "–",
    "!!",
    "42",
    "naïve",
    "中文",
    "é",
    "the.",
    "end.",
    '"q"',
    "{",
    "longerwordhere",
    "\0",
    "😀",
    "שלום",
]
VOCABULARY += [
    "don't",
    "(it's)",
    "a.m.",
    ":)",
    "foo:)",
    "http://a.org/b",
    "\u200b",
    "U.S.A.",
    "10km",
    "re-do",
    "-",
    "John’s",
]
SEPARATORS = [" "] * 12 + [
    "\n",
    "\n\n",
    "\n\n\n",
    "\r\n",
    "\t",
    "\xa0",
    "\u2028",
    "\x85",
    "\v",
    "  ",
    " \n ",
    "...\n",
    "…\n",
]
SEPARATORS += [".\n", "\n• ", "\n- ", ""]


def hostile(rng: random.Random) -> str:
    words = rng.sample(VOCABULARY, rng.randrange(3, len(VOCABULARY)))
    phrase = " ".join(rng.choices(words, k=rng.randrange(2, 12)))
    pieces = [phrase if rng.random() < 0.06 else rng.choice(words) for _ in range(rng.randrange(1, 140))]
    return "".join(piece + rng.choice(SEPARATORS) for piece in pieces)


FILLER = " ".join(f"word{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(48))
EDGES = [  # those on which the tools were seen to differ
    "",
    " ",
    "\n\n",
    "Hello.",
    "word",
    FILLER + " the and.",
    FILLER + " the.",
    FILLER + " THE AND OF",
    FILLER + " the the",
    FILLER + " the and 1 2 3 4 5 6 7 , , , , , , . . . .",
    *("\n".join(f"{mark} {word} the and of" for word in FILLER.split()) for mark in "*-•●"),
    *("\n".join(f"{word} the and of{mark}" for word in FILLER.split()) for mark in ("...", "…", ". . .", "… ")),
    FILLER + " the and" + " #tag" * 12,
    FILLER + " the and" + " …" * 12,
    "\r\n".join([FILLER + " the and of."] * 2),
    "a line.\n" * 50,
    "A paragraph of two lines,\nthe second.\n\n" * 20,
]


def test_equals_datatrove(shared_data):
    rng = random.Random(13)
    texts = documents(shared_data, each=30, longest=1000) + [hostile(rng) for _ in range(150)] + EDGES
    met = check(texts)
    assert len(texts) > 400
    assert {None, "gopher_short_doc"} < met["gopher_quality"]
    assert sum(map(len, met.values())) > 20  # of 31 answers


@pytest.mark.slow
def test_equals_datatrove_on_five_thousand_documents(shared_data):
    rng = random.Random(17)
    texts = documents(shared_data, each=1000, longest=2000)
    real = len(texts)
    texts += [hostile(rng) for _ in range(max(1500, 5200 - real))] + EDGES
    assert real > 2500
    assert len(texts) > 5000
    met = check(texts)
    assert sum(map(len, met.values())) > 25


# -- nothing raises ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", ["whitespace", "spacy", "unicode"])
def test_ten_megabytes_of_one_line(words):
    size = 10_000_000
    texts = ["x" * size, "a " * (size // 2), "", "." * size, "\0" * 10, "\n" * size]
    n = len(texts)
    batch = pa.RecordBatch.from_arrays(
        [pa.array(texts, pa.large_string()), pa.nulls(n, pa.string())], ["text", "language"]
    )
    outcome = RuleStage("quality", [kind(kind.Settings(words=words)) for kind in RULES])(batch)
    assert sorted(row for drop in outcome.drops for row in drop.rows) == list(range(n))
