"""The command of deduplication: drop duplicates and nothing else, or look at the pairs that were measured."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..console import RequestError, say

if TYPE_CHECKING:
    from ..pipelines.recipe import Recipe

OFF = ("extract", "language", "quality", "scrub", "tokenizer")  # of a recipe: what else a run does by default
PIPE_WIDTH = 140  # columns, where the output is no terminal


def register(app: typer.Typer) -> None:
    """Add `gristmill dedup`."""
    app.command("dedup")(dedup)


def dedup(
    inputs: Annotated[
        list[str] | None, typer.Argument(metavar="PATHS", help="Files, folders or patterns to read.")
    ] = None,
    output: Annotated[str | None, typer.Option(help="The run directory to write.")] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH.TO.KEY=VALUE", help="Override one key of the recipe (YAML value)."),
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(metavar="RUN", help="An earlier run with an index: what it has seen is dropped. Repeatable."),
    ] = None,
    index: Annotated[bool, typer.Option("--index", help="Write the index that --against needs.")] = False,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    inspect: Annotated[
        str | None, typer.Option(metavar="RUN", help="Show measured pairs of such a run, their difference marked.")
    ] = None,
    near: Annotated[
        float | None, typer.Option(min=0, max=1, help="With --inspect: pairs of about this similarity first.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="With --inspect: so many pairs.")] = 10,
) -> None:
    """Drop duplicates, and nothing else; or show the pairs whose similarity is nearest to the threshold.

    Texts are taken as they are: no filter, no scrubbing of personal data.

        gristmill dedup crawl --output a --set dedup.minhash.threshold=0.8 --index

        gristmill dedup next-crawl --output b --set dedup.minhash.threshold=0.8 --against a

        gristmill dedup --inspect a --limit 4
    """
    if inspect is not None:
        if inputs or output or overrides or against or index:
            raise RequestError("--inspect: shows what a run measured; only --near and --limit go with it")
        _inspect(inspect, near, limit)
        return
    if not inputs or output is None:
        raise RequestError("expected PATHS and --output, or --inspect and a run")
    from ..pipelines import driver
    from ..pipelines.duplicates.findings import lines

    recipe, derived = _recipe(inputs, output, overrides or [], against or [], index)
    for line in _settings(recipe, derived):
        print(line)
    facts = driver.run(recipe, workers=workers)
    print(driver.summary(facts))
    for line in lines(facts):
        print(line)
    say(f"report: {output}/report.html")


def _recipe(
    inputs: list[str], output: str, overrides: list[str], against: list[str], index: bool
) -> tuple[Recipe, bool]:
    """(a recipe with everything off but deduplication, whether bands and rows are derived from the threshold)."""
    from ..config import overridden, validate
    from ..pipelines.recipe import Recipe

    data: dict[str, Any] = {"input": {"paths": inputs}, "output": output, **dict.fromkeys(OFF)}
    data = overridden(data, overrides)
    if against or index:
        told = data.setdefault("dedup", {})
        told |= {"against": against} if against else {}
        told |= {"index": True} if index else {}
    recipe = validate(Recipe, data, "gristmill dedup")
    minhash = data.get("dedup", {}).get("minhash") or {}
    return recipe, recipe.dedup.minhash is not None and "bands" in minhash and minhash["bands"] is None


def _settings(recipe: Recipe, derived: bool) -> Iterator[str]:
    """What is on, and how likely pairs are to be found."""
    import yaml

    from .scurve import curve

    settings = recipe.dedup.model_dump(mode="json", exclude_none=True)
    yield yaml.safe_dump({"dedup": settings}, sort_keys=False).rstrip()
    minhash = recipe.dedup.minhash
    if minhash is not None:
        if derived:
            yield f"bands and rows are derived from the threshold {minhash.threshold:g}"
        yield curve(minhash.bands, minhash.rows, minhash.threshold, minhash.permutations)


def _inspect(run: str, near: float | None, limit: int) -> None:
    import shutil
    import sys

    from ..pipelines.pairs import inspect

    width = shutil.get_terminal_size((PIPE_WIDTH, 24)).columns
    for line in inspect(run, near, limit, width, colour=sys.stdout.isatty()):
        print(line)
