"""Two texts side by side: what is marked is what differs, and nothing that a terminal obeys gets through."""

from __future__ import annotations

import random
import re
import time
import unicodedata
from difflib import SequenceMatcher

import pytest
from gristmill.dedup import differences
from gristmill.dedup.differences import COLOURS, CONTEXT, GAP, MOST_LINES, PLAIN, matches, printable, side_by_side
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

words = st.lists(st.sampled_from("abcdefghijkl"), max_size=40)


def longest(a: list[str], b: list[str]) -> int:
    """Length of the longest common subsequence, by the table."""
    row = [0] * (len(b) + 1)
    for one in a:
        before = 0
        for j, other in enumerate(b, 1):
            before, row[j] = row[j], before + 1 if one == other else max(row[j], row[j - 1])
    return row[-1]


@given(words, words)
def test_matches_are_equal_and_in_order(a, b):
    found = matches(a, b)
    end = (0, 0)
    for i, j, n in found:
        assert n > 0
        assert a[i : i + n] == b[j : j + n]
        assert i >= end[0]
        assert j >= end[1]
        assert (i, j) != end or end == (0, 0)  # else it would be one stretch with the one before
        end = i + n, j + n
    assert sum(n for *_, n in found) <= longest(a, b)


@given(words)
def test_a_text_matches_itself(a):
    assert matches(a, a) == ([(0, 0, len(a))] if a else [])


@given(st.lists(st.integers(0, 10**6), unique=True, min_size=1, max_size=60), st.data())
def test_words_that_occur_once_are_all_found(numbers, data):
    """With words taken out of a text of different words, the rest is the longest that can be found, and is found."""
    a = [str(n) for n in numbers]
    kept = data.draw(st.lists(st.booleans(), min_size=len(a), max_size=len(a)))
    b = [word for word, keep in zip(a, kept, strict=True) if keep]
    assert sum(n for *_, n in matches(a, b)) == len(b)


def test_edits_of_a_text_with_repeated_words():
    """As good as difflib where difflib is good: words of a small vocabulary, one in twenty changed."""
    draw = random.Random(4)
    a = [f"w{int(draw.paretovariate(0.6)) % 400}" for _ in range(2000)]
    b = [f"new{i}" if draw.random() < 0.05 else word for i, word in enumerate(a)]
    ours = sum(n for *_, n in matches(a, b))
    assert ours == sum(x == y for x, y in zip(a, b, strict=True)) == longest(a, b)
    theirs = SequenceMatcher(None, a, b, autojunk=False).get_matching_blocks()
    assert ours >= sum(block.size for block in theirs)


@pytest.mark.parametrize("kind", ["backwards", "few words", "few words backwards", "one word"])
def test_texts_made_to_be_slow(kind):
    draw = random.Random(1)
    a = [str(i) for i in range(60_000)] if kind == "backwards" else [str(draw.randrange(30)) for _ in range(60_000)]
    a = ["a"] * 60_000 if kind == "one word" else a
    b = ["b", *a, "b"] if kind == "one word" else a[::-1]
    if kind == "few words":
        b = [str(draw.randrange(30)) for _ in range(60_000)]
    start = time.process_time()
    matches(a, b)
    assert time.process_time() - start < 10  # the square of the length would take minutes


# -- two columns -----------------------------------------------------------------------------------------------------


def test_a_change_in_its_column():
    lines = side_by_side("The quick brown fox jumps", "The quick red fox jumps over", 80, colour=False)
    left, right = (part.strip() for part in lines[0].split(GAP))
    assert left == "The quick [-brown-] fox jumps"
    assert right == "The quick {+red+} fox jumps {+over+}"
    assert len(lines) == 1


def test_colour_in_place_of_brackets():
    (line,) = side_by_side("one two three", "one 2 2 three", 80, colour=True)
    red, green = COLOURS
    left, right = line.split(GAP)
    assert left.rstrip() == f"one{red} two{PLAIN} three"
    assert right.rstrip() == f"one{green} 2 2{PLAIN} three"
    assert cell_len(re.sub(r"\x1b\[\d+m", "", left)) == (80 - len(GAP)) // 2


def test_only_what_is_around_a_change():
    text = [f"w{i}" for i in range(200)]
    other = [*text[:100], "changed", *text[101:]]
    lines = side_by_side(" ".join(text), " ".join(other), 100, colour=False)
    assert lines[0] == f"... {100 - CONTEXT} words the same"
    assert lines[-1] == f"... {99 - CONTEXT} words the same"
    shown = " ".join(lines[1:-1])
    assert "w92 " in shown
    assert "w91 " not in shown
    assert "[-w100-]" in shown
    assert "{+changed+}" in shown
    assert "w108" in shown
    assert "w109" not in shown


@given(words, words)
def test_every_word_is_shown_or_counted(a, b):
    """Each side again from what is printed: what is shown, with the numbers of words that are left out."""
    lines = side_by_side(" ".join(a), " ".join(b), 4000, colour=False)
    for side, text in enumerate((a, b)):
        at = 0
        for line in lines:
            skipped = re.fullmatch(r"\.\.\. (\d+) words the same", line)
            if skipped:
                at += int(skipped[1])
                continue
            shown = re.sub(r"[\[\]{}+-]", "", [*line.split(GAP.rstrip()), ""][side]).split()
            assert shown == text[at : at + len(shown)]
            at += len(shown)
        assert at == len(text)


@given(st.text(max_size=200), st.text(max_size=200), st.integers(23, 120), st.booleans())
def test_nothing_that_a_terminal_obeys(a, b, width, colour):
    for line in side_by_side(a, b, width, colour):
        line = re.sub("|".join(map(re.escape, [*COLOURS, PLAIN])), "", line) if colour else line
        assert all(c.isprintable() or c in differences.JOINERS for c in line), line
        assert cell_len(line) <= width


def test_what_is_shown_of_hostile_characters():
    assert printable("a\x1b[31m\x07\x9b\u202eb") == r"a\x1b[31m\x07\x9b\u202eb"
    assert printable("می\u200cخواهم 語 é") == "می\u200cخواهم 語 é"
    assert unicodedata.category("\U000e0041") == "Cf"  # a tag: invisible text
    assert printable("\U000e0041") == r"\U000e0041"


def test_scripts_without_spaces_differ_by_characters():
    (line,) = side_by_side("日本語のテキスト", "日本人のテキスト", 80, colour=False)
    left, right = (part.strip() for part in line.split(GAP))
    assert (left, right) == ("日本[-語-]のテキスト", "日本{+人+}のテキスト")


def test_long_words_and_long_differences_are_cut():
    lines = side_by_side("x" * 100_000, "y", 60, colour=False)
    assert len(lines) == MOST_LINES + 1
    assert lines[-1] == "... and more that differs"
    assert max(map(len, lines)) <= 60


def test_white_space_is_no_difference():
    assert side_by_side("a b\n\nc", "a  b c", 80, colour=False) == ["... 3 words the same"]
