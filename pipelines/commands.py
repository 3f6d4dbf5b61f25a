"""The commands of the road: run, plan, explain, report, schema, gather."""

from __future__ import annotations

from typing import Annotated

import typer

Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH.TO.KEY=VALUE", help="Override one key of the file (YAML value)"),
]


def register(app: typer.Typer) -> None:
    """Add the commands of this room."""
    app.command("run", context_settings={"ignore_unknown_options": False})(run)
    app.command("plan")(plan)
    app.command("explain")(explain)
    app.command("report")(report)
    app.command("schema")(schema)
    app.command("gather")(gather)


def run(
    recipe: Annotated[str, typer.Argument(help="A recipe: a YAML file, or the name of one that ships (web, text)")],
    beam_options: Annotated[list[str] | None, typer.Argument(help="Beam's own options, after --")] = None,
    overrides: Set = None,
    runner: Annotated[str, typer.Option(help="local, portable, spark, flink")] = "local",
    workers: Annotated[int, typer.Option(min=1, help="Processes of the local runner")] = 1,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Read at most so many records, spread over the input")
    ] = None,
    sample: Annotated[str | None, typer.Option(help="Keep this share of the records, drawn by key: 1% or 0.01")] = None,
) -> None:
    """Raw text to documents, ledger, token shards and a report. Run again, it goes on where it stopped."""
    from ..console import RequestError, say
    from . import driver
    from .recipe import load_recipe

    if runner not in ("local", "portable", "spark", "flink", "dataflow"):
        raise RequestError(f"--runner {runner}: expected local, portable, spark, flink or dataflow")
    facts = driver.run(
        load_recipe(recipe, overrides or ()),
        runner=runner,
        workers=workers,
        limit=limit,
        sample=_share(sample),
        options=beam_options or (),
    )
    print(driver.summary(facts))
    say(f"report: {facts['recipe']['output']}/report.html")


def plan(
    recipe: Annotated[str, typer.Argument(help="A recipe: a YAML file, or the name of one that ships (web, text)")],
    overrides: Set = None,
    sample: Annotated[str, typer.Option(help="Share of the records, drawn by key: 1% or 0.01")] = "1%",
) -> None:
    """What a run would find and cost: documents, candidate pairs, bytes through the shuffles, time, disk.

    All records are read, and of the sample it is told what the whole would be. Nothing is kept.
    """
    from .plan import lines, predict
    from .recipe import load_recipe

    for line in lines(predict(load_recipe(recipe, overrides or ()), _share(sample))):
        print(line)


def _share(text: str | None) -> float | None:
    from ..console import RequestError

    if text is None:
        return None
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise RequestError(f"--sample {text}: expected a share above 0 and at most 1, such as 1% or 0.01")
    return share


def explain(
    run_directory: Annotated[str, typer.Argument(metavar="RUN", help="A run directory")],
    name: Annotated[str, typer.Argument(metavar="ID|KEY|SOURCE:RECORD", help="Which record")],
) -> None:
    """Why one record was kept, dropped or changed, and where its tokens are."""
    from .explain import explain as lines

    for line in lines(run_directory, name):
        print(line)


def report(run_directory: Annotated[str, typer.Argument(metavar="RUN", help="A run directory")]) -> None:
    """Write report.html of a whole run again."""
    from pathlib import Path

    from ..config import validate
    from .driver import load_facts
    from .finish import write_text
    from .recipe import Recipe
    from .report.build import build

    facts = load_facts(run_directory)
    recipe = validate(Recipe, facts["recipe"], "run.json")
    path = Path(run_directory, "report.html")
    write_text(path, build(run_directory, recipe, facts))
    print(path)


def schema(kind: Annotated[str, typer.Argument(help="recipe or train")]) -> None:
    """Print the JSON Schema of a recipe or a training configuration, for editors."""
    from ..config import schema as text
    from ..console import RequestError

    if kind == "recipe":
        from .recipe import Recipe as model
    elif kind == "train":
        from ..trainer.settings import TrainSettings as model
    else:
        raise RequestError(f"{kind}: expected recipe or train")
    print(text(model), end="")


def gather(output: Annotated[str, typer.Argument(metavar="FOLDER", help="Receives JSON lines")]) -> None:
    """Collect the text that this machine has: docstrings, documentation, licences, package descriptions."""
    from .gather import gather as collect

    collect(output)
