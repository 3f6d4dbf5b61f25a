"""The commands of scrubbing: replace personal data and nothing else, measure how much of them is found."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...console import Progress, RequestError, say

if TYPE_CHECKING:
    from .labelled import Labelled
    from .settings import ScrubSettings

# Of a recipe: what else a run does by default
OFF = ("extract", "language", "quality", "tokenizer")
OFF_IN_DEDUP = ("exact", "minhash")

SHOWN = 10  # mistakes of a kind

scrub_app = typer.Typer(no_args_is_help=True, invoke_without_command=True)


def register(app: typer.Typer) -> None:
    """Add `gristmill scrub`."""
    app.add_typer(scrub_app, name="scrub")


@scrub_app.callback()
def scrub(
    context: typer.Context,
    inputs: Annotated[
        list[str] | None, typer.Option("--input", help="Files, folders or patterns to read. Repeatable.")
    ] = None,
    output: Annotated[str | None, typer.Option(help="The run directory to write.")] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH.TO.KEY=VALUE", help="Override one key of the recipe (YAML value)."),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
) -> None:
    """Replace personal data, and nothing else; or measure how much of them is found.

    Texts are taken as they are: no filter, no deduplication.

        gristmill scrub --input crawl --output a --set scrub.min_score=0.5

        gristmill scrub evaluate --truth labelled.jsonl
    """
    if context.invoked_subcommand is not None:
        return
    if not inputs or output is None:
        raise RequestError("expected --input and --output, or the command evaluate")
    from ...config import overridden, validate
    from ...pipelines import driver
    from ...pipelines.recipe import Recipe

    data: dict[str, Any] = {"input": {"paths": inputs}, "output": output, **dict.fromkeys(OFF)}
    data["dedup"] = dict.fromkeys(OFF_IN_DEDUP)
    facts = driver.run(validate(Recipe, overridden(data, overrides or []), "gristmill scrub"), workers=workers)
    print(driver.summary(facts))
    say(f"report: {output}/report.html")


@scrub_app.command("kinds")
def kinds() -> None:
    """The kinds of personal data that `scrub.kinds` and `scrub.names.kinds` may name."""
    from .catalogue import CATALOGUE, NAME_KINDS

    for kind, entry in CATALOGUE.items():
        found = "by a model of names" if kind in NAME_KINDS else "by default" if entry.default else "if asked for"
        where = f", in documents in {' and '.join(entry.languages)}" if entry.languages else ""
        word = ", beside a word that names it" if entry.weak else ""
        print(f"{kind:<32}{found}{where}{word}")


@scrub_app.command("evaluate")
def evaluate(
    truth: Annotated[
        list[str],
        typer.Option(
            metavar="FILE",
            help='Texts with their personal data marked: JSONL of {"text", "spans": [{"start", "end", "kind"}]}, or '
            "JSON of presidio-research (.gz, .zst). Repeatable.",
        ),
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="scrub.KEY=VALUE", help="Override one key of scrubbing (YAML value)."),
    ] = None,
    labels: Annotated[
        list[str] | None,
        typer.Option("--label", metavar="GPE=LOCATION", help="What a kind of the texts is called here. Repeatable."),
    ] = None,
    plain_presidio: Annotated[
        bool, typer.Option(help="Search by Presidio's AnalyzerEngine as it is, for comparison.")
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help=f"Show every mistake, not only {SHOWN} of a kind and sort.")
    ] = False,
) -> None:
    """Precision, recall and F2 of the search for personal data, on texts in which they are marked.

    Exact: a finding and a marked span are the same characters. Overlapping: they share one. Both for each kind,
    overall and by `language` where the records have one. What was missed and what was found in vain is shown with the
    text around it: the output holds personal data if the texts do.
    """
    from . import evaluation
    from .labelled import read_labelled

    settings = _settings(overrides or [])
    search = (evaluation.plain_presidio if plain_presidio else evaluation.scrubber)(settings)
    with Progress("search", None, "texts") as progress:
        found = evaluation.evaluate(
            _counted(read_labelled(truth, _labels(labels or [])), progress), search, settings.all_kinds
        )
    for line in evaluation.lines(found, None if everything else SHOWN):
        print(line)


def _counted(texts: Iterator[Labelled], progress: Progress) -> Iterator[Labelled]:
    for text in texts:
        yield text
        progress.advance(1)


def _labels(given: list[str]) -> dict[str, str]:
    labels = dict(label.partition("=")[::2] for label in given)
    if not all(labels) or not all(labels.values()):
        raise RequestError("--label: expected THEIRS=OURS, as in --label GPE=LOCATION")
    return labels


def _settings(overrides: list[str]) -> ScrubSettings:
    from ...config import overridden, validate
    from .settings import ScrubSettings

    data = overridden({"scrub": {}}, overrides)
    if data.keys() != {"scrub"} or not isinstance(data["scrub"], dict):
        raise RequestError("--set: only the keys of `scrub` count here, as in --set scrub.min_score=0.5")
    return validate(ScrubSettings, data["scrub"], "--set scrub")
