"""Where the sentences of English texts lie, as datatrove cuts them: spaCy's sentencizer over spaCy's tokens.

`sentences.count_sentences` counts the same ends without looking for their places. A sentence reaches from the end of
the one before to the end of its last token, so that the spans of a text leave nothing out.
"""

from __future__ import annotations

import numpy as np

from ...text import decode, kernel
from .lines import SPACE, line_kinds
from .spacy_english import PUNCT, STOP
from .spacy_words import GAP, cutter


def sentence_spans(data: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(starts int64[s], ends int64[s], first int64[k + 1]) of the s sentences of k spans, int64[k] each, of data.

    All are bytes of data, uint8[bytes] of valid UTF-8; span i has sentences first[i] to first[i + 1], at least one.
    Raises RequestError where spaCy is missing.
    """
    tokens, first, last, tail = cutter().cut(data, starts, ends)
    bounds = np.empty(int((last - first).sum()) + 2 * len(starts), np.int64)
    offsets = np.zeros(len(starts) + 1, np.int64)
    used = _spans(data, starts, ends, tokens.letters, tokens.kinds, first, last, tail, line_kinds(), bounds, offsets)
    sentence_ends = bounds[:used].copy()
    sentence_starts = np.empty_like(sentence_ends)
    sentence_starts[1:] = sentence_ends[:-1]
    sentence_starts[offsets[:-1]] = starts
    return sentence_starts, sentence_ends, offsets


@kernel
def _spans(data, starts, ends, letters, kinds, first, last, tail, table, bounds, offsets):
    """Write the end of each sentence to `bounds`: how many."""
    n = 0
    for k in range(len(starts)):
        i, stopped = starts[k], False
        for w in range(first[k], last[k]):
            kind = kinds[w]
            begins = stopped and (kind & GAP or not (kind & STOP or kind & PUNCT))
            if begins:
                bounds[n] = i  # the end of the token before
                n += 1
                stopped = False
            if kind & STOP:
                stopped = True
            while i < ends[k]:
                c, after = decode(data, i)
                if not table[c] & SPACE:
                    break
                i = after
            for _ in range(letters[w]):
                _, i = decode(data, i)
        if stopped and tail[k]:
            bounds[n] = i
            n += 1
        bounds[n] = ends[k]
        n += 1
        offsets[k + 1] = n
    return n
