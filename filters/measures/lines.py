"""One look at a line: where its text begins and ends, its words and sentences, the signs that are worth a closer look.

The rules of C4 and RefinedWeb ask dozens of questions of a line, and nearly every line needs none of them: this scan
reads each byte once and says which lines do. A line is what `str.splitlines` cuts, a word what `str.split` cuts.

Sentences are counted without a model: one ends with a word that ends in a full stop, question or exclamation mark or
ellipsis of any script (closing quotes and brackets aside), at an ideographic stop, which no space follows, and at the
end of the line. Abbreviations count as ends; whoever asks for "five sentences" does not mind, and it is some hundred
times faster than a tokeniser.

Whoever needs less than that of a text looks at 64 bytes at a time, with `bits`: a bit each for whether the byte lies
between two others, which is one comparison for a processor with vectors. Nothing checks where these few load and store.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from llvmlite import ir
from numba import int64, types, uint64
from numba.extending import intrinsic

from ...text import decode, inline, kernel, pointer
from .characters import CODE_POINTS, LINE_BREAKS, SENTENCE_ENDS

# bits of the table; numbers, so that kernels compile them in
SPACE, BREAK, DECIMAL, UPPER, NUMERIC, WORD, SQUARE, CURLY, STOP, WIDE_STOP, CLOSER = (1 << b for b in range(11))

WIDE_STOPS = "。！？｡．"  # they end a sentence wherever they stand
CLOSERS = "\"')]}”’»›」』）】"


@cache
def line_kinds() -> np.ndarray:
    """uint16[0x110000]: the bits of each code point, built once a process.

    SPACE, DECIMAL, UPPER and NUMERIC as `str` has them (`isspace`, `isdecimal`, `isupper`, `isnumeric`); WORD is the
    `\\w` of `re`; BREAK ends a line; SQUARE and CURLY are the opening brackets.
    """
    every = np.arange(CODE_POINTS, dtype=np.uint32).view("U1")  # NumPy asks the interpreter's own tables
    table = np.char.isspace(every) * np.uint16(SPACE) | np.char.isdecimal(every) * np.uint16(DECIMAL)
    table |= np.char.isupper(every) * np.uint16(UPPER) | np.char.isnumeric(every) * np.uint16(NUMERIC)
    table |= np.char.isalnum(every) * np.uint16(WORD)
    groups = (BREAK, LINE_BREAKS), (WORD, "_"), (SQUARE, "["), (CURLY, "{"), (STOP, SENTENCE_ENDS + "…" + WIDE_STOPS)
    for bit, characters in (*groups, (WIDE_STOP, WIDE_STOPS), (CLOSER, CLOSERS)):
        table[[ord(c) for c in characters]] |= np.uint16(bit)
    table.setflags(write=False)
    return table


# -- many bytes at a time: what Numba has no words for, said to LLVM ---------------------------------------------------

BLOCK = 64  # bytes that one look covers, a bit each


@intrinsic
def _between(typing, data, at, low, high):
    """uint64: bit k is set where low <= data[at + k] <= high, of 64 bytes."""

    def build(context, builder, signature, arguments):
        byte, vector = ir.IntType(8), ir.VectorType(ir.IntType(8), BLOCK)

        def everywhere(value):
            one = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
            first = ir.Constant(ir.VectorType(ir.IntType(32), BLOCK), [0] * BLOCK)
            return builder.shuffle_vector(one, one, first)

        text = builder.load(pointer(context, builder, data, *arguments[:2], vector), align=1)
        least, most = (builder.trunc(value, byte) for value in arguments[2:])
        above = builder.sub(text, everywhere(least))
        return builder.bitcast(builder.icmp_unsigned("<=", above, everywhere(builder.sub(most, least))), ir.IntType(64))

    return types.uint64(data, types.int64, types.int64, types.int64), build


@intrinsic
def ones(typing, value):
    """int64: how many bits of a uint64 are set."""

    def build(context, builder, signature, arguments):
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), build


@inline
def bits(data, i, end, low, high):
    """uint64: bit k is set where low <= data[i + k] <= high and i + k < end; `data` has at least BLOCK bytes."""
    at = min(i, len(data) - BLOCK)
    found = _between(data, at, low, high) >> (uint64(i - at) & uint64(63))
    return found & inside(i, end)


@inline
def inside(i, end):
    """uint64: bit k is set where i + k < end, of BLOCK bits."""
    return ~uint64(0) >> uint64(max(0, BLOCK - (end - i))) if i < end else uint64(0)


def padded(data: np.ndarray) -> np.ndarray:
    """`data`, uint8, with zeros behind it where it is shorter than a block."""
    return data if len(data) >= BLOCK else np.concatenate([data, np.zeros(BLOCK, np.uint8)])


# -- lines -------------------------------------------------------------------------------------------------------------


@inline
def last_start(data, start, end):
    """Index of the first byte of the last character of data[start:end], which is not empty."""
    p = end - 1
    while p > start and (data[p] & 0xC0) == 0x80:
        p -= 1
    return p


@kernel
def strip_left(data, start, end, table):
    """The first byte of data[start:end] that is not white space, or `end`."""
    while start < end:
        c, after = decode(data, start)
        if not table[c] & SPACE:
            return start
        start = after
    return start


@kernel
def strip_right(data, start, end, table):
    """The end of data[start:end] without the white space at its end."""
    while end > start:
        p = last_start(data, start, end)
        c, _ = decode(data, p)
        if not table[c] & SPACE:
            return end
        end = p
    return end


@kernel
def after_break(data, i, stop):
    """The index after the line break at `i`; CR LF is one."""
    c, after = decode(data, i)
    if c == 13 and after < stop and data[after] == 10:
        return after + 1
    return after


@kernel
def _ends_sentence(data, start, end, table):
    """What ends with data[start:end], closing signs aside: 0 no sentence, 1 one, 2 one by an ideographic stop."""
    while end > start:
        p = last_start(data, start, end)
        c, _ = decode(data, p)
        kind = table[c]
        if kind & STOP:
            return 2 if kind & WIDE_STOP else 1
        if not kind & CLOSER:
            return 0
        end = p
    return 0


@kernel
def _open_end(data, start, end, table):
    """Does the last sentence of data[start:end] lack its end? White space and closing signs behind it do not count."""
    while end > start:
        p = last_start(data, start, end)
        c, _ = decode(data, p)
        if table[c] & STOP:
            return False
        if not table[c] & (SPACE | CLOSER):
            return True
        end = p
    return False


@kernel
def scan_line(data, i, stop, table, breaks):
    """The line that begins at byte `i` and ends before `stop`: a tuple of

    first, last   bytes of its text without the white space around; equal if there is none
    after         where the next line begins
    words         pieces between white space
    longest       characters of the longest
    sentences     see above
    seen          bits of all its characters, SQUARE and CURLY among them

    `breaks` is BREAK, or 0 if the line ends at `stop` alone.
    """
    start, words, length, longest, sentences, seen, before = i, 0, 0, 0, 0, 0, SPACE
    while i < stop:
        c = data[i]
        if c < 0x80:
            after, kind = i + 1, int64(table[c])
        else:
            point, after = decode(data, i)
            kind = int64(table[point])
            sentences += (kind & WIDE_STOP) > (before & WIDE_STOP)
        # Words begin and end every few bytes, which no processor foresees: so these lines have no branch to take
        words += before & ~kind & SPACE
        length = 0 if kind & SPACE else length + 1
        longest = max(longest, length)
        seen |= kind
        if kind & SPACE > before & (SPACE | WORD):  # the end of a word that ends in a sign
            sentences += _ends_sentence(data, start, i, table) == 1
        if kind & breaks:
            break
        before = kind
        i = after
    if i == stop and not before & SPACE:
        sentences += _ends_sentence(data, start, stop, table) == 1
    after = after_break(data, i, stop) if i < stop else stop
    first = strip_left(data, start, i, table)
    last = strip_right(data, first, i, table)
    return first, last, after, words, longest, sentences + _open_end(data, first, last, table), seen
