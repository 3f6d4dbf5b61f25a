"""Two texts side by side, their difference marked, for people.

The idea: words that occur once in both texts are anchors, and the longest row of them that is in order in both divides
the texts into pieces, which are compared in the same way (Bram Cohen's patience diff); where no anchor is left,
Python's `difflib` finds what is equal. The trade-off: words are compared as they are written and white space is not,
since shingles do not see it either; and a stretch without anchors that is too long for `difflib`, whose time grows with
the square, counts as changed.

The texts are those of strangers: what a terminal would obey is shown as an escape.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from difflib import SequenceMatcher
from itertools import groupby, zip_longest

from rich.cells import cell_len, chop_cells

# A character of a script without spaces; another word; what is neither
_SCRIPTS = r"\u3040-\u30ff\u3400-\u9fff"
_WORD = re.compile(rf"(\s*)([{_SCRIPTS}]|[^\W{_SCRIPTS}]+|[^\w\s]+)")
DIFFLIB_CELLS = 1 << 18  # words times words
DEEPEST = 32  # divisions by anchors: more only in texts made for it
CONTEXT = 8  # words shown on either side of a change
MOST_LINES = 40  # of a pair
GAP = " | "  # between the columns
JOINERS = "\u200c\u200d"  # of no width, part of the spelling of Persian, Hindi and others
MARKS = (("[-", "-]"), ("{+", "+}"))  # of the first text and of the second
COLOURS = ("\x1b[31m", "\x1b[32m")
PLAIN = "\x1b[0m"


def printable(text: str) -> str:
    """`text` with all that a terminal could obey (control characters, changes of direction) as `\\x1b` or `\\u202e`."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in JOINERS else ascii(c)[1:-1] for c in text)


# -- what is equal ---------------------------------------------------------------------------------------------------


def matches(a: list[str], b: list[str]) -> list[tuple[int, int, int]]:
    """Stretches (i, j, n) with a[i : i + n] == b[j : j + n], in order in both, none touching the next in both."""
    found: list[tuple[int, int, int]] = []
    for i, j in sorted(_pairs(a, b)):
        if found and (i - found[-1][0], j - found[-1][1]) == (found[-1][2], found[-1][2]):
            found[-1] = (*found[-1][:2], found[-1][2] + 1)
        else:
            found.append((i, j, 1))
    return found


def _pairs(a: list[str], b: list[str]) -> Iterator[tuple[int, int]]:
    """Positions of the words that are matched, in any order."""
    todo = [(0, len(a), 0, len(b), DEEPEST)]
    while todo:
        low, high, start, end, depth = todo.pop()
        while low < high and start < end and a[low] == b[start]:
            yield low, start
            low, start = low + 1, start + 1
        while low < high and start < end and a[high - 1] == b[end - 1]:
            high, end = high - 1, end - 1
            yield high, end
        anchors = _anchors(a[low:high], b[start:end]) if depth else []
        if anchors:
            first, second = low, start
            for i, j in anchors:
                yield low + i, start + j
                todo.append((first, low + i, second, start + j, depth - 1))
                first, second = low + i + 1, start + j + 1
            todo.append((first, high, second, end, depth - 1))
        elif (high - low) * (end - start) <= DIFFLIB_CELLS:
            blocks = SequenceMatcher(None, a[low:high], b[start:end], autojunk=False).get_matching_blocks()
            yield from ((low + i + k, start + j + k) for i, j, n in blocks for k in range(n))


def _anchors(a: list[str], b: list[str]) -> list[tuple[int, int]]:
    """Positions of words that occur once in each: the longest row of them that ascends in both."""
    once = {word: j for j, word in _once(b)}
    common = [(i, once[word]) for i, word in _once(a) if word in once]
    ends: list[int] = []  # the smallest second position that a row of each length can end with
    rows: list[int] = []  # which of `common` has it
    before: list[int] = []  # of each of `common` the one before it in its row
    for at, (_, j) in enumerate(common):
        length = bisect_left(ends, j)
        before.append(rows[length - 1] if length else -1)
        ends[length : length + 1], rows[length : length + 1] = [j], [at]
    found, at = [], rows[-1] if rows else -1
    while at >= 0:
        found.append(common[at])
        at = before[at]
    return found[::-1]


def _once(words: list[str]) -> list[tuple[int, str]]:
    times = Counter(words)
    return [(i, word) for i, word in enumerate(words) if times[word] == 1]


# -- two columns -----------------------------------------------------------------------------------------------------

Word = tuple[bool, str, bool]  # whether white space is before it, itself, whether it is coloured


def side_by_side(left: str, right: str, width: int, colour: bool) -> list[str]:
    """Lines of at most `width` columns (not below 23): where the texts differ, with some words around it.

    What only one text has is red on the left and green on the right with `colour`, else it stands in [-..-] and {+..+}.
    """
    column = max(10, (width - len(GAP)) // 2)
    texts = [_WORD.findall(text) for text in (left, right)]
    a, b = ([word for _, word in text] for text in texts)
    stretches = _stretches(a, b)
    lines: list[str] = []
    shown = 0
    for stretch in stretches:
        lines += _same(stretch[0][1] - shown)
        shown = stretch[-1][2]
        sides = [
            _column(
                [(equal, text[ends[2 * side] : ends[2 * side + 1]]) for equal, *ends in stretch], side, column, colour
            )
            for side, text in enumerate(texts)
        ]
        lines += [f"{one}{GAP}{two}".rstrip() for one, two in zip_longest(*sides, fillvalue=" " * column)]
        if len(lines) > MOST_LINES:
            return [*lines[:MOST_LINES], "... and more that differs"]
    return [*lines, *_same(len(a) - shown)]


def _same(count: int) -> list[str]:
    return [f"... {count:,} words the same"] if count else []


Part = tuple[bool, int, int, int, int]  # whether it is equal; first and end in the first text, and in the second


def _stretches(a: list[str], b: list[str]) -> list[list[Part]]:
    """Where the texts differ: parts that do, those of at most 2 CONTEXT words between them, CONTEXT words around."""
    found: list[list[Part]] = [[]]
    i = j = 0
    for start, other, n in [*matches(a, b), (len(a), len(b), 0)]:
        if (i, j) != (start, other):
            found[-1].append((False, i, start, j, other))
        i, j = start + n, other + n
        if found[-1] and n <= 2 * CONTEXT and (i, j) != (len(a), len(b)):
            found[-1].append((True, start, i, other, j))
            continue
        few = min(n, CONTEXT)
        if found[-1]:
            found[-1].append((True, start, start + few, other, other + few))
            found.append([])
        found[-1].append((True, i - few, i, j - few, j))
    return [stretch for stretch in found if not all(equal for equal, *_ in stretch)]


def _column(parts: list[tuple[bool, list[tuple[str, str]]]], side: int, width: int, colour: bool) -> list[str]:
    """The lines of one text of a stretch; `parts`: (whether it is equal, [(white space before it, word)])."""
    words: list[Word] = []
    for equal, found in parts:
        texts = [printable(word) for _, word in found]
        if texts and not equal and not colour:
            texts[0] = MARKS[side][0] + texts[0]
            texts[-1] += MARKS[side][1]
        words += [(bool(space), text, not equal and colour) for (space, _), text in zip(found, texts, strict=True)]
    return [_line(line, width, COLOURS[side]) for line in _wrapped(words, width)]


def _wrapped(words: list[Word], width: int) -> Iterator[list[Word]]:
    """Lines of at most `width` columns; a word that is wider is cut."""
    line: list[Word] = []
    used = 0
    for space, word, marked in words:
        for number, piece in enumerate(chop_cells(word, width)):
            size = cell_len(piece)
            if line and (number or used + space + size > width):
                yield line
                line, used = [], 0
            spaced = bool(space and line)
            line.append((spaced, piece, marked))
            used += spaced + size
    if line:
        yield line


def _line(words: list[Word], width: int, colour: str) -> str:
    """One line of a column, filled up to its width."""
    text, used = "", 0
    for marked, group in groupby(words, key=lambda word: word[2]):
        plain = "".join(" " * space + word for space, word, _ in group)
        used += cell_len(plain)
        text += f"{colour}{plain}{PLAIN}" if marked else plain
    return text + " " * (width - used)
