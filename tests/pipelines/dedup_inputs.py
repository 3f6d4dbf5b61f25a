"""Documents with planted duplicates of every kind, and recipes of deduplication alone."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

Record = dict[str, Any]


def recipe(paths: Sequence[Path], output: Path, **dedup: Any) -> dict[str, Any]:
    """A recipe of deduplication alone, as YAML would give it."""
    off = dict.fromkeys(("extract", "language", "quality", "scrub", "tokenizer"))
    return {"input": {"paths": [str(p) for p in paths]}, "output": str(output), **off, "dedup": dedup}


def text(draw: random.Random, words: int = 80) -> str:
    """Words drawn from a large vocabulary: no two texts are alike by chance."""
    return " ".join(f"w{draw.randrange(100_000)}" for _ in range(words))


def edited(text: str, draw: random.Random, edits: int) -> str:
    """The text with some words replaced."""
    words = text.split(" ")
    for _ in range(edits):
        words[draw.randrange(len(words))] = f"e{draw.randrange(100_000)}"
    return " ".join(words)


def two_crawls(seed: int = 0, documents: int = 150) -> tuple[list[Record], list[Record]]:
    """Records of an old crawl and of a later one: in both copies, edits, edits of edits, and addresses met again."""
    draw = random.Random(seed)
    made: list[Record] = []
    for i in range(2 * documents):
        kind = draw.random()
        before = draw.choice(made) if made else None
        if before is None or kind < 0.4:
            said = text(draw)
        elif kind < 0.55:
            said = before["text"]
        else:
            said = edited(before["text"], draw, draw.choice((1, 1, 2, 3, 4)))
        url = before["url"] if before and kind > 0.95 else f"https://site-{i % 7}.example/page/{i}"
        made.append({"id": f"d{i}", "text": said, "url": url, "date": f"2024-{1 + i // 28:02d}-{1 + i % 28:02d}"})
    return made[:documents], made[documents:]


def write(folder: Path, records: Sequence[Record], files: int = 2) -> Path:
    """Records as lines, dealt to several files."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(files):
        lines = [json.dumps(record) + "\n" for record in records[number::files]]
        (folder / f"{number}.jsonl").write_text("".join(lines))
    return folder


def kept(run: Path) -> set[str]:
    """The ids of documents/."""
    return {name for path in (run / "documents").glob("*.parquet") for name in pq.read_table(path)["id"].to_pylist()}


def ledger(run: Path) -> list[dict[str, Any]]:
    """All rows, `detail` parsed."""
    rows = [row for path in sorted((run / "ledger").glob("*.parquet")) for row in pq.read_table(path).to_pylist()]
    return [row | {"detail": json.loads(row["detail"]) if row["detail"] else None} for row in rows]
