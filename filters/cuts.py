"""Spans taken out of texts, in one compiled pass over a batch: the union of what several rules cut."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from ..document import text_buffers
from ..text import kernel
from .rule import Cuts


def cut(texts: pa.Array, cuts: Sequence[Cuts]) -> pa.Array:
    """large_string[n]: `texts` without the spans of `cuts`; spans that overlap or touch are one.

    Where spans are filled, the byte of the first of them (by start, then by the order of `cuts`) stands in their place;
    an empty span with a byte puts it in. Spans must begin and end between characters, within their text. Nulls become
    empty texts.
    """
    data, offsets = text_buffers(texts)
    if not cuts:
        return texts
    rows = np.concatenate([c.rows for c in cuts])
    starts = np.concatenate([c.starts for c in cuts])
    ends = np.concatenate([c.ends for c in cuts])
    fill = np.concatenate([np.zeros(len(c.rows), np.uint8) if c.fill is None else c.fill for c in cuts])
    order = np.lexsort((starts, rows))
    out = np.empty(offsets[-1] - offsets[0] + np.count_nonzero(fill), np.uint8)
    new = np.empty(len(texts) + 1, np.int64)
    _cut(data, offsets, rows[order], starts[order], ends[order], fill[order], out, new)
    buffers = [None, pa.py_buffer(new), pa.py_buffer(out[: new[-1]])]
    return pa.Array.from_buffers(pa.large_string(), len(texts), buffers)


@kernel
def _cut(data, offsets, rows, starts, ends, fill, out, new):
    n, k, spans = 0, 0, len(rows)
    new[0] = 0
    for d in range(len(new) - 1):
        at, stop = offsets[d], offsets[d + 1]
        while k < spans and rows[k] == d:
            start, end, byte = offsets[d] + starts[k], offsets[d] + ends[k], fill[k]
            k += 1
            while k < spans and rows[k] == d and offsets[d] + starts[k] <= end:
                end = max(end, offsets[d] + ends[k])
                if byte == 0:
                    byte = fill[k]
                k += 1
            out[n : n + start - at] = data[at:start]
            n += start - at
            if byte:
                out[n] = byte
                n += 1
            at = end
        out[n : n + stop - at] = data[at:stop]
        n += stop - at
        new[d + 1] = n
