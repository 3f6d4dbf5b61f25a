"""What kind of character each code point is, as one byte a code point: the compiled counts look up, Python decides.

White space, line breaks and letters are those of `str.split`, `str.splitlines` and `str.isalpha`, so that a count over
bytes means what the same words of Python would. Letters therefore follow the Unicode version of the interpreter; what
differs between versions are scripts encoded since. The symbols and the ends of sentences are datatrove's
(`utils/text.py`, Apache-2.0): a word of nothing but symbols is no word for Gopher's counts.
"""

from __future__ import annotations

from functools import cache

import numpy as np

# Bits of the table; numbers, so that kernels compile them in
SPACE, LETTER, SYMBOL, BREAK, END, ALNUM, MARK = 1, 2, 4, 8, 16, 32, 64

CODE_POINTS = 0x110000
LINE_BREAKS = "\n\v\f\r\x1c\x1d\x1e\x85\u2028\u2029"  # where str.splitlines cuts
MARKS = "#…"  # what Gopher calls symbols
PUNCTUATION = (  # a full-width 1 is among datatrove's
    "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~«´»–—’“”„…∶━►、。〈〉《》「」【】！％（），．１：；？～"
    + "".join(map(chr, [*range(9), *range(11, 32), *range(127, 160)]))
)
# fmt: off
SENTENCE_ENDS = "".join(map(chr, (
    0x0021, 0x002E, 0x003F, 0x0589, 0x061D, 0x061E, 0x061F, 0x06D4, 0x0700, 0x0701, 0x0702, 0x07F9, 0x0837, 0x0839,
    0x083D, 0x083E, 0x0964, 0x0965, 0x104A, 0x104B, 0x1362, 0x1367, 0x1368, 0x166E, 0x1735, 0x1736, 0x17D4, 0x17D5,
    0x17D6, 0x17D9, 0x17DA, 0x1803, 0x1809, 0x1944, 0x1945, 0x1AA8, 0x1AA9, 0x1AAA, 0x1AAB, 0x1B5A, 0x1B5B, 0x1B5E,
    0x1B5F, 0x1B7D, 0x1B7E, 0x1C3B, 0x1C3C, 0x1C7E, 0x1C7F, 0x203C, 0x203D, 0x2047, 0x2048, 0x2049, 0x2E2E, 0x2E3C,
    0x2E53, 0x2E54, 0x3002, 0xA4FF, 0xA60E, 0xA60F, 0xA6F3, 0xA6F7, 0xA876, 0xA877, 0xA8CE, 0xA8CF, 0xA92F, 0xA9C8,
    0xA9C9, 0xAA5D, 0xAA5E, 0xAA5F, 0xAAF0, 0xAAF1, 0xABEB, 0xFE52, 0xFE56, 0xFE57, 0xFF01, 0xFF0E, 0xFF1F, 0xFF61,
    0x10A56, 0x10A57, 0x10F55, 0x10F56, 0x10F57, 0x10F58, 0x10F59, 0x10F86, 0x10F87, 0x10F88, 0x10F89, 0x11047,
    0x11048, 0x110BE, 0x110BF, 0x110C0, 0x110C1, 0x11141, 0x11142, 0x11143, 0x111C5, 0x111C6, 0x111CD, 0x111DE,
    0x111DF, 0x11238, 0x11239, 0x1123B, 0x1123C, 0x112A9, 0x1144B, 0x1144C, 0x115C2, 0x115C3, 0x115C9, 0x115CA,
    0x115CB, 0x115CC, 0x115CD, 0x115CE, 0x115CF, 0x115D0, 0x115D1, 0x115D2, 0x115D3, 0x115D4, 0x115D5, 0x115D6,
    0x115D7, 0x11641, 0x11642, 0x1173C, 0x1173D, 0x1173E, 0x11944, 0x11946, 0x11A42, 0x11A43, 0x11A9B, 0x11A9C,
    0x11C41, 0x11C42, 0x11EF7, 0x11EF8, 0x11F43, 0x11F44, 0x16A6E, 0x16A6F, 0x16AF5, 0x16B37, 0x16B38, 0x16B44,
    0x16E98, 0x1BC9F, 0x1DA88,
)))
# fmt: on


@cache
def kinds(ends: str = SENTENCE_ENDS) -> np.ndarray:
    """uint8[0x110000]: the bits of each code point, built once a process; `ends`: what may end a line, bit END."""
    every = np.arange(CODE_POINTS, dtype=np.uint32).view("U1")  # NumPy asks the interpreter's own tables
    table = np.char.isspace(every) * np.uint8(SPACE)
    table |= np.char.isalpha(every) * np.uint8(LETTER) | np.char.isalnum(every) * np.uint8(ALNUM)
    groups = ((SYMBOL, PUNCTUATION + SENTENCE_ENDS), (BREAK, LINE_BREAKS), (END, ends), (MARK, MARKS))
    for bit, characters in groups:
        table[[ord(c) for c in characters]] |= np.uint8(bit)
    table.setflags(write=False)
    return table
