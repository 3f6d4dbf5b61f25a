"""The commands of filters: train a quality classifier."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..console import RequestError, say

if TYPE_CHECKING:
    import pyarrow as pa

MAX_RECORD_BYTES = 64 << 20  # a longer record is not learnt from

filter_app = typer.Typer(help="Filter documents, or make what filters need.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add `gristmill filter`."""
    app.add_typer(filter_app, name="filter")


@filter_app.command("train-classifier")
def train_classifier(
    good: Annotated[
        list[str],
        typer.Option(
            help="Good text: JSONL, Parquet, WET or text files (.gz, .zst), a folder or a pattern. Repeatable."
        ),
    ],
    bad: Annotated[list[str], typer.Option(help="Bad text, likewise.")],
    output: Annotated[Path, typer.Option(help="The model to write; .json and .svg beside it say what it is worth.")],
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A setting: word_ngrams, dimension, epochs, learning_rate, min_count, buckets, held_out, examples, "
            "example_characters, seed.",
        ),
    ] = None,
    threshold: Annotated[
        float, typer.Option(min=0, max=1, help="Show the held-out examples nearest to this score.")
    ] = 0.5,
    text_field: Annotated[str, typer.Option(help="The field or column that holds the text.")] = "text",
) -> None:
    """Train a fastText classifier on good and bad text, for the rule `classifier`.

    The same texts and settings give the same file. Held-out accuracy, the price of each threshold, calibration and the
    examples nearest to the threshold (personal data replaced) are printed.
    """
    import json

    from ..config import validate
    from .classifier import report
    from .classifier.training import TrainingSettings, train

    settings = validate(TrainingSettings, _overridden(overrides or []), "--set")
    if output.is_dir():
        raise RequestError(f"--output {output}: a folder; expected the name of a file")
    output.parent.mkdir(parents=True, exist_ok=True)
    sides = [_documents(name, paths, text_field) for name, paths in (("good", good), ("bad", bad))]
    trained = train(*sides, output, settings, threshold)
    found = report.measures(trained.held_out.good, trained.held_out.scores)
    facts: dict[str, Any] = {
        "labels": ["good", "bad"],
        "settings": settings.model_dump(mode="json"),
        "counts": trained.counts,
        "words": trained.words,
        "held_out": found,
        "nearest": {"threshold": threshold, "examples": trained.nearest},
    }
    _write(output.with_name(f"{output.name}.json"), json.dumps(facts, indent=2, ensure_ascii=False) + "\n")
    _write(output.with_name(f"{output.name}.svg"), report.plot(found))
    for side, counts in trained.counts.items():
        shown = ", ".join(f"{count:,} {what.replace('_', ' ')}" for what, count in counts.items())
        print(f"{side}: {shown}")
    print("\n".join(report.lines(found, trained.nearest)))
    say(f"{output}: {trained.words:,} words, {output.stat().st_size:,} bytes; {output.name}.json and .svg beside it")


def _overridden(overrides: list[str]) -> dict[str, Any]:
    from ..config import parse_yaml

    data = {}
    for line in overrides:
        key, equals, value = line.partition("=")
        if not equals:
            raise RequestError(f"--set {line}: expected key=value")
        data[key] = parse_yaml(value, f"--set {key}")
    return data


def _documents(side: str, patterns: list[str], text_field: str) -> Iterator[pa.RecordBatch]:
    """The documents of the files; those that cannot be read are counted, said and passed over. Raises RequestError."""
    from ..pipelines.readers import inputs

    options = {"text_field": text_field, "id_field": "id", "max_record_bytes": MAX_RECORD_BYTES}
    try:
        units = inputs.units(patterns, None, options)
    except RequestError as error:
        raise RequestError(f"--{side} {error}") from None
    return _read(side, units)


def _read(side: str, units: list[dict[str, Any]]) -> Iterator[pa.RecordBatch]:
    import pyarrow.compute as pc

    from ..pipelines.readers import inputs

    damaged = other = 0
    for unit in units:
        for part in inputs.read(unit):
            plain = part.batch.filter(pc.equal(part.batch.column("media"), "text/plain"))
            damaged += len(part.damaged)
            other += part.batch.num_rows - plain.num_rows
            if unit["format"] == "plain":  # a file is a document, and its name tells more than its hash
                at = plain.schema.get_field_index("id")
                plain = plain.set_column(at, plain.schema.field(at), plain.column("source"))
            yield plain
    if damaged:
        say(f"--{side}: {damaged:,} records could not be read and were passed over")
    if other:
        say(f"--{side}: {other:,} records that are not plain text were passed over; `gristmill run` extracts web pages")


def _write(path: Path, text: str) -> None:
    import os

    aside = path.with_name(f"{path.name}.part")
    aside.write_text(text, encoding="utf-8")
    os.replace(aside, path)
