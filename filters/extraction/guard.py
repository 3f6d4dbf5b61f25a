"""Pages that would cost a parser without measure, told by one scan of their bytes before the parser sees them.

HTML lets a short page ask for much work. Each open element makes the next one dearer: the extractor looks up the
ancestors of every node, and 50,000 nested `div`, 250 kB, take a minute. Each attribute is compared with the others of
its tag. Formatting elements that were never closed are opened again in every block: 35 kB of `<font size=1>`, `<font
size=2>`, ... and then `<p>x<p>x...` become 5 million nodes and 2 GB. The four counts below bound these products, at
limits far above what people write: of 2,830 crawled pages the highest counts are 35, 8, 17,867 and 38.

The scan reads a page as the HTML standard's tokenizer does in the ordinary case (comments, quoted attributes, the raw
text of scripts), but builds no tree. So it is a guard against accidents and plain attacks, not against a page made to
fool this very scan by what only the tree decides, such as a script inside an SVG image.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numba import int64, uint64

from ...document import text_buffers
from ...text import inline, kernel

# (rule, limit), one for each column of `page_costs`: a page above any of them is not parsed.
LIMITS = (
    ("too_deep", 512),  # elements open inside one another; browsers stop nesting there too (Blink's maximum depth)
    ("too_many_unclosed", 10_000),  # formatting elements that are opened and never closed
    ("too_many_reopened", 2_000_000),  # nodes made by opening formatting elements again: some 400 bytes each
    ("too_many_attributes", 4_096),  # attributes of one tag
)

VOID = "area base basefont bgsound br col embed frame hr img input keygen link meta param source track wbr"
# Elements that the next one of their kind closes, so that they nest only through others, which are counted.
CLOSED_BY_NEXT = "html head body p li dt dd tr td th tbody thead tfoot colgroup caption option optgroup rb rt rp rtc"
FORMATTING = "b big code em font i s small strike strong tt u"
SELF_FORMATTING = "a nobr"  # formatting elements of which one at most is open
RAW = "script style textarea title xmp iframe noembed noframes"
FOREIGN = "svg math"  # where `<x/>` is closed; in HTML it is open

OPEN, IGNORED, FORMAT, TEXT, IMAGE = range(5)

FNV_BASIS, FNV_PRIME = 0xCBF29CE484222325, 0x100000001B3
NAMES = 256  # slots of the table of known names
COUNTERS = 1024  # slots that count open elements by name; two names that share one are taken for one name
REMEMBERED = 512  # formatting elements remembered at once
COPIES = 3  # how many equal formatting elements the standard opens again (its "Noah's Ark clause")

LT, GT, SLASH, BANG, QUESTION, HYPHEN, EQUALS, QUOTE, APOSTROPHE = map(ord, "<>/!?-=\"'")


def page_costs(pages: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """int64[n, 4]: what each page of a string column would cost, in the columns of `LIMITS`."""
    costs = np.zeros((len(pages), len(LIMITS)), np.int64)
    _scan(*text_buffers(pages), *_known_names(), costs)
    return costs


def _name_hash(name: str) -> int:
    h = FNV_BASIS
    for byte in name.encode():
        h = (h ^ byte) * FNV_PRIME & 0xFFFFFFFFFFFFFFFF
    return h


def _known_names() -> tuple[np.ndarray, np.ndarray]:
    """An open-addressing table (hashes uint64[NAMES], kinds uint8[NAMES]) of the names that are not simply OPEN."""
    hashes, kinds = np.zeros(NAMES, np.uint64), np.zeros(NAMES, np.uint8)
    groups = ((VOID, IGNORED), (CLOSED_BY_NEXT, IGNORED), (SELF_FORMATTING, IGNORED))
    for names, kind in (*groups, (FORMATTING, FORMAT), (RAW, TEXT), (FOREIGN, IMAGE)):
        for name in names.split():
            h = _name_hash(name)
            slot = (h >> 32) % NAMES
            while hashes[slot]:
                slot = (slot + 1) % NAMES
            hashes[slot], kinds[slot] = h, kind
    return hashes, kinds


# -- the compiled part -----------------------------------------------------------------------------------------------


@kernel
def _scan(data, offsets, hashes, kinds, costs):
    counters = np.empty(COUNTERS, np.int64)
    names, tags = np.empty(REMEMBERED, np.uint64), np.empty(REMEMBERED, np.uint64)
    for d in range(len(costs)):
        counters[:] = 0
        _scan_page(data, offsets[d], offsets[d + 1], hashes, kinds, counters, names, tags, costs[d])


@kernel
def _scan_page(data, i, end, hashes, kinds, counters, names, tags, cost):
    """`names` and `tags`: the formatting elements that wait to be opened again, by hash of the name and of the tag."""
    depth, unclosed, reopened, images, remembered = 0, 0, 0, 0, 0
    while i < end:
        if data[i] != LT:
            i += 1
            continue
        i += 1
        if i < end and (data[i] == BANG or data[i] == QUESTION):
            i = _past_comment(data, i, end)
            continue
        closing = i < end and data[i] == SLASH
        i += closing
        if not (i < end and _is_letter(data[i])):
            continue
        start, name = i, uint64(FNV_BASIS)
        while i < end and not (_is_space(data[i]) or data[i] == SLASH or data[i] == GT):
            name = (name ^ uint64(_lower(data[i]))) * uint64(FNV_PRIME)
            i += 1
        i, attributes, empty = _past_attributes(data, i, end)
        cost[3] = max(cost[3], attributes)
        kind, counter = _kind(name, hashes, kinds), int64((name >> uint64(32)) % uint64(COUNTERS))
        if kind == IGNORED:
            reopened += 0 if closing else remembered
            continue
        if closing:
            if counters[counter] > 0:
                counters[counter] -= 1
                if kind == FORMAT:
                    unclosed -= 1
                    remembered = _forget(names, tags, remembered, name)
                else:
                    depth -= 1
                    images -= kind == IMAGE
            continue
        reopened += remembered
        if kind == TEXT:
            i = _past_raw_text(data, start, i, end)
        elif kind == FORMAT:
            counters[counter] += 1
            unclosed += 1
            remembered = _remember(names, tags, remembered, name, _tag_hash(data, start, i))
        elif not (empty and images > 0):
            counters[counter] += 1
            depth += 1
            images += kind == IMAGE
        cost[0], cost[1] = max(cost[0], depth), max(cost[1], unclosed)
    cost[2] = reopened


@inline
def _lower(c):
    return c | 0x20 if 0x41 <= c <= 0x5A else c


@inline
def _is_letter(c):
    return 0x61 <= (c | 0x20) <= 0x7A


@inline
def _is_space(c):
    return c == 0x20 or 0x09 <= c <= 0x0D


@inline
def _kind(name, hashes, kinds):
    slot = int64((name >> uint64(32)) % uint64(NAMES))
    while hashes[slot] != uint64(0):
        if hashes[slot] == name:
            return kinds[slot]
        slot = (slot + 1) % NAMES
    return OPEN


@kernel
def _past_comment(data, i, end):
    """Where a comment or a declaration ends; data[i] is the `!` or `?` after its `<`."""
    if not (i + 2 < end and data[i] == BANG and data[i + 1] == HYPHEN and data[i + 2] == HYPHEN):
        while i < end and data[i] != GT:
            i += 1
        return i + 1
    i += 3
    if i < end and data[i] == GT:  # `<!-->` is a whole comment
        return i + 1
    while i < end:
        if data[i] == GT and data[i - 1] == HYPHEN and data[i - 2] == HYPHEN:
            return i + 1
        if data[i] == GT and data[i - 1] == BANG and data[i - 2] == HYPHEN and data[i - 3] == HYPHEN:
            return i + 1
        i += 1
    return i


@kernel
def _past_attributes(data, i, end):
    """(where the tag ends, how many attributes it has, whether it ends in `/>`)."""
    attributes, slash = 0, False
    while i < end:
        c = data[i]
        if c == GT:
            return i + 1, attributes, slash
        if c == SLASH or _is_space(c):
            slash = c == SLASH
            i += 1
            continue
        attributes += 1
        slash = False
        i += 1  # whatever begins a name belongs to it
        while i < end and not (_is_space(data[i]) or data[i] == SLASH or data[i] == GT or data[i] == EQUALS):
            i += 1
        j = i
        while j < end and _is_space(data[j]):
            j += 1
        if j >= end or data[j] != EQUALS:
            continue
        i = j + 1
        while i < end and _is_space(data[i]):
            i += 1
        if i < end and (data[i] == QUOTE or data[i] == APOSTROPHE):
            quote = data[i]
            i += 1
            while i < end and data[i] != quote:
                i += 1
            i += 1
        else:
            while i < end and not (_is_space(data[i]) or data[i] == GT):
                i += 1
    return i, attributes, slash


@kernel
def _past_raw_text(data, name, i, end):
    """Where the text of a script and its like ends: at `</` and the name that begins at data[name], in any case."""
    while i < end:
        if data[i] == LT and i + 1 < end and data[i + 1] == SLASH:
            j, k = i + 2, name
            while j < end and _is_letter(data[k]) and _lower(data[j]) == _lower(data[k]):
                j += 1
                k += 1
            whole = not _is_letter(data[k])
            if whole and (j >= end or _is_space(data[j]) or data[j] == SLASH or data[j] == GT):
                return i
        i += 1
    return i


@kernel
def _tag_hash(data, start, end):
    h = uint64(FNV_BASIS)
    for i in range(start, end):
        h = (h ^ uint64(data[i])) * uint64(FNV_PRIME)
    return h


@kernel
def _remember(names, tags, n, name, tag):
    """Append a formatting element; it takes the place of the oldest of three equal ones. A full list stays as it is."""
    copies, oldest = 0, 0
    for k in range(n - 1, -1, -1):
        if tags[k] == tag:
            copies += 1
            oldest = k
    if copies >= COPIES:
        n = _remove(names, tags, n, oldest)
    if n < REMEMBERED:
        names[n], tags[n] = name, tag
        n += 1
    return n


@kernel
def _forget(names, tags, n, name):
    """Remove the latest formatting element of that name."""
    for k in range(n - 1, -1, -1):
        if names[k] == name:
            return _remove(names, tags, n, k)
    return n


@kernel
def _remove(names, tags, n, k):
    for j in range(k, n - 1):
        names[j], tags[j] = names[j + 1], tags[j + 1]
    return n - 1
