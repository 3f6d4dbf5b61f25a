"""The commands of filters: filter documents, decide again from what was measured, train a quality classifier."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..console import RequestError, say
from .pii import commands as scrubbing

if TYPE_CHECKING:
    import pyarrow as pa

MAX_RECORD_BYTES = 64 << 20  # a longer record is not learnt from

filter_app = typer.Typer(no_args_is_help=True, invoke_without_command=True)


def register(app: typer.Typer) -> None:
    """Add `gristmill filter` and `gristmill scrub`."""
    app.add_typer(filter_app, name="filter")
    scrubbing.register(app)


@filter_app.callback()
def filter_documents(
    context: typer.Context,
    output: Annotated[str | None, typer.Option(help="The run directory to write.")] = None,
    recipe: Annotated[str | None, typer.Option(help="A recipe, of which the filters are run and nothing else.")] = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option("--input", help="Files, folders or patterns, for those of the recipe. Repeatable."),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option("--from", metavar="RUN", help="Decide again from the signals of such a run, reading no text."),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH.TO.KEY=VALUE", help="Override one key of the recipe (YAML value)."),
    ] = None,
    all_signals: Annotated[
        bool, typer.Option("--all-signals", help="Measure every rule on every document, so that --from can loosen any.")
    ] = False,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Read at most so many records, spread over the input.")
    ] = None,
) -> None:
    """Filter documents by a recipe's rules, and nothing else; or decide again from what such a run measured.

    What a rule asks can be tuned without reading the text again:

        gristmill filter --recipe web --input crawl --output a --all-signals

        gristmill filter --from a --output b --set quality.gopher_quality.min_words=100
    """
    if context.invoked_subcommand is not None:
        return
    from ..pipelines import driver, refilter

    if output is None:
        raise RequestError("--output: expected the run directory to write")
    sets = list(overrides or ())
    if source is not None:
        if recipe is not None or inputs or all_signals or limit is not None:
            raise RequestError("--from: its run has the recipe and the input; only --set and --output go with it")
        facts = refilter.refilter(source, refilter.changed(source, sets, output))
    elif recipe is None:
        raise RequestError("expected --recipe and --input, or --from a run of this command")
    else:
        import json

        sets += [f"output={json.dumps(output)}", *(["all_signals=true"] if all_signals else [])]
        sets += [f"input.paths={json.dumps(inputs)}"] if inputs else []
        facts = driver.run(refilter.filters_alone(recipe, sets), workers=workers, limit=limit)
    print(driver.summary(facts))
    say(f"report: {facts['recipe']['output']}/report.html")


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
