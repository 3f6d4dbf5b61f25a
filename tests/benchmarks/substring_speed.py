"""`python -m tests.benchmarks.substring_speed [MEGABYTES]`: what repeated passages cost to find, and whether all are.

Two corpora of MEGABYTES (default 100): `rare`, prose with words moved about and planted passages, a tenth of it; and
`copies`, real books and proposals of which most documents are edited copies of others. Each step is timed in CPU
seconds on one core, as a pipeline would run it over units of 16 batches; peak memory is that of `remove_repeats` in a
process of its own, above what it holds before. The last table compares what is cut with a suffix array over the same
words (pydivsufsort, where it is installed; else by naming all runs by doubling).
"""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

BATCH_BYTES, BATCHES_A_UNIT, PARTITIONS = 4 << 20, 16, 4
WORDS, BYTES = {"min_words": 50}, {"min_words": None, "min_bytes": 300}
PLANTED = 0.1  # share of the text of `rare` that is copied from elsewhere in it


def rare(shared_data: Path, megabytes: float) -> Iterator[str]:
    """Documents none like another, with passages of 60 to 300 words of earlier ones."""
    from .made_corpus import documents, paragraphs

    draw, kept = random.Random(7), []
    for line in documents(paragraphs(shared_data), megabytes * (1 - PLANTED)):
        text = json.loads(line)["text"]
        words = text.split(" ")
        if len(kept) > 100 and draw.random() < 0.5:
            other = draw.choice(kept)
            start, at = draw.randrange(len(other)), draw.randrange(len(words))
            words[at:at] = other[start : start + draw.randrange(60, 300)]
        if draw.random() < 0.1:
            kept.append(words)
        yield " ".join(words)


def copies(shared_data: Path, megabytes: float) -> Iterator[str]:
    """Real prose, and three edited copies of every document."""
    from .made_corpus import real_documents

    draw = random.Random(8)
    originals = [json.loads(line)["text"].split(" ") for line in real_documents(shared_data, megabytes / 4)]
    for copy in range(4):
        for words in originals:
            edited = list(words)
            for _ in range(3 * copy):
                edited[draw.randrange(len(edited))] = f"edited{draw.randrange(1000)}"
            yield " ".join(edited)


def batches(texts: Iterator[str]) -> list[pa.RecordBatch]:
    """Batches of `text` and a random `key`."""
    from gristmill.document import words_to_keys

    draw, found, held, size = np.random.default_rng(0), [], [], 0

    def flush() -> None:
        keys = words_to_keys(draw.integers(0, 1 << 64, (len(held), 2), dtype=np.uint64))
        found.append(pa.RecordBatch.from_arrays([pa.array(held, pa.large_string()), keys], ["text", "key"]))
        held.clear()

    for text in texts:
        held.append(text)
        size += len(text)
        if size >= BATCH_BYTES:
            flush()
            size = 0
    if held:
        flush()
    return found


class Clock:
    """CPU seconds by the name of a step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def __call__(self, name: str, call: Callable[..., Any], *arguments: Any) -> Any:
        start = time.process_time()
        result = call(*arguments)
        self.seconds[name] = self.seconds.get(name, 0.0) + time.process_time() - start
        return result


def by_steps(corpus: list[pa.RecordBatch], settings: dict) -> dict:
    """All steps as a pipeline runs them: CPU seconds of each, and the bytes that are sent."""
    from gristmill.dedup import repeats
    from gristmill.dedup.anchors import anchors, windows
    from gristmill.dedup.candidates import handles, units_and_rows
    from gristmill.dedup.substring import cuts, digests, survivor_rank
    from gristmill.dedup.substring_settings import SubstringSettings
    from gristmill.document import key_words

    chosen = SubstringSettings(**settings)
    words, length, clock = chosen.words, chosen.length, Clock()
    units = [pa.Table.from_batches(corpus[i : i + BATCHES_A_UNIT]) for i in range(0, len(corpus), BATCHES_A_UNIT)]
    columns = [list(unit.column("text").chunks) for unit in units]
    firsts = [np.cumsum([0, *map(len, chunks)]) for chunks in columns]
    sampled = [[clock("anchors", anchors, chunk, words, length) for chunk in chunks] for chunks in columns]

    def told(sample: list[tuple[np.ndarray, np.ndarray]]) -> dict[int, bytes]:
        return dict(
            repeats.anchor_blocks(repeats.thinned(np.concatenate([hashes for hashes, _ in sample])), PARTITIONS)
        )

    sent = [clock("thin", told, sample) for sample in sampled]
    known: list[list[np.ndarray]] = [[] for _ in units]
    for partition in range(PARTITIONS):
        answers = clock("repeated", repeats.repeated, [blocks.get(partition, b"") for blocks in sent])
        for mine, answer in zip(known, answers, strict=True):
            mine.append(answer)
    anchor_bytes = sum(len(block) for blocks in sent for block in blocks.values())

    gathered, blocks = [], []
    for number, unit in enumerate(units):
        again, made = np.concatenate(known[number]), []
        for chunk, sample, first in zip(columns[number], sampled[number], firsts[number], strict=False):
            rows, _ = clock("holding", repeats.holding, *sample, again)
            found = clock("windows", windows, chunk, rows, words, length, again, PARTITIONS)
            found["document"] += np.uint32(first)
            made.append(found)
        handle = handles(number, np.arange(unit.num_rows))
        rank = survivor_rank(unit.column("text"))
        gathered.append(clock("gather", repeats.gather, made, handle, rank, key_words(unit.column("key"))))
        blocks.append(clock("send", lambda g=gathered[-1]: dict(repeats.window_blocks(g))))
    window_bytes = sum(len(block) for mine in blocks for block in mine.values())
    answers: list[dict[int, np.ndarray]] = [{} for _ in units]
    for partition in range(PARTITIONS):
        present = [number for number, mine in enumerate(blocks) if partition in mine]
        found = clock("resolve", repeats.resolve, [blocks[number][partition] for number in present])
        for number, answer in zip(present, found, strict=True):
            answers[number][partition] = answer
    claimed = [
        clock("claims", repeats.claims, g, a, length, chosen.within_documents)
        for g, a in zip(gathered, answers, strict=True)
    ]
    cut_bytes = 0
    for number, unit in enumerate(units):
        text, mine = unit.column("text").combine_chunks(), claimed[number]
        _, row = units_and_rows(mine["handle"])
        clock("digests", digests, text, row, mine["unit"], mine["count"], words)
        cut = clock("cuts", cuts, text, row, mine["start"], mine["end"], chosen)
        cut_bytes += int((cut.ends - cut.starts).sum())
        theirs = np.concatenate(claimed)
        theirs = theirs[units_and_rows(theirs["of_handle"])[0] == number]
        _, row = units_and_rows(theirs["of_handle"])
        clock("digests", digests, text, row, theirs["of_unit"], theirs["count"], words)
    return {
        "seconds": clock.seconds,
        "anchor_bytes": anchor_bytes,
        "windows": sum(len(g.windows) for g in gathered),
        "window_bytes": window_bytes,
        "claims": sum(map(len, claimed)),
        "cut": cut_bytes,
    }


def in_memory(corpus: list[pa.RecordBatch], settings: dict, passes: int | None) -> dict:
    """CPU seconds of `remove_repeats`, and its peak memory above what was held before, in MB."""
    from gristmill.dedup.substring import remove_repeats
    from gristmill.dedup.substring_settings import SubstringSettings

    def resident() -> int:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize()

    remove_repeats(corpus[:1], SubstringSettings(**settings))  # compiled code and imports are loaded once
    before = peak = resident()
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.01):
            peak = max(peak, resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.process_time()
    found = remove_repeats(corpus, SubstringSettings(**settings), passes=passes)
    seconds = time.process_time() - start
    done.set()
    watcher.join()
    return {"seconds": seconds, "peak": (peak - before) / 1e6, "refused": found.refused, "passes": found.passes}


def recall(corpus: list[pa.RecordBatch], length: int) -> dict:
    """Words cut, words that a suffix array says stand earlier, and words in both."""
    from gristmill.dedup.substring import remove_repeats
    from gristmill.dedup.substring_settings import SubstringSettings
    from gristmill.document import key_words

    found = remove_repeats(corpus, SubstringSettings(min_words=length))
    texts = [text for batch in corpus for text in batch.column("text").to_pylist()]
    keys = np.concatenate([key_words(batch.column("key")) for batch in corpus])
    order = sorted(range(len(texts)), key=lambda d: (-len(texts[d]), *keys[d].tolist()))
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))

    names: dict[str, int] = {}
    parts, owner = [], []
    for d in order:
        words = [names.setdefault(word, len(names)) for word in texts[d].split()]
        parts.append(np.array([*words, -1 - d], np.int64))  # what ends a document occurs once
        owner.append(np.full(len(words) + 1, d))
    sequence, owner = np.concatenate(parts), np.concatenate(owner)
    covered, how, seconds = earlier(sequence, owner, length)

    mine = np.zeros(len(sequence), bool)
    starts = np.searchsorted(place[owner], np.arange(len(order)))
    row = 0
    for batch, cut in zip(corpus, found.cuts, strict=True):
        for r, start, end in zip(*(part.tolist() for part in cut), strict=True):
            data = texts[row + r].encode()
            first = len(data[:start].split())
            at = starts[place[row + r]] + first
            mine[at : at + len(data[start:end].decode().split())] = True
        row += batch.num_rows
    return {
        "cut": int(mine.sum()),
        "true": int(covered.sum()),
        "both": int((mine & covered).sum()),
        "how": how,
        "seconds": seconds,
    }


def earlier(sequence: np.ndarray, owner: np.ndarray, length: int) -> tuple[np.ndarray, str, float]:
    """bool[n]: units within a run of `length` that stands earlier in `sequence`; not where it overlaps the first."""
    n = len(sequence)
    start = time.process_time()
    try:
        from pydivsufsort import divsufsort, kasai
    except ImportError:
        how, group = "doubling", runs_by_doubling(sequence, length)
    else:
        how = "suffix array"
        sequence = np.unique(sequence, return_inverse=True)[1].astype(np.int32)
        suffixes = divsufsort(sequence)
        common = kasai(sequence, suffixes)  # of each suffix and the next
        group = np.empty(n, np.int64)
        group[suffixes] = np.cumsum(np.r_[0, (common < length)[: n - 1]])
    seconds = time.process_time() - start
    inside = np.zeros(n, bool)
    inside[: max(n - length + 1, 0)] = owner[: max(n - length + 1, 0)] == owner[length - 1 :]
    places = np.flatnonzero(inside)
    _, first, which = np.unique(group[places], return_index=True, return_inverse=True)
    first = places[first][which]
    copied = places[(owner[first] != owner[places]) | (places >= first + length)]
    change = np.zeros(n + 1, np.int64)
    np.add.at(change, copied, 1)
    np.add.at(change, copied + length, -1)
    ends = np.r_[owner[1:] != owner[:-1], True]
    return (np.cumsum(change)[:n] > 0) & ~ends, how, seconds


def runs_by_doubling(sequence: np.ndarray, length: int) -> np.ndarray:
    """int64[n]: equal where the runs of `length` that begin there are (Karp, Miller and Rosenberg 1972)."""
    names, step = np.unique(sequence, return_inverse=True)[1].astype(np.int64), 1
    while step < length:
        on = min(step, length - step)
        names = np.unique(names * len(names) + np.r_[names[on:], np.full(on, len(names) - 1)], return_inverse=True)[1]
        step += on
    return names


def one(mode: str, corpus: str, settings: str, megabytes: str, *more: str) -> None:
    """One measurement in a process of its own, as a line of JSON."""
    from .__main__ import shared_data

    made = batches({"rare": rare, "copies": copies}[corpus](shared_data(), float(megabytes)))
    size = sum(pc.sum(pc.binary_length(batch.column("text"))).as_py() for batch in made)
    chosen = json.loads(settings)
    if mode == "steps":
        by_steps(made[:1], chosen)
        found = by_steps(made, chosen)
    elif mode == "memory":
        found = in_memory(made, chosen, int(more[0]) or None)
    else:
        found = recall(made, chosen["min_words"])
    print(json.dumps({"bytes": size, **found}))


def measured(mode: str, corpus: str, settings: dict, megabytes: float, *more: object) -> dict:
    """`one` in a new process."""
    command = [sys.executable, "-m", "tests.benchmarks.substring_speed", mode, corpus, json.dumps(settings)]
    done = subprocess.run([*command, str(megabytes), *map(str, more)], stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout)


def heading(columns: str) -> None:
    """The first two lines of a table."""
    print(f"| {columns} |\n{'|---' * (columns.count('|') + 1)}|")


def main(megabytes: float) -> None:
    heading("corpus, unit | step | CPU s | MB/s")
    facts = []
    for corpus in ("rare", "copies"):
        for unit, settings in (("50 words", WORDS), ("300 bytes", BYTES)):
            found = measured("steps", corpus, settings, megabytes)
            size = found["bytes"] / 1e6
            for step, seconds in [*found["seconds"].items(), ("all", sum(found["seconds"].values()))]:
                print(f"| {corpus}, {unit} | {step} | {seconds:.2f} | {size / max(seconds, 1e-9):.0f} |", flush=True)
            memory = [measured("memory", corpus, settings, megabytes, passes) for passes in (1, 0)]
            numbers = [f"{size:.0f}", f"{found['cut'] / size / 1e4:.1f} %"]
            numbers += [f"{found[sent] / size:,.0f}" for sent in ("anchor_bytes", "window_bytes")]
            numbers += [f"{found['claims']:,}"]
            numbers += [f"{memory[0][what]:.1f} / {memory[1][what]:.1f}" for what in ("passes", "peak", "seconds")]
            facts.append(f"| {corpus}, {unit} | {' | '.join(numbers)} |")
    print("\n`remove_repeats` in one pass / by default; bytes sent a MB of text:\n")
    heading("corpus, unit | MB | cut | of anchors | of windows | claims | passes | peak MB | CPU s")
    print(*facts, sep="\n")
    print()
    heading("corpus | words cut | that stand earlier | recall | precision | by | its CPU s")
    for corpus in ("rare", "copies"):
        found = measured("recall", corpus, WORDS, min(megabytes, 20))
        print(
            f"| {corpus} | {found['cut']:,} | {found['true']:,} | {found['both'] / found['true']:.6f} "
            f"| {found['both'] / found['cut']:.6f} | {found['how']} | {found['seconds']:.1f} |"
        )


if __name__ == "__main__":
    if len(sys.argv) > 2:
        one(*sys.argv[1:])
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 100)
