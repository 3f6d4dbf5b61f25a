"""One timed run in a process of its own, after a small one that loads what is loaded once.

`engine` is `gristmill run` with one worker; `direct` does the same units by plain calls, without Beam, so that the
difference is what Beam costs. Prints one line of JSON.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections import defaultdict
from pathlib import Path

from gristmill.pipelines import driver, phases
from gristmill.pipelines.recipe import load_recipe
from gristmill.pipelines.units import Unit, committed


def without_beam(units: list[Unit], *_: object) -> None:
    """What beam.engine.run_units does, as a loop."""
    for unit in units:
        step = phases.STEPS[unit.step]
        if committed(unit) is not None:
            continue
        if not step.shuffles:
            step.run(unit)
            continue
        groups: dict[int, list[bytes]] = defaultdict(list)
        for number in step.mappers(unit):
            for block, data in step.map(unit, number):
                groups[block].append(data)
        for block, values in groups.items():
            step.reduce(unit, block, sorted(values))
        step.commit(unit)


def main(mode: str, recipe: str, folder: str, small: str, *overrides: str) -> None:
    from gristmill.pipelines.beam import engine

    if mode == "direct":
        engine.run_units = without_beam
    settings = ["keep_work=true", *overrides]
    driver.run(load_recipe(recipe, [f"input.paths=[{small}]", f"output={folder}/{mode}-small", *settings]))
    wall, cpu = time.perf_counter(), time.process_time()
    output = Path(folder, mode)
    facts = driver.run(load_recipe(recipe, [f"input.paths=[{folder}/in]", f"output={output}", *settings]))
    counts = facts["counts"]
    found = {
        "wall": time.perf_counter() - wall,
        "cpu": time.process_time() - cpu,
        "records": counts["records"],
        "kept": counts["documents"],
        "bytes": counts["read_bytes"],
        "tokens": sum(counts.get("tokens", {}).values()),
        "seconds": facts["seconds"],
        "documents_cpu": documents_cpu(output),
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(json.dumps(found))


def documents_cpu(output: Path) -> float:
    """CPU seconds of the units of the first phase, from the journal."""
    started, total = {}, 0.0
    for line in (output / "work" / "journal.jsonl").read_text().splitlines():
        event, step, name, _, _, cpu = json.loads(line)
        if step == "documents" and event == "start":
            started[name] = cpu
        elif step == "documents":
            total += cpu - started[name]
    return total


if __name__ == "__main__":
    main(*sys.argv[1:])
