"""A process that has done one small run, so that all is imported and compiled, and forks the runs of the drills.

`road_drills.forked` starts it and speaks with it: a line of JSON in is a command, two lines out are the process that
does it and its exit code. The local runner leaves no thread behind that a fork would lose; Arrow starts its own anew.
"""

from __future__ import annotations

import gc
import json
import os
import random
import sys
import tempfile
from pathlib import Path


def warm() -> None:
    """Run a recipe over forty made-up texts."""
    import road_inputs
    from gristmill.config import validate
    from gristmill.pipelines import driver
    from gristmill.pipelines.recipe import Recipe

    draw = random.Random(1)
    texts = [" ".join(draw.choice(("the", "of", f"word{draw.randrange(2000)}")) for _ in range(120)) for _ in range(30)]
    texts += [f"{text} again" for text in texts[:10]]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "few.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
        value = road_inputs.recipe([folder], Path(folder, "run"), language=None, scrub=None)
        counts = driver.run(validate(Recipe, value, "warm"))["counts"]
    assert counts["tokens"]["train"]
    assert counts["dropped"]["dedup/near_duplicate"]
    gc.collect()
    gc.freeze()  # a collection in a fork would copy every page


def child(arguments: list[str], environment: dict[str, str], log: str) -> None:
    """The command, in a process group of its own."""
    os.setsid()
    os.environ.update(environment)
    for descriptor, path in ((0, os.devnull), (1, log), (2, log)):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND), descriptor)
    from gristmill.__main__ import main

    sys.argv = ["gristmill", *arguments]
    main()


def serve() -> None:
    """Fork until nobody asks any more."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # or the library warns in every fork
    said = os.dup(1)
    os.dup2(2, 1)
    warm()
    while line := sys.stdin.readline():
        process = os.fork()
        if process == 0:
            child(**json.loads(line))
        os.write(said, f"{process}\n".encode())
        status = os.waitpid(process, 0)[1]
        os.write(said, f"{os.waitstatus_to_exitcode(status)}\n".encode())


if __name__ == "__main__":
    serve()
