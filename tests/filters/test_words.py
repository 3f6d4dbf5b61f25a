"""Words of each source against whoever defines them: `str.split`, spaCy token by token, UAX 29 rule by rule."""

from __future__ import annotations

import gzip
import json
import random
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from gristmill.document import text_buffers
from gristmill.filters.measures.characters import ALNUM, LETTER, MARK, MARKS, PUNCTUATION, SENTENCE_ENDS, SYMBOL
from gristmill.filters.measures.words import cut, word_hash
from hypothesis import given, settings
from hypothesis import strategies as st

SYMBOLS = set(PUNCTUATION + SENTENCE_ENDS)


def buffers(texts: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    data, offsets = text_buffers(pa.array(texts, pa.large_string()))
    return data, offsets[:-1], offsets[1:]


def seen(words: list[str]) -> list[tuple[int, int, int]]:
    """(hash, characters, kinds) as the arrays should have them."""
    rows = []
    for word in words:
        kinds = LETTER * any(map(str.isalpha, word)) | SYMBOL * (set(word) <= SYMBOLS)
        kinds |= ALNUM * word[0].isalnum() | MARK * bool(set(word) & set(MARKS))
        rows.append((word_hash(word), len(word), kinds))
    return rows


def check(texts: list[str], source: str, expected: list[list[str]]) -> None:
    tokens, first, last = cut(*buffers(texts), source)
    mask = LETTER | SYMBOL | ALNUM | MARK
    for text, a, b, words in zip(texts, first, last, expected, strict=True):
        kinds = (tokens.kinds[a:b] & mask).tolist()
        got = list(zip(tokens.hashes[a:b].tolist(), tokens.letters[a:b].tolist(), kinds, strict=True))
        assert got == seen(words), (text[:200], words[:20])


HOSTILE = ["", " ", "word", "\0", "a\0b", "\u200b\u200d\ufeff", "😀👨‍👩‍👧", "שלום עולם", "\u202eabc"]
HOSTILE += ["e\u0301\u0301", "\u2028"]


@given(st.lists(st.text(), max_size=5))
@settings(max_examples=60)
def test_whitespace_words_are_those_of_split(texts):
    check(texts + HOSTILE, "whitespace", [text.split() for text in texts + HOSTILE])


# -- spaCy ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def spacy_words():
    spacy = pytest.importorskip("spacy")
    nlp = spacy.blank("en")

    def split(texts: list[str]) -> list[list[str]]:
        with nlp.memory_zone():
            return [[t.text.strip() for t in nlp.tokenizer(text) if t.text.strip()] for text in texts]

    return split


def chunks(shared_data, most: int) -> list[str]:
    """Different chunks of web text and technical text, the frequent and the rare."""
    count: Counter[str] = Counter()
    for name in ("c4-demo-part1", "dclm-human-quality-part1", "dolma-cc_en_head-0091", "stack-exchange-part1"):
        with gzip.open(shared_data / "quality" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
            for line in lines:
                count.update(str(json.loads(line).get("text") or "").split())
    found = sorted(count)
    return found if len(found) <= most else random.Random(1).sample(found, most)


def test_spacy_words_of_real_chunks(shared_data, spacy_words):
    found = chunks(shared_data, 25_000)
    assert len(found) > 10_000
    check(found, "spacy", spacy_words(found))


ALPHABET = [
    *"abXYs1290'’-—–./,:;()\"“”!?#*_&$%=+…@<>[]{}~|\\^`°é",
    "the",
    "it",
    "he",
    "don't",
    "km",
    "U.S",
    "a.m.",
    "--",
]
ALPHABET += [
    "...",
    ":)",
    "http://",
    "'s",
    "n't",
    "ж",
    "中",
    "°C",
    "Mr.",
    "ß",
    "ǅ",
    "\u0301",
    "and/or",
    "’S",
    "US$",
    "2nd",
]


def test_spacy_words_of_made_up_chunks(spacy_words):
    rng = random.Random(5)
    made = ["".join(rng.choices(ALPHABET, k=rng.randrange(1, 7))) for _ in range(12_000)]
    check(made, "spacy", spacy_words(made))


LOOSE = [":)", ":(", "foo:)", "(:", "x:(", ": )", ")", ":", "(", "Thanks!:)", "a", ".", "m.", "it", "'s", "it's;)"]
LOOSE += [";", "-", "8-)", "'", "''", "—", "IS_LOWER", "é:)", "x10a.m.", "_", "(._", ".)"]


def test_spacy_words_of_special_cases_that_seem_to_cross_spaces(spacy_words):
    """`foo:) :` is not `foo:)` and `:`: what looks like a longer special case hides one inside a chunk."""
    rng = random.Random(6)
    made = [rng.choice([" ", " ", "  ", "\n"]).join(rng.choices(LOOSE, k=rng.randrange(2, 9))) for _ in range(6000)]
    alone = [[w for part in text.split() for w in spacy_words([part])[0]] for text in made[:500]]
    whole = spacy_words(made)
    assert alone != whole[:500], "no text here shows the effect"
    check(made, "spacy", whole)


@given(st.lists(st.text() | st.lists(st.sampled_from([*ALPHABET, *LOOSE, " "])).map("".join), max_size=5))
@settings(max_examples=150)
def test_spacy_words_of_any_text(spacy_words, texts):
    texts = [text.replace("IS_ALPHA", "") for text in texts + HOSTILE]
    check(texts, "spacy", spacy_words(texts))


def test_what_spacy_chokes_on_is_a_word(spacy_words):
    check(["(IS_ALPHA) x IS_ALPHA."], "spacy", [["(", "IS_ALPHA", ")", "x", "IS_ALPHA", "."]])


def test_long_chunks_are_cut_as_spacy_cuts_them_and_too_long_ones_are_one_word(spacy_words):
    texts = ["(" * 300 + "a" * 70 + ")" * 300, "." * 5000, "a" + "." * 999, "x" * 200 + "." * 65, "=" * 400 + "?"]
    texts += ["http://example.org/" + "path/" * 60, "me:" * 50 + "pass@example.org", "a-b_c," * 100, "…" * 300]
    check(texts, "spacy", spacy_words(texts))
    check(["," * 20_001 + " a,"], "spacy", [["," * 20_001, "a", ","]])


def test_a_full_table_is_emptied_and_changes_nothing(spacy_words):
    from gristmill.filters.measures.spacy_words import Cutter

    rng = random.Random(8)
    texts = [" ".join("".join(rng.choices(ALPHABET, k=4)) for _ in range(rng.randrange(40))) for _ in range(300)]
    expected = [[word_hash(word) for word in words] for words in spacy_words(texts)]
    small, large = Cutter(most_entries=50), Cutter()
    for size in (300, 7, 1):
        for start in range(0, len(texts), size):
            data, starts, ends = buffers(texts[start : start + size])
            for cutter in (small, large):
                tokens, first, last, _ = cutter.cut(data, starts, ends)
                got = [tokens.hashes[a:b].tolist() for a, b in zip(first, last, strict=True)]
                assert got == expected[start : start + size]
    assert small._entries < 200 < large._entries


def test_sentences_are_those_of_datatrove(shared_data):
    texts = pytest.importorskip("datatrove.utils.text")
    from gristmill.filters.measures.sentences import count_sentences

    rng = random.Random(2)
    parts = [
        "a",
        "the",
        "Hi",
        "U.S.",
        ".",
        "!",
        "?",
        "...",
        "…",
        "\n",
        " ",
        "  ",
        ")",
        '"',
        "don't",
        "。",
        "१।",
        "foo.bar",
    ]
    parts += [":)", "a.m.", "\u2028", "\x85", "’s", "'"]
    made = [
        "".join(rng.choice(parts) + rng.choice(["", "", " "]) for _ in range(rng.randrange(20))) for _ in range(1500)
    ]
    with gzip.open(shared_data / "quality" / "c4-demo-part1.jsonl.gz", "rt", encoding="utf-8") as lines:
        made += [line for row in list(lines)[:30] for line in json.loads(row)["text"].split("\n")]
    made += ["", " ", "a", "a. ", ". . .", "\n\n"]
    data, starts, ends = buffers(made)
    assert count_sentences(data, starts, ends).tolist() == [len(texts.split_into_sentences(t, "eng")) for t in made]
    assert count_sentences(data, starts[:0], ends[:0]).tolist() == []


# -- Unicode ----------------------------------------------------------------------------------------------------------


def segments(text: str) -> list[str]:
    """UAX 29, section 4.1.1, by looking at every place between two characters, rule by rule."""
    from gristmill.filters.measures.unicode_words import NAMES, classes

    table = classes()
    names = ["Other" if not table[ord(c)] & 31 else NAMES[(table[ord(c)] & 31) - 1] for c in text]
    newline, ignored = {"CR", "LF", "Newline"}, {"Extend", "Format", "ZWJ"}
    letter = {"ALetter", "Hebrew_Letter"}
    between, inside = {"MidLetter", "MidNumLet", "Single_Quote"}, {"MidNum", "MidNumLet", "Single_Quote"}

    def joined(i: int) -> bool:
        a, b = names[i - 1], names[i]
        if a in newline or b in newline:
            return (a, b) == ("CR", "LF")
        if (a == "ZWJ" and table[ord(text[i])] & 32) or a == b == "WSegSpace":
            return True
        if b in ignored:
            return True
        left = [n for k, n in enumerate(names[:i]) if n not in ignored or k == 0 or names[k - 1] in newline]
        if names[:i] and all(n in ignored for n in names[:i]):
            left = names[:1]
        right = [n for n in names[i:] if n not in ignored] + ["", ""]
        left = ["", "", *left]
        (z, y), (x, w) = left[-2:], right[:2]
        keeps = letter | {"Numeric", "Katakana", "ExtendNumLet"}
        return (
            (y in letter and x in letter)
            or (y in letter and x in between and w in letter)
            or (z in letter and y in between and x in letter)
            or (y == "Hebrew_Letter" and (x == "Single_Quote" or (x, w) == ("Double_Quote", "Hebrew_Letter")))
            or ((z, y, x) == ("Hebrew_Letter", "Double_Quote", "Hebrew_Letter"))
            or (y in letter | {"Numeric"} and x in letter | {"Numeric"})
            or (y == "Numeric" and x in inside and w == "Numeric")
            or (z == "Numeric" and y in inside and x == "Numeric")
            or (y == x == "Katakana")
            or (y in keeps and x == "ExtendNumLet")
            or (y == "ExtendNumLet" and x in keeps)
            or (y == x == "Regional_Indicator" and _odd(left))
        )

    cuts = [i for i in range(1, len(text)) if not joined(i)]
    return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]


def _odd(left: list[str]) -> bool:
    run = 0
    while left[-1 - run] == "Regional_Indicator":
        run += 1
    return run % 2 == 1


def unicode_words(text: str) -> list[str]:
    return [segment for segment in segments(text) if any(map(str.isalnum, segment))]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The quick (“brown”) fox can’t jump 32.3 feet, right?", "The quick brown fox can’t jump 32.3 feet right"),
        ("3,456.789 a.b. x_y _z 1:2", "3,456.789 a.b x_y _z 1 2"),
        ("中文 カタカナ ひら", "中 文 カタカナ ひ ら"),
        ("שלום\"ה ש'", "שלום\"ה ש'"),
        ("e\u0301a\u00adb 👨‍👩‍👧 🇩🇪🇫🇷", "e\u0301a\u00adb"),
    ],
)
def test_unicode_words_of_examples(text, words):
    check([text], "unicode", [words.split()])


def test_unicode_classes_are_those_of_the_library():
    regex = pytest.importorskip("regex")
    from gristmill.filters.measures.unicode_words import NAMES, classes

    every = "".join(chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000)
    codes = np.array([ord(c) for c in every])
    for value, name in enumerate(NAMES, 1):
        theirs = [ord(c) for c in regex.findall(rf"\p{{WB={name}}}", every)]
        ours = codes[classes()[codes] & 31 == value].tolist()
        assert len(set(ours) ^ set(theirs)) <= 0.02 * len(theirs), name  # another version of Unicode has a few more


@pytest.fixture(scope="module")
def one_of_each() -> list[str]:
    """Some characters of each class."""
    from gristmill.filters.measures.unicode_words import classes

    codes = np.arange(0x110000)
    codes = codes[(codes < 0xD800) | (codes >= 0xE000)]
    table = classes()[codes]
    groups = [codes[table & 31 == value][:40] for value in range(19)] + [codes[table & 32 > 0][:40]]
    return [chr(c) for group in groups for c in group[:: max(1, len(group) // 4)]]


def test_unicode_words_are_those_of_the_rules(one_of_each):
    rng = random.Random(4)
    made = ["".join(rng.choices(one_of_each, k=rng.randrange(12))) for _ in range(8000)]
    made += ["".join(rng.choices("ab1.,' :\"_é\u05d0\u0301\n", k=rng.randrange(12))) for _ in range(4000)]
    check(made, "unicode", list(map(unicode_words, made)))


@given(st.lists(st.text(), max_size=4))
@settings(max_examples=60)
def test_unicode_words_of_any_text(texts):
    check(texts + HOSTILE, "unicode", list(map(unicode_words, texts + HOSTILE)))


# -- what may come -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["whitespace", "spacy", "unicode"])
def test_ten_megabytes_of_one_line(source):
    pytest.importorskip("spacy")
    for piece, words in (("a " * 5, 5), ("x" * 10, 0), ("don't, " * 2, None)):
        text = piece * (10_000_000 // len(piece))
        tokens, first, last = cut(*buffers([text, "b"]), source)
        assert (tokens.letters[first[1] : last[1]]).tolist() == [1]
        if words is not None:
            assert last[0] - first[0] == max(1, words * (10_000_000 // len(piece)))
