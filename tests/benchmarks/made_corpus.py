"""A corpus of any size, made from real prose by edits: for what depends on size, memory and speed."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import zstandard

FILES = ("classic-books-part1.jsonl.zst", "peps-part1.jsonl.zst")
DOCUMENTS_A_FILE = 1500
NEAR_DUPLICATES = 0.05  # share of documents that are another one with a word changed


def paragraphs(shared_data: Path) -> list[str]:
    """Paragraphs of books and proposals, some 17,000 of them."""
    found = []
    for name in FILES:
        data = zstandard.ZstdDecompressor().decompressobj().decompress((shared_data / "text-en" / name).read_bytes())
        for line in data.decode().splitlines():
            found += [p for p in json.loads(line)["text"].split("\n\n") if len(p) > 200]
    return found


def documents(source: list[str], megabytes: float, seed: int = 0) -> Iterator[str]:
    """JSON lines of documents of a few paragraphs each, none like another: every sixth word changes its place."""
    draw = random.Random(seed)
    size = number = 0
    words: list[str] = []
    while size < megabytes * 1e6:
        if words and draw.random() < NEAR_DUPLICATES:
            words[draw.randrange(len(words))] = "edited"
        else:
            words = "\n\n".join(draw.choices(source, k=draw.randrange(2, 8))).split(" ")
            for _ in range(len(words) // 6):
                i, j = draw.randrange(len(words)), draw.randrange(len(words))
                words[i], words[j] = words[j], words[i]
        line = json.dumps({"id": f"made-{seed}-{number}", "text": " ".join(words)}) + "\n"
        size, number = size + len(line), number + 1
        yield line


COPIES, SIMILAR = 0.05, 0.15  # shares of documents that are an earlier one again, and one with words edited
COPIED_FROM = 5000  # documents that may be copied at a time


def duplicated_documents(
    source: list[str], megabytes: float = 1e9, seed: int = 0, documents: int = 1 << 62, size: int = 3000
) -> Iterator[str]:
    """JSON lines of documents of about `size` characters with planted duplicates, up to one word in 32 edited.

    So many megabytes or documents, whichever comes first. Words change places as in `documents`, so that texts which
    are no planted duplicates have few shingles in common.
    """
    draw = random.Random(seed)
    pool = " ".join(source).split(" ")
    held: list[list[str]] = []  # what may be copied
    written = number = 0
    while written < megabytes * 1e6 and number < documents:
        what = draw.random() if held else 1.0
        words = held[draw.randrange(len(held))] if what < COPIES + SIMILAR else []
        if not words:
            start = draw.randrange(len(pool) - size)
            words = pool[start : start + draw.randrange(size // 12, size // 4)]
            for _ in range(len(words) // 6):
                i, j = draw.randrange(len(words)), draw.randrange(len(words))
                words[i], words[j] = words[j], words[i]
            if len(held) < COPIED_FROM:
                held.append(words)
            else:
                held[draw.randrange(COPIED_FROM)] = words
        elif what < SIMILAR:
            words = list(words)
            for _ in range(draw.randrange(1, 2 + len(words) // 32)):
                words[draw.randrange(len(words))] = f"edited{draw.randrange(1000)}"
        line = json.dumps({"id": f"made-{seed}-{number}", "text": " ".join(words)}) + "\n"
        written, number = written + len(line), number + 1
        yield line


PIECE = 3000  # characters, about, of a piece of a book


def real_documents(shared_data: Path, megabytes: float, seed: int = 0) -> Iterator[str]:
    """JSON lines of real prose in its own order: books and proposals in pieces, then the same with words edited.

    What filters cost depends on how soon a text is dropped, so these are texts that mostly stay.
    """
    pieces: list[str] = []
    for name in FILES:
        data = zstandard.ZstdDecompressor().decompressobj().decompress((shared_data / "text-en" / name).read_bytes())
        for line in data.decode().splitlines():
            held: list[str] = []
            for paragraph in json.loads(line)["text"].replace("\r\n", "\n").split("\n\n"):
                held.append(paragraph)
                if sum(map(len, held)) >= PIECE:
                    pieces.append("\n\n".join(held))
                    held = []
    draw = random.Random(seed)
    draw.shuffle(pieces)
    size = number = 0
    while size < megabytes * 1e6:
        text = pieces[number % len(pieces)]
        for _ in range(number // len(pieces) * 5):
            words = text.split(" ")
            words[draw.randrange(len(words))] = f"edited{draw.randrange(1000)}"
            text = " ".join(words)
        line = json.dumps({"id": f"real-{number}", "text": text}) + "\n"
        size, number = size + len(line), number + 1
        yield line


def write_real_corpus(folder: Path, shared_data: Path, megabytes: float) -> Path:
    """One file of such lines."""
    folder.mkdir(parents=True)
    with open(folder / "0000.jsonl", "w") as file:
        file.writelines(real_documents(shared_data, megabytes))
    return folder


def write_corpus(
    folder: Path, source: list[str], megabytes: float, seed: int = 0, documents_a_file: int = DOCUMENTS_A_FILE
) -> Path:
    """Several files of such lines."""
    return write_lines(folder, documents(source, megabytes, seed), documents_a_file)


def write_lines(folder: Path, lines: Iterator[str], lines_a_file: int) -> Path:
    """Files of so many lines each."""
    folder.mkdir(parents=True)
    file = None
    for number, line in enumerate(lines):
        if number % lines_a_file == 0:
            if file:
                file.close()
            file = open(folder / f"{number // lines_a_file:04d}.jsonl", "w")  # noqa: SIM115
        file.write(line)
    if file:
        file.close()
    return folder


# -- and read again ----------------------------------------------------------------------------------------------------

BATCH_DOCUMENTS, BATCH_BYTES = 1000, 4 << 20  # as the readers make them


def texts(folder: str, limit: int | None = None) -> list[str]:
    """The texts of a folder of JSON lines."""
    found: list[str] = []
    for path in sorted(Path(folder).glob("*.jsonl")):
        with open(path, encoding="utf-8") as lines:
            found += [json.loads(line)["text"] for line in lines]
    return found[:limit]


def batches(documents: list[str]) -> Iterator[list[str]]:
    """Documents in batches as they travel."""
    held: list[str] = []
    size = 0
    for text in documents:
        held.append(text)
        size += len(text)
        if len(held) >= BATCH_DOCUMENTS or size >= BATCH_BYTES:
            yield held
            held, size = [], 0
    if held:
        yield held
