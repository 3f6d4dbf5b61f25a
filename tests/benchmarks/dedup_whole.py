"""From JSONL to survivors by one tool, in a process of its own: `dedup_whole.py WHO CORPUS WORK`.

WHO is `together` (ours, the call in memory), `rensa` (its LSH alone, nothing verified), `rensa-verified` (its own
class, which compares sketches), `datatrove` (all four steps) or `text-dedup` (its command). CORPUS is a folder of
JSONL, WORK a folder to be made. Equal parameters: lower-cased words, shingles of 5, 14 bands of 8 rows; the rest as
each tool's documentation has it. On one core. Prints one line of JSON: CPU seconds of the process and its children from
the start, the part of it before the first document is read, peak RSS, documents, bytes of text, those kept.
"""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

BANDS, ROWS, NGRAM, THRESHOLD = 14, 8, 5, 0.7
ONE_CORE = ("RAYON_NUM_THREADS", "RENSA_NUM_THREADS", "OMP_NUM_THREADS")
BATCH = 1000


def lines(folder: str | Path) -> Iterator[bytes]:
    """The lines of a folder of JSONL."""
    for path in sorted(Path(folder).glob("*.jsonl")):
        with open(path, "rb") as file:
            yield from file


def together(corpus: str, work: Path) -> tuple[float, int]:
    """Ours: batches from lines, one call, the lines of survivors."""
    import hashlib

    import orjson
    import pyarrow as pa
    from gristmill.dedup.together import deduplicate

    start, held, batches = time.process_time(), list(lines(corpus)), []
    for first in range(0, len(held), BATCH):
        some = held[first : first + BATCH]
        keys = pa.array([hashlib.blake2b(line, digest_size=16).digest() for line in some], pa.binary(16))
        texts = pa.array([orjson.loads(line)["text"] for line in some], pa.large_string())
        batches.append(pa.RecordBatch.from_arrays([keys, texts], ["key", "text"]))
    stays = (deduplicate(batches).kept < 0).tolist()
    with open(work / "survivors.jsonl", "wb") as out:
        out.writelines(line for line, stay in zip(held, stays, strict=True) if stay)
    return start, sum(stays)


def rensa(corpus: str, work: Path, verified: bool) -> tuple[float, int]:
    """A loop over lines, as its README shows."""
    import orjson
    from rensa import RMinHash, RMinHashDeduplicator, RMinHashLSH

    start, kept, permutations, words = time.process_time(), 0, BANDS * ROWS, re.compile(r"\w+")
    lsh = RMinHashLSH(threshold=THRESHOLD, num_perm=permutations, num_bands=BANDS)
    seen = RMinHashDeduplicator(threshold=THRESHOLD, num_perm=permutations, use_lsh=True, num_bands=BANDS)
    with open(work / "survivors.jsonl", "wb") as out:
        for number, line in enumerate(lines(corpus)):
            found = words.findall(orjson.loads(line)["text"].lower())
            sketch = RMinHash(permutations, 42)
            sketch.update([" ".join(found[i : i + NGRAM]) for i in range(max(1, len(found) - NGRAM + 1))])
            if verified:
                new = seen.add(str(number), sketch)
            else:
                new = not lsh.query(sketch)
                if new:
                    lsh.insert(number, sketch)
            if new:
                out.write(line)
                kept += 1
    return start, kept


def datatrove(corpus: str, work: Path) -> tuple[float, int]:
    """Its four steps, as its example `minhash_deduplication.py` has them; a file a task."""
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.dedup import minhash
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers.jsonl import JsonlWriter
    from datatrove.utils.hashing import HashConfig

    start = time.process_time()
    hashes = HashConfig(precision=64)
    config = minhash.MinhashConfig(n_grams=NGRAM, num_buckets=BANDS, hashes_per_bucket=ROWS, hash_config=hashes)
    signatures, buckets, removed, out = (str(work / name) for name in ("signatures", "buckets", "removed", "out"))
    steps = [
        [JsonlReader(corpus), minhash.MinhashDedupSignature(signatures, config=config)],
        [minhash.MinhashDedupBuckets(signatures, buckets, config=config)],
        [minhash.MinhashDedupCluster(buckets, removed, config=config)],
        [JsonlReader(corpus), minhash.MinhashDedupFilter(removed), JsonlWriter(out, compression=None)],
    ]
    files = len(list(Path(corpus).glob("*.jsonl")))
    for number, (pipeline, tasks) in enumerate(zip(steps, (files, BANDS, 1, files), strict=True)):
        LocalPipelineExecutor(pipeline, tasks=tasks, workers=1, logging_dir=str(work / f"log-{number}")).run()
    return start, sum(1 for _ in lines(out))


def text_dedup(corpus: str, work: Path) -> tuple[float, int]:
    """Its command; short documents stay, as they do in the others."""
    options = {
        "path": "json",
        "data_files": f"{corpus}/*.jsonl",
        "split": "train",
        "cache_dir": work / "cache",
        "output": work / "out",
        "column": "text",
        "batch_size": BATCH,
        "num_proc": 1,
        "ngram": NGRAM,
        "min_length": 0,
        "num_perm": BANDS * ROWS,
        "b": BANDS,
        "r": ROWS,
        "threshold": THRESHOLD,
        "hash_func": "xxh3",
        "hash_bits": 64,
    }
    command = [sys.executable, "-m", "text_dedup.minhash"]
    command += [word for name, value in options.items() for word in (f"--{name}", str(value))]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=work)
    told = re.search(r"After\s+:(?:\s+\S+\.py:\d+)?\s+(\d+)", done.stderr + done.stdout)
    return 0.0, int(told[1])


def own_peak() -> int:
    """KB that this process held at most. `getrusage` counts what the process that started it held before."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])


def main(who: str, corpus: str, work: str) -> None:
    """One tool, one line of JSON."""
    os.environ.update(dict.fromkeys(ONE_CORE, "1"))
    folder = Path(work)
    folder.mkdir(parents=True)
    if who == "together":
        start, kept = together(corpus, folder)
    elif who.startswith("rensa"):
        start, kept = rensa(corpus, folder, who == "rensa-verified")
    else:
        start, kept = {"datatrove": datatrove, "text-dedup": text_dedup}[who](corpus, folder)
    used = [resource.getrusage(of) for of in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    told = {"cpu": sum(of.ru_utime + of.ru_stime for of in used), "start": start, "kept": kept}
    told["peak"] = max(own_peak(), used[1].ru_maxrss) / 1e3
    sizes = [len(json.loads(line)["text"].encode()) for line in lines(corpus)]
    print(json.dumps(told | {"documents": len(sizes), "bytes": sum(sizes)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
