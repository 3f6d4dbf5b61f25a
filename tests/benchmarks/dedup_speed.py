"""MinHash signatures of one corpus in a process of their own: `dedup_speed.py WHO CORPUS [DOCUMENTS]`.

WHO is `fast`, `sha1` or `xxh32` (ours; the last two are datasketch's bit for bit), `datasketch-sha1`,
`datasketch-xxh32` or `rensa`. Equal parameters: lower-cased words `\\w+`, shingles of 5 words, 112 permutations. Peers
are given what they take, Python strings, and the making of these is counted, as their users must make them; so is the
making of Arrow batches not, as readers give us these. Prints one line of JSON: CPU seconds of a first and of a second
pass (the first pays for imports and compiled code), documents, bytes.
"""

from __future__ import annotations

import json
import os
import re
import resource
import sys
import time
from collections.abc import Callable

from tests.benchmarks.made_corpus import batches, texts

NGRAM, PERMUTATIONS = 5, 112


def shingles(text: str) -> list[str]:
    """As the peers' users make them."""
    words = re.findall(r"\w+", text.lower())
    return [" ".join(words[i : i + NGRAM]) for i in range(max(1, len(words) - NGRAM + 1))]


def ours(scheme: str, documents: list[str]) -> Callable[[], None]:
    """Signatures of Arrow batches."""
    import pyarrow as pa

    columns = [pa.array(held, pa.large_string()) for held in batches(documents)]

    def go() -> None:
        from gristmill.dedup.minhash import signatures
        from gristmill.dedup.settings import MinHashSettings

        settings = MinHashSettings(scheme=scheme)
        for column in columns:
            signatures(column, settings)

    return go


def datasketch(name: str, documents: list[str]) -> Callable[[], None]:
    """Its `bulk`, a batch at a time."""

    def go() -> None:
        import datasketch

        more = {}
        if name == "xxh32":
            import xxhash

            more = {"hashfunc": xxhash.xxh32_intdigest}
        for held in batches(documents):
            sets = [[shingle.encode() for shingle in shingles(text)] for text in held]
            datasketch.MinHash.bulk(sets, num_perm=PERMUTATIONS, **more)

    return go


def rensa(documents: list[str]) -> Callable[[], None]:
    """Its RMinHash, a document at a time: its fastest way from strings."""
    os.environ.setdefault("RAYON_NUM_THREADS", "1")

    def go() -> None:
        import rensa

        for text in documents:
            sketch = rensa.RMinHash(PERMUTATIONS, 42)
            sketch.update(shingles(text))
            sketch.digest()

    return go


def main(who: str, corpus: str, limit: str | None = None) -> None:
    """Two passes, one line of JSON."""
    documents = texts(corpus, int(limit) if limit else None)
    if who == "rensa":
        go = rensa(documents)
    elif who.startswith("datasketch-"):
        go = datasketch(who.removeprefix("datasketch-"), documents)
    else:
        go = ours(who if who == "fast" else f"datasketch-{who}", documents)
    spent = []
    for _ in range(2):
        start = time.process_time()
        go()
        spent.append(time.process_time() - start)
    size = sum(len(text.encode()) for text in documents)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(json.dumps({"cpu": spent, "bytes": size, "documents": len(documents), "peak": peak}))


if __name__ == "__main__":
    main(*sys.argv[1:])
