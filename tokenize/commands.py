"""The commands of tokenisers and token shards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from ..console import RequestError, WorkError, say

SUFFIXES = (".parquet", ".jsonl", ".jsonl.gz", ".jsonl.zst")


def register(app: typer.Typer) -> None:
    """Add `gristmill tokenizer` and `gristmill tokens`."""
    tokenizer = typer.Typer(help="Train a tokenizer, or see what one does to a text.", no_args_is_help=True)
    tokenizer.command("train")(train)
    tokenizer.command("show")(show)
    app.add_typer(tokenizer, name="tokenizer")
    tokens = typer.Typer(help="Check token shards, or see what they hold.", no_args_is_help=True)
    tokens.command("verify")(verify)
    tokens.command("stats")(stats)
    app.add_typer(tokens, name="tokens")


def train(
    inputs: Annotated[
        list[Path], typer.Option("--input", help="Parquet or JSONL(.gz, .zst) with a field `text`, or a folder.")
    ],
    output: Annotated[Path, typer.Option(help="The tokenizer.json to write.")],
    overrides: Annotated[list[str], typer.Option("--set", help="A setting, as key=value.")] = [],  # noqa: B006
    seed: Annotated[int, typer.Option(help="Seed of the draw of the sample.")] = 0,
) -> None:
    """Train a byte-level BPE tokenizer on a sample of documents; the same documents give the same file."""
    import os

    import numpy as np

    from ..config import parse_yaml, validate
    from .encoding import Encoder
    from .training import TokenizerSettings, choose_sample
    from .training import train as train_tokenizer

    data: dict[str, Any] = {}
    for line in overrides:
        key, equals, value = line.partition("=")
        if not equals:
            raise RequestError(f"--set {line}: expected key=value")
        data[key] = parse_yaml(value, f"--set {key}")
    settings, files = validate(TokenizerSettings, data, "--set"), _files(inputs)
    words, sizes = [np.empty((0, 2), np.uint64)], [np.empty(0, np.int64)]
    for keys, texts in _documents(files):
        words.append(np.frombuffer(b"".join(keys), ">u8").reshape(-1, 2).astype(np.uint64))
        sizes.append(np.array([len(text.encode()) for text in texts], np.int64))
    chosen = choose_sample(np.concatenate(words), np.concatenate(sizes), seed, settings.sample_bytes)
    if not len(chosen):
        raise RequestError(f"--input: no text of at most {settings.sample_bytes} bytes in these files")
    wanted, sample, number = set(chosen.tolist()), {}, 0
    for _, texts in _documents(files):
        sample |= {i: text for i, text in enumerate(texts, number) if i in wanted}
        number += len(texts)
    text = train_tokenizer((sample[i] for i in chosen.tolist()), settings)
    aside = output.with_name(f"{output.name}.part")
    output.parent.mkdir(parents=True, exist_ok=True)
    aside.write_text(text, encoding="utf-8")
    os.replace(aside, output)
    encoder = Encoder(text, settings.special_tokens[0])
    say(
        f"{output}: {encoder.vocabulary:,} tokens from {len(chosen):,} of {number:,} documents, sha256 {encoder.digest}"
    )


def show(
    file: Annotated[Path, typer.Argument(help="A tokenizer.json.")],
    text: Annotated[str, typer.Argument(help="The text to cut.")],
    end_of_text: Annotated[str, typer.Option(help="The token that ends a document.")] = "<|endoftext|>",
) -> None:
    """The tokens of a text, one a line: id and what it stands for."""
    import pyarrow as pa

    from .encoding import Encoder

    encoder = Encoder.open(file, end_of_text)
    for number in encoder.encode(pa.array([text]))[0].as_py():
        print(f"{number}\t{encoder.decode([number])!r}")


def verify(directory: Annotated[Path, typer.Argument(help="A directory with a manifest.json.")]) -> None:
    """Check that token shards are what their manifest says: every byte, count, id and the order of the documents."""
    from .manifest import Manifest
    from .manifest import verify as problems

    found = problems(directory)
    if found:
        raise WorkError("\n".join(found))
    shards = list(Manifest.read(directory).shards())
    rows, tokens = sum(shard.rows for _, shard in shards), sum(shard.tokens for _, shard in shards)
    say(f"{directory}: whole: {len(shards):,} shards, {rows:,} documents, {tokens:,} tokens")


def stats(directory: Annotated[Path, typer.Argument(help="A directory with a manifest.json.")]) -> None:
    """Documents, tokens, lengths and the commonest ids of token shards."""
    from .encoding import read_tokenizer
    from .manifest import Manifest
    from .stats import measure

    manifest = Manifest.read(directory)
    tokenizer = read_tokenizer(Path(directory, manifest.tokenizer.file))
    for split in ("train", "validation"):
        found = measure(directory, split)
        print(f"{split}: {found.documents:,} documents, {found.tokens:,} tokens, {found.utf8_bytes:,} bytes of text")
        if not found.documents:
            continue
        print(f"  bytes a token: {found.utf8_bytes / found.tokens:.3f}")
        shown = ", ".join(f"{percent}%: {length:,}" for percent, length in found.lengths.items())
        print(f"  tokens a document: mean {found.tokens / found.documents:.1f}; {shown}")
        for number, count in found.commonest:
            shown = tokenizer.decode([number], skip_special_tokens=False)
            print(f"  {number}\t{shown!r}\t{count:,}\t{count / found.tokens:.2%}")


def _files(inputs: list[Path]) -> list[Path]:
    """The files named, and for a folder the files in it."""
    files: list[Path] = []
    for path in inputs:
        if not path.exists():
            raise RequestError(f"--input {path}: no such file or folder")
        inside = sorted(p for p in path.iterdir() if p.name.endswith(SUFFIXES)) if path.is_dir() else [path]
        if not inside:
            raise RequestError(f"--input {path}: no {', '.join(SUFFIXES)} file in this folder")
        files += inside
    return files


def _documents(files: list[Path]) -> Iterator[tuple[list[bytes], list[str]]]:
    """(keys, texts) of the files' documents, in batches; a key is the document's own or else the hash of its text."""
    from ..document import make_key

    for path in files:
        for batch in _parquet(path) if path.suffix == ".parquet" else _jsonl(path):
            texts = [text or "" for text in batch["text"]]
            yield batch.get("key") or [make_key(None, text, {}) for text in texts], texts


def _parquet(path: Path) -> Iterator[dict[str, list]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from ..document import DOCUMENT

    try:
        file = pq.ParquetFile(path)
        if "text" not in file.schema_arrow.names:
            raise RequestError(f"--input {path}: no column `text` (found: {', '.join(file.schema_arrow.names)})")
        own = "key" in file.schema_arrow.names and file.schema_arrow.field("key").type == DOCUMENT.field("key").type
        for batch in file.iter_batches(1024, columns=["text", "key"] if own else ["text"]):
            yield batch.to_pydict()
    except pa.ArrowException as error:
        raise RequestError(f"--input {path}: cannot be read: {error}") from None


def _jsonl(path: Path) -> Iterator[dict[str, list]]:
    import io
    import json
    from itertools import islice

    import pyarrow as pa

    def texts() -> Iterator[str]:
        with io.BufferedReader(pa.input_stream(str(path)), 1 << 20) as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    record = json.loads(line)
                    if not isinstance(record, dict) or not isinstance(record.get("text"), str):
                        raise ValueError(f"line {number} is no object with a string `text`")
                    yield record["text"]

    try:
        rest = texts()
        while batch := list(islice(rest, 1024)):
            yield {"text": batch}
    except (ValueError, OSError) as error:  # damaged JSON, UTF-8 or compression
        raise RequestError(f"--input {path}: cannot be read: {error}") from None
