"""C4's rules against the installed datatrove, and against the way of the TensorFlow Datasets code, written out here."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import random
import re
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
import zstandard
from gristmill.config import validate
from gristmill.console import RequestError
from gristmill.document import DOCUMENT
from gristmill.filters.measures.lines import CLOSERS, SENTENCE_ENDS, WIDE_STOPS
from gristmill.filters.quality.c4 import C4Quality
from gristmill.filters.quality.settings import QualitySettings, quality_stage
from gristmill.filters.rules import RuleStage
from gristmill.filters.stage import first_verdicts
from hypothesis import given, settings
from hypothesis import strategies as st

POLICY = ["terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies"]


def batch_of(texts: list[str]) -> pa.RecordBatch:
    n = len(texts)
    columns = {f.name: pa.nulls(n, f.type) for f in DOCUMENT}
    columns["key"] = pa.array([i.to_bytes(16, "big") for i in range(n)], DOCUMENT.field("key").type)
    columns["text"] = pa.array(texts, pa.large_string())
    return pa.RecordBatch.from_pydict(columns, DOCUMENT)


def cleaned(texts: list[str], **changes) -> list[tuple[str | None, str]]:
    """(first reason or None, the text as the stage leaves it) of each."""
    outcome = RuleStage("quality", [C4Quality(C4Quality.Settings(**changes))])(batch_of(texts))
    reasons = {int(row): drop.rule for drop in first_verdicts(outcome) for row in drop.rows}
    left = outcome.batch.column("text").to_pylist()
    for i, text in enumerate(texts):
        if i in reasons:
            assert left[i] == text, "only what stays is cut"
    edited = {int(row) for edits in outcome.edits for row in edits.rows}
    assert edited == {i for i, text in enumerate(texts) if left[i] != text}
    for edits in outcome.edits:
        assert (edits.values > 0).all()
        assert all(json.loads(detail) for detail in edits.detail)
    return [(reasons.get(i), left[i]) for i in range(len(texts))]


# -- the code that made C4, as slowly as it reads ----------------------------------------------------------------------


def sentences(line: str) -> int:
    """Ends of sentences, and one more if text follows the last."""
    stops, wide, closers = (f"[{re.escape(s)}]" for s in (SENTENCE_ENDS + "…" + WIDE_STOPS, WIDE_STOPS, CLOSERS))
    inner = f"(?:{closers}|{stops})*"
    count, open_ = 0, False
    for word in line.split():
        count += len(re.findall(f"{wide}+", word))
        bare = re.sub(f"{closers}+$", "", word)
        if not bare:
            continue
        ended = re.search(f"{stops}{inner}$", bare) is not None
        count += ended and bare[-1] not in WIDE_STOPS
        open_ = not ended
    return count + open_


def clean_page(
    text: str,
    *,
    marks=(".", "?", "!", '"'),
    min_words=5,
    min_sentences=3,
    max_word=1000,
    max_length=190_000,
    count=sentences,
) -> tuple[str | None, str]:
    if len(text) > max_length:
        return "c4_max_characters", text
    kept, total = [], 0
    for line in text.splitlines():
        line = line.strip()
        if any(len(word) > max_word for word in line.split()):
            continue
        line = re.sub(r"\[\d*\]|\[edit\]|\[citation needed\]", "", line)
        if not line.endswith(marks) or line.endswith("..."):
            continue
        if len(line.split()) < min_words:
            continue
        small = line.lower()
        if "lorem ipsum" in small:
            return "c4_lorem_ipsum", text
        if "javascript" in small:
            continue
        if "{" in line:
            return "c4_curly_bracket", text
        if any(phrase in small for phrase in POLICY):
            continue
        total += count(line)
        kept.append(line)
    if total < min_sentences:
        return "c4_too_few_sentences", text
    return None, "\n".join(kept).strip()


# -- texts ------------------------------------------------------------------------------------------------------------

PIECES = [
    "A line of prose, long enough to stay.",
    'She said "so it is."',
    "It's the dogs'",
    "Too short.",
    "and then...",
    "…",
]
PIECES += [
    "[1]",
    "[12]",
    "[]",
    "[edit]",
    "[citation needed]",
    "[Edit]",
    "[٣]",
    "[1",
    "1]",
    "[[2]3]",
    "[ 1 ]",
    "lorem [4]ipsum",
]
PIECES += [
    "Lorem Ipsum dolor sit amet.",
    "JavaScript",
    "java[edit]script",
    "We use coo\u212aies here.",
    "PRIVACY POLICY",
]
PIECES += [
    "{",
    "}",
    "The set {a, b} has two elements.",
    "x" * 1001 + ".",
    "é" * 1000 + "!",
    "the",
    "mill",
    "grinds",
    "corn",
    "?",
    "!",
    '"',
    "'",
    ".",
    "one two three four.",
]
PIECES += [
    "日本語。",
    "مرحبا؟",
    "\u200b",
    "\0",
    "😀.",
    "\u202e",
    "İ",
    "ΣΑΣ.",
    "cooK\u0130e",
    "terms",
    "of",
    "use",
    "\ufeff",
]
GAPS = (
    [" "] * 14
    + ["\n"] * 5
    + ["\n\n", "\r\n", "\r", "\t", "\xa0", "\u3000", "\u2028", "\x85", "\v", "\x1c", "\x1f", "  ", " \n ", "", ""]
)


def hostile(rng: random.Random) -> str:
    pieces = rng.sample(PIECES, rng.randrange(2, len(PIECES)))
    if rng.random() < 0.7:  # otherwise few pages come to their end
        pieces = [piece for piece in pieces if "{" not in piece and "orem" not in piece] or ["the"]
    plain = PIECES[0]
    chosen = (plain if rng.random() < 0.25 else rng.choice(pieces) for _ in range(rng.randrange(40)))
    return "".join(piece + rng.choice(GAPS) for piece in chosen)


def real_texts(shared_data, per_file: int, pieces: int) -> list[str]:
    def rows(path):
        with (zstandard.open if path.suffix == ".zst" else gzip.open)(path, "rb") as raw:
            yield from map(json.loads, io.TextIOWrapper(raw, encoding="utf-8"))

    texts = []
    for path in sorted((shared_data / "quality").glob("*.jsonl.gz")):
        texts += [str(row.get("text") or "") for row in itertools.islice(rows(path), per_file)]
    wet = (shared_data / "web" / "wet-derived" / "derived-00000.warc.wet.gz").read_bytes()
    wet = gzip.decompress(wet).decode("utf-8", "replace")
    records = [record.partition("\r\n\r\n")[2] for record in wet.split("WARC/1.0\r\n")[1:]]
    texts += records[:: max(1, len(records) // per_file)]
    for name in ("peps-part1.jsonl.zst", "classic-books-part1.jsonl.zst", "us-presidents-part1.jsonl.gz"):
        for row in itertools.islice(rows(shared_data / "text-en" / name), pieces):
            texts += [row["text"][i : i + 4000] for i in range(0, 12_000, 4000)]
    return texts


# -- datatrove --------------------------------------------------------------------------------------------------------


def by_datatrove(texts: list[str], **changes) -> list[tuple[str | None, str]]:
    from datatrove.data import Document
    from datatrove.pipeline.filters import C4QualityFilter

    tool, result = C4QualityFilter(**changes), []
    for text in texts:
        document = Document(text=text, id="")
        verdict = tool.filter(document)
        result.append((None, document.text) if verdict is True else (f"c4_{verdict[1]}", text))
    return result


def same(ours: list, theirs: list, texts: list[str]) -> Counter:
    wrong = [(text[:200], a, b) for text, a, b in zip(texts, ours, theirs, strict=True) if a != b]
    assert not wrong, f"{len(wrong)} of {len(texts)}; the first: {wrong[0]}"
    return Counter(reason for reason, _ in ours)


def check_datatrove(texts: list[str]) -> Counter:
    seen = same(cleaned(texts, dialect="datatrove"), by_datatrove(texts), texts)
    ours = cleaned(texts, dialect="datatrove", require_terminal_punctuation=False)
    return seen + same(ours, by_datatrove(texts, filter_no_terminal_punct=False), texts)


def test_datatrove_on_real_texts(shared_data):
    seen = check_datatrove(real_texts(shared_data, 20, 4))
    assert seen[None] > 60
    assert len(seen) >= 3, seen


def test_datatrove_on_hostile_texts():
    rng = random.Random(4)
    seen = check_datatrove([hostile(rng) for _ in range(500)])
    assert min(seen.values()) > 30
    assert len(seen) == 4, seen


@given(st.lists(st.text() | st.integers(0, 2**32).map(lambda seed: hostile(random.Random(seed))), max_size=4))
@settings(max_examples=50)
def test_datatrove_on_any_text(texts):
    check_datatrove(texts)
    ours = cleaned(texts, dialect="datatrove", split="sentences", min_sentences=1)
    same(ours, by_datatrove(texts, split_paragraph=False, min_num_sentences=1), texts)


@pytest.mark.slow
def test_datatrove_on_five_thousand_texts(shared_data):
    rng = random.Random(5)
    texts = real_texts(shared_data, 200, 100)
    texts += [hostile(rng) for _ in range(5000 - len(texts))]
    assert len(check_datatrove(texts)) == 4
    few = [text for text in texts if len(text) < 2000]
    ours = cleaned(few, dialect="datatrove", split="sentences")
    assert len(same(ours, by_datatrove(few, split_paragraph=False), few)) == 4


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({"remove_citations": False}, {"remove_citations": False}),
        ({"max_lorem_ipsum": None, "min_sentences": None}, {"filter_lorem_ipsum": False, "min_num_sentences": -1}),
        ({"max_curly_brackets": None, "min_sentences": 1}, {"filter_curly_bracket": False, "min_num_sentences": 1}),
        ({"remove_javascript": False, "min_words_per_line": 1}, {"filter_javascript": False, "min_words_per_line": 1}),
        ({"policy_phrases": (), "max_word_length": 8}, {"filter_policy": False, "max_word_length": 8}),
        ({"max_word_length": None, "min_sentences": 2}, {"max_word_length": -1, "min_num_sentences": 2}),
        ({"split": "sentences"}, {"split_paragraph": False}),
        (
            {"split": "sentences", "require_terminal_punctuation": False, "min_sentences": 2},
            {"split_paragraph": False, "filter_no_terminal_punct": False, "min_num_sentences": 2},
        ),
    ],
)
def test_datatrove_with_other_settings(ours, theirs):
    rng = random.Random(6)
    texts = [hostile(rng) for _ in range(120)]
    seen = same(cleaned(texts, dialect="datatrove", **ours), by_datatrove(texts, **theirs), texts)
    assert len(seen) > 1


# -- tfds -------------------------------------------------------------------------------------------------------------


def check_tfds(texts: list[str]) -> Counter:
    return same(cleaned(texts), [clean_page(text) for text in texts], texts)


def test_tfds_on_real_texts(shared_data):
    seen = check_tfds(real_texts(shared_data, 60, 12))
    assert seen[None] > 150
    assert len(seen) >= 4


def test_tfds_on_hostile_texts():
    rng = random.Random(8)
    seen = check_tfds([hostile(rng) for _ in range(3000)])
    assert min(seen.values()) > 50
    assert len(seen) == 4, seen


@given(st.lists(st.text() | st.integers(0, 2**32).map(lambda seed: hostile(random.Random(seed))), max_size=6))
@settings(max_examples=150)
def test_tfds_on_any_text(texts):
    check_tfds(texts)


@given(st.lists(st.text(st.sampled_from(" .?!…。！\"')”\n\u2028\xa0a1é日"), max_size=30), max_size=5))
@settings(max_examples=300)
def test_sentences_of_any_line(texts):
    signals = (
        C4Quality(C4Quality.Settings(require_terminal_punctuation=False, min_words_per_line=1, remove_citations=False))
        .measure(_texts(texts))
        .signals
    )
    lines = [[line for line in text.splitlines() if line.strip()] for text in texts]
    assert signals["sentences"].tolist() == [sum(map(sentences, kept)) for kept in lines]


def _texts(texts: list[str]):
    from gristmill.filters.measures.texts import Texts

    return Texts(batch_of(texts))


PROSE = "The miller sets the gap. He listens to the stones! Do they sing?"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (PROSE, (None, PROSE)),  # 3 sentences, 13 words
        (f"  {PROSE}\r\n\r\nMenu\n{PROSE}\t", (None, f"{PROSE}\n{PROSE}")),
        ("One two three four.\n" + PROSE, (None, PROSE)),  # 4 words: too short
        ("One two three four five.\n" + PROSE, (None, "One two three four five.\n" + PROSE)),
        ("One two [5] three four.\n" + PROSE, (None, PROSE)),  # the citation is no word here
        ("One two three four five.[6]\n" + PROSE, (None, "One two three four five.\n" + PROSE)),
        ("One two three four five. [6]\n" + PROSE, (None, PROSE)),  # a blank is left at its end
        (PROSE + "\nIt belonged to the dogs'", (None, PROSE)),  # an apostrophe is no mark here
        (PROSE + "\nAnd so they went on...", (None, PROSE)),
        (PROSE + "\n" + "a" * 1001 + " b c d e.", (None, PROSE)),
        (PROSE + "\n" + "a" * 1000 + " b c d e.", (None, PROSE + "\n" + "a" * 1000 + " b c d e.")),
        (PROSE + "\nPlease turn on JavaScript to read.", (None, PROSE)),
        (
            PROSE + "\nPlease turn on JavaScript {} to read.",
            (None, PROSE),
        ),  # the line is gone before its bracket is seen
        (PROSE + "\nRead our Privacy Policy before you go.", (None, PROSE)),
        (PROSE + "\nThe set {a, b} has two elements.", ("c4_curly_bracket", None)),
        (PROSE + "\nThe set {a, b} has elements", (None, PROSE)),  # gone before its bracket is seen
        (PROSE + "\nThis is Lorem Ipsum as printers use it.", ("c4_lorem_ipsum", None)),
        (
            PROSE + "\nfunction { of some kind or other.\nThis is lorem ipsum as printers use it.",
            ("c4_curly_bracket", None),
        ),
        ("The gap is set. The stones are heard.", ("c4_too_few_sentences", None)),
        ("", ("c4_too_few_sentences", None)),
        (PROSE + " " * 190_000, ("c4_max_characters", None)),
        (PROSE + " " * (190_000 - len(PROSE)), (None, PROSE)),
    ],
)
def test_tfds_by_hand(text, expected):
    reason, left = expected
    assert cleaned([text]) == [(reason, text if left is None else left)]


def test_signals_and_detail_by_hand():
    text = f"Menu\n{PROSE}\nNo mark here at all\nToo short.\n{PROSE}[1][2]\nWe use cookies on our pages."
    outcome = RuleStage("quality", [C4Quality(C4Quality.Settings())])(batch_of([text]))
    expected = {
        "characters": len(text),
        "lines": 6,
        "long_word_lines": 0,
        "unpunctuated_lines": 2,
        "short_lines": 1,
        "javascript_lines": 0,
        "policy_lines": 1,
        "kept_lines": 2,
        "citations": 2,
        "lorem_ipsum_first": 0,
        "lorem_ipsum": 0,
        "curly_brackets": 0,
        "sentences": 6,
        "cut_bytes": len(text) - len(f"{PROSE}\n{PROSE}"),
    }
    measured = {name: values[0] for name, values in outcome.signals.items() if name.startswith("c4_")}
    assert measured == {f"c4_{name}": value for name, value in expected.items()}
    (edit,) = outcome.edits
    assert edit.rule == "c4_lines"
    assert json.loads(edit.detail[0]) == {
        "unpunctuated_lines": 2, "short_lines": 1, "policy_lines": 1, "citations": 2, "removed_lines": [1, 3, 4, 6],
    }  # fmt: skip


def test_only_the_first_hundred_removed_lines_are_numbered():
    outcome = RuleStage("quality", [C4Quality(C4Quality.Settings())])(batch_of(["Menu\n" * 500 + PROSE]))
    detail = json.loads(outcome.edits[0].detail[0])
    assert detail == {"unpunctuated_lines": 500, "removed_lines": list(range(1, 101))}


def test_a_line_of_ten_million_characters():
    texts = ["word " * 2_000_000, "x" * 10_000_000, "[" * 10_000_000, PROSE]
    reasons = [reason for reason, _ in cleaned(texts, max_characters=None)]
    assert reasons == ["c4_too_few_sentences"] * 3 + [None]


def test_batches_and_inactive_rows_change_nothing():
    rng = random.Random(9)
    texts = [hostile(rng) for _ in range(90)]
    rule = C4Quality(C4Quality.Settings())
    whole, some = _texts(texts), _texts(texts)
    some.active[::2] = False
    every, half = rule.measure(whole), rule.measure(some)
    for name, values in every.signals.items():
        np.testing.assert_array_equal(values[1::2], half.signals[name][1::2])
    assert set(half.cuts[0].rows) == set(every.cuts[0].rows[every.cuts[0].rows % 2 == 1])
    sliced = [rule.measure(type(whole)(whole.batch.slice(start, 7))).signals for start in range(0, 90, 7)]
    for name, values in every.signals.items():
        np.testing.assert_array_equal(values, np.concatenate([signals[name] for signals in sliced]))


def test_empty_batch():
    assert cleaned([]) == []


def test_dialect_and_language_in_a_recipe():
    recipe = {
        "c4": {"dialect": "datatrove", "min_sentences": 4},
        "languages": {"hi": {"c4": {"terminal_punctuation": "।", "policy_phrases": ["गोपनीयता नीति"]}}},
    }
    stage = quality_stage(validate(QualitySettings, recipe, "recipe"))
    (rule,), (hindi,) = stage.rules, stage.languages["hi"]
    assert (rule.settings.min_sentences, rule.settings.min_words_per_line, rule.settings.sentences) == (4, 3, "spacy")
    assert rule.settings.terminal_punctuation == ".?!\"'"
    assert hindi.settings == rule.settings.model_copy(
        update={"terminal_punctuation": "।", "policy_phrases": ("गोपनीयता नीति",)}
    )
    line = "यह एक छोटा वाक्य है।"
    text = f"{line}\nगोपनीयता नीति यहाँ देखें।\n{line}\nमेनू\n{line}"
    options = {"terminal_punctuation": "।", "policy_phrases": ("गोपनीयता नीति",)}
    assert cleaned([text], **options) == [(None, f"{line}\n{line}\n{line}")]
    with pytest.raises(RequestError, match="sentences"):
        validate(QualitySettings, {"c4": {"split": "sentences"}}, "recipe")
