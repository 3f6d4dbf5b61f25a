"""What deduplication costs at size: `python -m tests.benchmarks.dedup_scale WHAT N ...`. No part of `make bench` or CI.

    signatures N             N signatures without text: bands, blocks, pairs, components, estimates, stars
    documents N WORK         N texts of about 500 bytes by edits, through `gristmill run` with the rest switched off
    boilerplate N SHARE      N texts of which this share of the words is the same in all
    chain N                  N texts, each like the next and like no other

`signatures 10000000` wants 12 GB of memory, `documents 1000000` 3 GB of disk. Prints one line of JSON: CPU seconds,
peak RSS in MB, what was found.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

CHUNK = 100_000
COPIES = 0.2


class Clock:
    """CPU seconds of this process by step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.last = time.process_time()

    def lap(self, name: str) -> None:
        now = time.process_time()
        self.seconds[name] = round(self.seconds.get(name, 0.0) + now - self.last, 2)
        self.last = now


def made_signatures(count: int, width: int, seed: int = 0) -> Iterator[np.ndarray]:
    """uint32[n, width] a chunk: a fifth of the rows agree with an earlier row of the chunk in a share of 0.5 to 1."""
    draw = np.random.default_rng(seed)
    for start in range(0, count, CHUNK):
        made = draw.integers(0, 1 << 32, (min(CHUNK, count - start), width), dtype=np.uint32)
        copies = np.flatnonzero(draw.random(len(made)) < COPIES)[1:]
        of = (draw.random(len(copies)) * copies).astype(np.int64)
        same = draw.random((len(copies), width)) < draw.uniform(0.5, 1.0, len(copies))[:, None]
        made[copies] = np.where(same, made[of], made[copies])
        yield made


def signatures(count: int) -> dict:
    """No text at all: what `candidates`, `components`, `verify` and `survivors` take."""
    from gristmill.dedup.candidates import band_hashes, large_buckets
    from gristmill.dedup.components import components
    from gristmill.dedup.settings import MinHashSettings
    from gristmill.dedup.survivors import stars
    from gristmill.dedup.together import candidate_pairs
    from gristmill.dedup.verify import verify_signatures

    settings, clock = MinHashSettings(), Clock()
    every = np.empty((count, settings.permutations), np.uint32)
    bands = np.empty((count, settings.bands), np.uint64)
    start = 0
    for made in made_signatures(count, settings.permutations):
        every[start : start + len(made)] = made
        clock.lap("make")
        bands[start : start + len(made)] = band_hashes(made, settings)
        clock.lap("bands")
        start += len(made)
    draw = np.random.default_rng(1)
    key, rank = draw.integers(0, 1 << 64, (count, 2), dtype=np.uint64), draw.integers(-9999, 0, count)
    handle = np.arange(count)
    clock.lap("make")
    pairs, big = candidate_pairs(bands, rank, key, handle, max(1, count // 1_000_000))
    clock.lap("candidates")
    nodes, label = components(pairs, big)
    clock.lap("components")
    about = (nodes, rank[nodes], key[nodes])
    found = verify_signatures(*about, every[nodes], pairs, big, settings.threshold)
    clock.lap("verify")
    dropped, _, _ = stars(*about, found.pairs, found.pairs["jaccard"], settings.threshold)
    clock.lap("stars")
    told = {"candidates": len(pairs), "components": int(label.max()) + 1, "large_buckets": large_buckets(big)}
    return {"seconds": clock.seconds, **told, "measured": len(found.pairs), "dropped": len(dropped)}


def in_memory(texts: Iterator[str]) -> dict:
    """`together.deduplicate` of texts."""
    from gristmill.dedup.together import deduplicate
    from gristmill.document import words_to_keys

    draw, batches, held = np.random.default_rng(2), [], list(texts)
    for start in range(0, len(held), 1000):
        some = held[start : start + 1000]
        keys = words_to_keys(draw.integers(0, 1 << 64, (len(some), 2), dtype=np.uint64))
        batches.append(pa.RecordBatch.from_arrays([keys, pa.array(some, pa.large_string())], ["key", "text"]))
    del held
    clock = Clock()
    found = deduplicate(batches)
    clock.lap("deduplicate")
    told = ("exact_duplicates", "near_duplicates", "large_buckets", "largest_bucket", "unmeasured")
    return {"seconds": clock.seconds, "measured": len(found.pairs)} | {name: getattr(found, name) for name in told}


def boilerplate(count: int, share: float, words: int = 100) -> Iterator[str]:
    """Texts of `words` words, the first `share` of them the same in all, the others of each its own."""
    common = " ".join(f"common{i}" for i in range(int(words * share)))
    for number in range(count):
        yield common + " " + " ".join(f"own{number}x{i}" for i in range(words - int(words * share)))


def chain(count: int, words: int = 200, step: int = 20) -> Iterator[str]:
    """Windows of one long text, each `step` words further: of each and the next the similarity is 0.82 at these values.

    Those two apart have 0.66, three apart 0.54.
    """
    for number in range(count):
        yield " ".join(f"word{i}" for i in range(number * step, number * step + words))


def documents(count: int, work: Path) -> dict:
    """The whole command, one worker."""
    from tests.benchmarks.__main__ import dedup_command, shared_data
    from tests.benchmarks.made_corpus import duplicated_documents, paragraphs, write_lines

    lines = duplicated_documents(paragraphs(shared_data()), documents=count, size=500)
    write_lines(work / "in", lines, 20_000)
    cpu, peak = dedup_command(work / "in", work / "out")
    facts = json.loads((work / "out" / "run.json").read_text())
    return {"cpu": cpu, "peak": peak, "seconds": facts["seconds"], "counts": facts["counts"]["dedup"]}


def main(what: str, count: str, *more: str) -> None:
    """One measurement, one line of JSON."""
    if what == "signatures":
        found = signatures(int(count))
    elif what == "documents":
        found = documents(int(count), Path(more[0]))
    else:
        found = in_memory(boilerplate(int(count), float(more[0])) if what == "boilerplate" else chain(int(count)))
    own = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"cpu": own.ru_utime + own.ru_stime, "peak": own.ru_maxrss / 1e3} | found))


if __name__ == "__main__":
    main(*sys.argv[1:])
