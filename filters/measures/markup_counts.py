"""Lines that look like program code, and characters that are markup rather than text, counted in one compiled pass.

Code is told from prose by what prose does not have: a line that ends in a brace or in `);`, an assignment or another
operator, a keyword together with a brace or an equals sign. Markup is what a renderer would have taken away: tags and
entities of HTML, brackets and quotes of wiki text, marks and link targets of Markdown. Both are definitions of this
project, made to be cheap and to leave prose alone.
"""

from __future__ import annotations

import numpy as np

from ...text import kernel
from .lines import BREAK, line_kinds, scan_line
from .patterns import automaton, follow, state_at

COUNTS = np.dtype(
    [
        (name, np.int64)
        for name in (
            "lines",  # that are not blank
            "code_lines",
            "code_signs",  # characters of CODE_SIGNS
            "tag_characters",  # of tags and entities
            "mark_characters",  # of wiki text and Markdown
        )
    ]
)

OPENERS = (  # a line that begins with one of these is code
    *("#include ", "#include<", "#define ", "#ifdef ", "#ifndef ", "#endif", "#!/", "<?php", "<?xml", "//", "/*", "*/"),
    *("else:", "try:", "finally:", "else {", "else{", "try {", "} else", "}else", ">>> ", "console.log("),
)
KEYWORDS = (  # one that begins with one of these is, if it holds a sign of SIGNS, too, or ends in ( or ):
    *("def ", "class ", "function ", "fn ", "func ", "return ", "return(", "var ", "let ", "const ", "struct "),
    *("if ", "if(", "for ", "for(", "while ", "while(", "switch ", "catch ", "else if", "elif ", "except ", "with "),
    *("public ", "private ", "protected ", "static ", "void ", "int ", "float ", "double ", "char ", "bool "),
    *("enum ", "unsigned "),
)
OPERATORS = (" = ", " == ", "!=", "&&", "||", "->", " => ", "::", " += ", " -= ", "++;", "--;", "();", " := ", "${")
SIGNS = "={}"
IS_OPENER, IS_KEYWORD, IS_OPERATOR = range(3)
CODE_SIGNS = "{}[]()<>=;_\\|&^~$@"
LONGEST = 1000  # bytes of a tag or the target of a link


def count(data: np.ndarray, offsets: np.ndarray, active: np.ndarray) -> np.ndarray:
    """COUNTS[n] of the `active` (bool[n]) of n texts (`document.text_buffers`); zeros for the others."""
    counts = np.zeros(len(offsets) - 1, COUNTS)
    kinds = [IS_OPENER] * len(OPENERS) + [IS_KEYWORD] * len(KEYWORDS) + [IS_OPERATOR] * len(OPERATORS)
    words = automaton((*OPENERS, *KEYWORDS, *OPERATORS))
    signs = np.zeros(256, np.uint8)
    signs[list(CODE_SIGNS.encode())] = 1
    signs[list(SIGNS.encode())] |= 2
    _count(data, offsets, active, line_kinds(), words, np.array(kinds, np.uint8), signs, counts)
    return counts


@kernel
def _count(data, offsets, active, table, words, kinds, signs, counts):
    for d in range(len(counts)):
        if not active[d]:
            continue
        row = counts[d]
        i, stop = offsets[d], offsets[d + 1]
        _markup(data, i, stop, row)
        while i < stop:
            first, last, i, n, _, _, _ = scan_line(data, i, stop, table, BREAK)
            if n:
                row.lines += 1
                row.code_lines += _is_code(data, first, last, words, kinds, signs, row)


@kernel
def _is_code(data, first, last, words, kinds, signs, row):
    """Does the line data[first:last] look like code? It does, too, if it ends in one of { } }; ); ]; }, */"""
    place, sign, keyword, code = 0, 0, False, False
    for i in range(first, last):
        c = data[i]
        row.code_signs += signs[c] & 1
        sign |= signs[c]
        place = follow(words, place, c)
        if place & 1:
            state = state_at(words, place)
            s = state if words.phrase[state] >= 0 else words.shorter[state]
            while s:
                kind = kinds[words.phrase[s]]
                if kind == IS_OPERATOR:
                    code = True
                elif i + 1 - words.lengths[words.phrase[s]] == first:
                    code |= kind == IS_OPENER
                    keyword |= kind == IS_KEYWORD
                s = words.shorter[s]
    c = data[last - 1]
    b = data[last - 2] if last - 2 >= first else 0
    if keyword and (sign & 2 or c == 40 or (c == 58 and b == 41)):  # ( and ):
        return True
    closes = b == 125 or b == 41 or b == 93
    return code or c == 123 or c == 125 or (c == 59 and closes) or (c == 44 and b == 125) or (c == 47 and b == 42)


@kernel
def _points(data, i, end):
    """Characters of data[i:end]."""
    n = 0
    while i < end:
        n += (data[i] & 0xC0) != 0x80
        i += 1
    return n


@kernel
def _letter(c):
    return 97 <= c | 32 <= 122


@kernel
def _bracket(c):
    return c == 91 or c == 93 or c == 123 or c == 125


@kernel
def _tag_end(data, i, stop):
    """The end of `<[A-Za-z/!?][^<>]*>` of up to LONGEST bytes at `i`, or `i`."""
    if i + 2 >= stop or not (_letter(data[i + 1]) or data[i + 1] == 47 or data[i + 1] == 33 or data[i + 1] == 63):
        return i
    j = i + 2
    while j < min(stop, i + LONGEST):
        if data[j] == 62:
            return j + 1
        if data[j] == 60:
            return i
        j += 1
    return i


@kernel
def _entity_end(data, i, stop):
    """The end of `&(#[0-9]+|#[xX][0-9a-fA-F]+|[A-Za-z][A-Za-z0-9]*);` of up to 32 bytes at `i`, or `i`."""
    j = i + 1
    number = j < stop and data[j] == 35
    hexadecimal = number and j + 1 < stop and data[j + 1] | 32 == 120
    j += number + hexadecimal
    start = j
    while j < min(stop, i + 32):
        c = data[j]
        digit = 48 <= c <= 57
        if number:
            fits = digit or (hexadecimal and 97 <= c | 32 <= 102)
        else:
            fits = _letter(c) or (digit and j > start)
        if not fits:
            break
        j += 1
    return j + 1 if start < j < min(stop, i + 32) and data[j] == 59 else i


@kernel
def _target_end(data, i, stop):
    """The end of `](...)` of up to LONGEST bytes at `i`, without white space or brackets inside, or `i`."""
    j = i + 2
    while j < min(stop, i + LONGEST):
        c = data[j]
        if c == 41:
            return j + 1
        if c == 40 or c == 32 or 9 <= c <= 13:
            return i
        j += 1
    return i


@kernel
def _markup(data, i, stop, row):
    """Count the characters of tags and of marks."""
    start_of_line = True
    while i < stop:
        c = data[i]
        after = data[i + 1] if i + 1 < stop else 0
        end = i
        if c == 60:
            end = _tag_end(data, i, stop)
            row.tag_characters += _points(data, i, end)
        elif c == 38:
            end = _entity_end(data, i, stop)
            row.tag_characters += end - i
        elif c == 93 and after == 40:  # ](
            end = _target_end(data, i, stop)
            row.mark_characters += _points(data, i, end)
        else:
            if c == 39 or c == 61 or c == 42 or c == 95 or c == 96 or c == 126:  # '' == ** __ ` ~~
                end = i + 1
                while end < stop and data[end] == c:
                    end += 1
                if end == i + 1 and c != 96:
                    end = i
            elif after and ((after == c and _bracket(c)) or (c == 123 and after == 124) or (c == 124 and after == 125)):
                end = i + 2  # [[ ]] {{ }} {| |}
            elif c == 124 and start_of_line:
                end = i + 1
            elif c == 35 and start_of_line:
                end = i + 1
                while end < stop and data[end] == 35 and end < i + 7:
                    end += 1
                end = end + 1 if end < stop and data[end] == 32 and end <= i + 6 else i
            row.mark_characters += end - i
        start_of_line = c == 10
        i = end if end > i else i + 1
