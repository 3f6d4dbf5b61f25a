"""Exact hashes, paragraphs and Bloom filters: `python -m tests.benchmarks.paragraph_speed [MEGABYTES]`.

The corpus is real prose: documents of paragraphs drawn from the shared test data, so that two in five occur before.
Prints one line of JSON; speeds are MB of UTF-8 a second of CPU on one core, medians of ROUNDS after a first call.
"""

from __future__ import annotations

import json
import random
import resource
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from tests.benchmarks.__main__ import shared_data
from tests.benchmarks.made_corpus import paragraphs as prose

ROUNDS = 5
FILTER_HASHES = 5_000_000
HOT = 5_000_000


def seconds(go: Callable[[], object], rounds: int = ROUNDS) -> float:
    """CPU seconds of a call, the median of some after a first one."""
    go()
    spent = []
    for _ in range(rounds):
        start = time.process_time()
        go()
        spent.append(time.process_time() - start)
    return statistics.median(spent)


def corpus(megabytes: float) -> pa.RecordBatch:
    """Columns `key` and `text`."""
    from gristmill.document import words_to_keys

    source, draw, size, texts = prose(shared_data()), random.Random(0), 0, []
    while size < megabytes * 1e6:
        texts.append("\n\n".join(draw.choices(source, k=draw.randrange(2, 12))))
        size += len(texts[-1])
    keys = np.random.default_rng(0).integers(0, 1 << 64, (len(texts), 2), dtype=np.uint64)
    return pa.RecordBatch.from_arrays([words_to_keys(keys), pa.array(texts, pa.large_string())], ["key", "text"])


def speeds(batch: pa.RecordBatch) -> dict[str, float]:
    """MB/s of what reads text; microseconds a paragraph of what follows; bytes a paragraph."""
    from gristmill.dedup.exact import content_hash
    from gristmill.dedup.occurrences import OCCURRENCE, keep_list, merge, not_kept, occurrences
    from gristmill.dedup.paragraph_settings import ParagraphSettings
    from gristmill.dedup.paragraphs import edits, paragraphs
    from gristmill.document import key_words

    texts = batch.column("text")
    size = texts.nbytes / 1e6
    told: dict[str, float] = {"MB": size}
    for form in ("raw", "text", "ccnet"):
        told[f"document hash, {form}, MB/s"] = size / seconds(lambda form=form: content_hash(texts, form))
    for unit, form in (("line", "raw"), ("line", "text"), ("line", "ccnet"), ("paragraph", "ccnet")):
        options = ParagraphSettings(unit=unit, normalise=form)
        told[f"{unit}s cut and hashed, {form}, MB/s"] = size / seconds(lambda o=options: paragraphs(texts, o))

    options = ParagraphSettings()
    found = paragraphs(texts, options)
    rows, count = found.rows, len(found.rows)
    rank, key = np.zeros(len(texts), np.int64), key_words(batch.column("key"))
    sent = occurrences(found.hashes, rank[rows], key[rows], found.ordinals, rows)
    merged = merge([sent])
    keep = keep_list(merged)
    gone = not_kept(rows, found.ordinals, keep)
    told["text bytes a paragraph"] = texts.nbytes / count
    told["bytes a paragraph kept in a unit"] = sum(array.nbytes for array in found[:6]) / count
    told["bytes a different paragraph sent"] = OCCURRENCE.itemsize
    told["bytes a different paragraph back"] = keep.itemsize
    told["removed, share of paragraphs"] = float(gone.mean())
    told["merge, us a paragraph"] = 1e6 * seconds(lambda: merge([sent])) / count
    told["keep list and look-up, us a paragraph"] = (
        1e6 * seconds(lambda: not_kept(rows, found.ordinals, keep_list(merged))) / count
    )
    told["spans to cut, MB/s"] = size / seconds(lambda: edits(texts, found, gone, options))
    hot = np.zeros(HOT, OCCURRENCE)
    hot["key"] = np.random.default_rng(0).integers(0, 1 << 64, (HOT, 2), dtype=np.uint64)
    told["one line in 5 million documents, merge, s"] = seconds(lambda: merge([hot]), 1)
    return told


def filters() -> dict[str, float]:
    """Nanoseconds a hash, bits a hash and the rate, in a filter larger than the caches."""
    from gristmill.dedup.bloom import BloomFilter

    hashes = np.random.default_rng(1).integers(0, 1 << 64, (FILTER_HASHES, 2), dtype=np.uint64)
    told: dict[str, float] = {}
    BloomFilter(10, 0.1).add(hashes[:1])
    for rate in (1e-2, 1e-3, 1e-5):
        filter = BloomFilter(FILTER_HASHES, rate)
        start = time.process_time()
        filter.add(hashes)
        told[f"Bloom {rate:g}: add, ns"] = (time.process_time() - start) / FILTER_HASHES * 1e9
        told[f"Bloom {rate:g}: contains, ns"] = seconds(lambda f=filter: f.contains(hashes), 3) / FILTER_HASHES * 1e9
        told[f"Bloom {rate:g}: bits a hash"] = filter.nbytes * 8 / FILTER_HASHES
        told[f"Bloom {rate:g}: rate by bits"] = filter.rate_by_bits()
        told[f"Bloom {rate:g}: rate by 4 million probes"] = filter.rate_by_probes(4 << 20)
    return told


def in_memory(batch: pa.RecordBatch) -> dict[str, float]:
    """The whole of it, with and without a Bloom filter."""
    from gristmill.dedup.paragraph_settings import BloomSettings, ParagraphSettings
    from gristmill.dedup.paragraphs import deduplicate

    told: dict[str, float] = {}
    batches = [batch.slice(start, 1000) for start in range(0, len(batch), 1000)]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    some = batch.num_rows * 50
    sieve = BloomSettings(expected=some, rate=0.01, expected_repeated=some)
    for name, bloom in (("", None), (" with a Bloom filter", sieve)):
        spent = seconds(lambda bloom=bloom: deduplicate(batches, ParagraphSettings(bloom=bloom)), 3)
        told[f"in memory{name}, MB/s"] = batch.column("text").nbytes / 1e6 / spent
    found = deduplicate(batches, ParagraphSettings(bloom=sieve))
    told["paragraphs"], told["compared with a Bloom filter"] = found.paragraphs, found.compared
    told["false-positive rate met"] = found.false_positive_rate
    told["rise of peak RSS, bytes a paragraph"] = (
        (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / found.paragraphs
    )
    return told


def main() -> None:
    """Measure all of it."""
    batch = corpus(float(sys.argv[1]) if len(sys.argv) > 1 else 100)
    told = in_memory(batch) | speeds(batch) | filters()
    print(json.dumps({name: float(f"{value:.4g}") for name, value in told.items()}, indent=1))


if __name__ == "__main__":
    main()
