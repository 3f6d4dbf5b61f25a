"""How many sentences a piece of English text has, as datatrove counts them: spaCy's sentencizer over spaCy's tokens.

A sentence ends behind a token that is one of the sentencizer's marks, and behind the punctuation that follows it; the
next token that is neither begins another, even if it is white space. No text has fewer than one.
"""

from __future__ import annotations

import numpy as np

from ...text import kernel
from .spacy_english import PUNCT, STOP
from .spacy_words import GAP, cutter


def count_sentences(data: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """int64[k]: sentences of k spans, int64[k] each, of data, uint8[bytes] of valid UTF-8.

    Equal to the length of datatrove's `split_into_sentences(text, "eng")`. Raises RequestError where spaCy is missing.
    """
    starts, ends = np.ascontiguousarray(starts, np.int64), np.ascontiguousarray(ends, np.int64)
    tokens, first, last, tail = cutter().cut(data, starts, ends)
    out = np.empty(len(starts), np.int64)
    _count(tokens.kinds, first, last, tail, out)
    return out


@kernel
def _count(kinds, first, last, tail, out):
    for k in range(len(out)):
        sentences, stopped = 1, False
        for w in range(first[k], last[k]):
            kind = kinds[w]
            if stopped and kind & GAP:
                sentences += 1
                stopped = False
            if kind & STOP:
                stopped = True
            elif stopped and not kind & PUNCT:
                sentences += 1
                stopped = False
        out[k] = sentences + (stopped and tail[k])
