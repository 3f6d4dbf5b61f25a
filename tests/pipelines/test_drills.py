"""Runs that are killed and run again: the same bytes as undisturbed, nothing committed is done twice, no litter."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time
from pathlib import Path

import pytest
import road_inputs
from road_drills import (
    KILLED,
    STEPS,
    committed,
    finished,
    forked,
    group_is_gone,
    log_of,
    members,
    started,
    starts,
    until,
)
from road_results import every_file, files, journal

UNITS = 12  # files of input, each a unit of the steps that follow the input


@pytest.fixture(scope="module")
def drill_recipe(lines, tmp_path_factory):
    """Folder -> the recipe of the drills: no models to load, and several units or files in every step."""
    folder = tmp_path_factory.mktemp("drill-input")
    near = [line for line in lines if line.startswith((b'{"id": "edit-', b'{"id": "notice-'))]
    chosen = random.Random(2).sample([*near, *lines[:150]], len(near) + 150)
    road_inputs.write_lines(folder, road_inputs.cut(chosen, UNITS), "part-{:02d}.jsonl".format)

    def recipe(run: Path) -> dict:
        return road_inputs.recipe(
            [folder],
            run / "run",
            language=None,
            scrub=None,
            dedup={"memory_bytes": 1 << 20, "minhash": road_inputs.NEAR | {"bands": 28, "rows": 4}},
            tokens={"shard_tokens": 8000, "validation": 0.1},
        )

    return recipe


@pytest.fixture(scope="module")
def whole(drill_recipe, tmp_path_factory) -> Path:
    """The undisturbed run of the drills."""
    value = drill_recipe(tmp_path_factory.mktemp("whole"))
    assert forked(value) == 0, log_of(value)
    run = Path(value["output"])
    units = {step: len(list((run / "work" / "manifests" / step).iterdir())) for step in STEPS}
    assert units["documents"] == units["shingles"] == units["corpus"] == units["encode"] == UNITS
    assert units["candidates"] > 1
    assert units["verify"] > 1
    assert units["shards"] > 3
    return run


def check(run: Path, whole: Path) -> None:
    """The run is whole, and every file under it is the undisturbed one's: results, work, manifests; nothing besides."""
    found, wanted = every_file(run), every_file(whole)
    assert found.keys() == wanted.keys()
    assert [name for name in wanted if found[name] != wanted[name]] == []


class Watch:
    """Sees that no unit that is committed is started again."""

    def __init__(self, run: Path):
        self.run, self.done, self.lines = run, set(), 0

    def look(self) -> set[tuple[str, str]]:
        """The units started since the last look."""
        new = {(step, unit) for _, step, unit, *_ in starts(self.run)[self.lines :]}
        assert new & self.done == set(), "committed units were done again"
        self.lines, self.done = len(starts(self.run)), committed(self.run)
        return new


# -- one process, killed where it writes and commits -----------------------------------------------------------------

IN_A_ROW = [
    *("documents:open:4", "documents:renamed:13", "documents:manifest:2", "documents:committed:3"),
    "documents:manifest:5",  # five units are left and done: this is the step's own file
    *("exact:block:1", "exact:renamed:1", "candidates:block:3", "candidates:committed:1", "components:renamed:1"),
    *("shingles:written:2", "verify:open:1", "verify:manifest_written:2", "corpus:renamed:8", "corpus:open:3"),
    *("tokenizer:written:1", "encode:manifest:2", "shards:committed:2", "shards:manifest_written:2"),
]


def test_killed_again_and_again(drill_recipe, whole, tmp_path):
    """One run dies twenty times, in every step; each time it goes on, and at last it is whole."""
    value = drill_recipe(tmp_path)
    run, begun = Path(value["output"]), set()
    watch = Watch(run)
    for point in IN_A_ROW:
        assert forked(value, point) == KILLED, f"{point} was not reached: {log_of(value)}"
        begun |= watch.look()
    assert forked(value) == 0, log_of(value)
    begun |= watch.look()
    check(run, whole)
    assert begun == set(journal(whole, "start"))
    assert all(step in {point.split(":")[0] for point in IN_A_ROW} for step in STEPS)


def fail_points(step: str, whole: Path) -> list[str]:
    """Every fail point of a step, at its first passing, at its last and half way, as a whole run passed them."""
    manifests = [json.loads(path.read_text()) for path in (whole / "work" / "manifests" / step).iterdir()]
    times = dict.fromkeys(("open", "written", "renamed"), sum(len(manifest["files"]) for manifest in manifests))
    times |= dict.fromkeys(("manifest", "manifest_written", "committed"), len(manifests))
    if step in ("exact", "candidates"):  # the reducers of a shuffle write their files before the unit adopts them
        blocks = times.pop("open")
        times["block"] = blocks
        times["manifest"] = times["manifest_written"] = blocks + len(manifests)  # each file has an index beside it
    times["manifest"] += 1  # the step's own file
    return [f"{step}:{name}:{n}" for name, most in times.items() for n in sorted({1, (most + 1) // 2, most})]


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS)
def test_every_fail_point(step, drill_recipe, whole, tmp_path):
    """Each point on its own: a run that came to the step and no further is killed there, and run again."""
    points = fail_points(step, whole)
    begun = drill_recipe(tmp_path / "begun")
    assert forked(begun, next(point for point in points if point.endswith(("open:1", "block:1")))) == KILLED
    for number, point in enumerate(points):
        value = drill_recipe(tmp_path / str(number))
        shutil.copytree(begun["output"], value["output"])
        assert forked(value, point) == KILLED, f"{point} was not reached: {log_of(value)}"
        watch = Watch(Path(value["output"]))
        watch.look()
        assert forked(value) == 0, log_of(value)
        watch.look()
        check(Path(value["output"]), whole)


def _at_random(value: dict, draw: random.Random, times: int, longest: float, whole: Path) -> None:
    """Kill a run so many times, each time after a share of `longest` seconds."""
    watch = Watch(Path(value["output"]))
    for _ in range(times):
        code = forked(value, kill_after=draw.uniform(0.1, 0.9) * longest)
        assert code in (0, KILLED), log_of(value)
        watch.look()
    assert forked(value) == 0, log_of(value)
    watch.look()
    check(Path(value["output"]), whole)


@pytest.fixture(scope="module")
def seconds(drill_recipe, whole, tmp_path_factory) -> float:
    """How long a run takes on this machine."""
    begin = time.monotonic()
    assert forked(drill_recipe(tmp_path_factory.mktemp("timed"))) == 0
    return time.monotonic() - begin


def test_killed_at_random_moments(drill_recipe, whole, seconds, tmp_path):
    """Four deaths wherever they find it."""
    _at_random(drill_recipe(tmp_path), random.Random(20), 4, seconds, whole)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_killed_at_many_random_moments(seed, drill_recipe, whole, seconds, tmp_path):
    draw = random.Random(seed)
    for turn in range(4):
        _at_random(drill_recipe(tmp_path / str(turn)), draw, 3, 1.1 * seconds, whole)


# -- two workers -----------------------------------------------------------------------------------------------------


def _group_drill(value: dict, point: str, whole: Path) -> None:
    with started(value, workers=2, GRISTMILL_FAIL_AT=f"{point}:group") as process:
        code, errors = finished(process)
        assert code == KILLED, errors
        assert group_is_gone(process.pid)
    watch = Watch(Path(value["output"]))
    watch.look()
    assert forked(value) == 0, log_of(value)
    watch.look()
    check(Path(value["output"]), whole)


def test_group_killed_with_two_workers(drill_recipe, whole, tmp_path):
    """Supervisor and workers die at once."""
    _group_drill(drill_recipe(tmp_path), "documents:renamed:8", whole)


def test_supervisor_killed_alone(drill_recipe, whole, tmp_path):
    """Its workers do not outlive it, not even one that does nothing and would never see its pipe end."""
    value = drill_recipe(tmp_path)
    with started(value, workers=2) as process:
        os.kill(_worker_at_work(Path(value["output"]), process.pid), signal.SIGSTOP)
        process.kill()
        process.wait()
        assert group_is_gone(process.pid)
    assert forked(value) == 0, log_of(value)
    check(Path(value["output"]), whole)


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS)
def test_group_killed_with_two_workers_in_every_step(step, drill_recipe, whole, tmp_path):
    names = (
        ["block", "renamed", "committed"] if step in ("exact", "candidates") else ["written", "renamed", "committed"]
    )
    for name in names:
        _group_drill(drill_recipe(tmp_path / name), f"{step}:{name}:1", whole)


@pytest.mark.slow
def test_group_killed_with_two_workers_at_random_moments(drill_recipe, whole, tmp_path):
    draw, value = random.Random(5), drill_recipe(tmp_path)
    watch = Watch(Path(value["output"]))
    for _ in range(6):
        with started(value, workers=2) as process:
            time.sleep(draw.uniform(0.5, 4.0))
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            assert group_is_gone(process.pid)
        watch.look()
    with started(value, workers=2) as process:
        code, errors = finished(process)
    assert code == 0, errors
    watch.look()
    check(Path(value["output"]), whole)


def _worker_at_work(run: Path, leader: int) -> int:
    """A worker that has begun a unit."""
    return until(lambda: next((line[3] for line in starts(run) if line[3] != leader), None))


def test_a_worker_killed_is_replaced(drill_recipe, whole, tmp_path):
    """kill -9 of one of two workers while it has units to do; nobody notices but the journal."""
    value = drill_recipe(tmp_path)
    run = Path(value["output"])
    with started(value, workers=2) as process:
        os.kill(_worker_at_work(run, process.pid), signal.SIGKILL)
        code, errors = finished(process)
        assert code == 0, errors
        assert group_is_gone(process.pid)
    assert len({line[3] for line in starts(run)}) == 3
    check(run, whole)


def test_a_worker_that_hangs_is_replaced(drill_recipe, whole, tmp_path):
    """SIGSTOP: no sign of life is death."""
    value = drill_recipe(tmp_path)
    run = Path(value["output"])
    with started(value, workers=2, GRISTMILL_STALL_SECONDS="5") as process:
        worker = _worker_at_work(run, process.pid)
        os.kill(worker, signal.SIGSTOP)
        until(lambda: worker not in members(process.pid))
        assert process.poll() is None, "the run waited for it"
        code, errors = finished(process)
        assert code == 0, errors
        assert group_is_gone(process.pid)
    assert len({line[3] for line in starts(run)}) == 3
    check(run, whole)


def test_a_unit_that_always_kills_its_worker(drill_recipe, whole, tmp_path):
    """Three deaths on one unit are one clear error, no hang; the same command without the cause goes on."""
    value = drill_recipe(tmp_path)
    assert forked(value, "corpus:open:1") == KILLED  # so that what comes before is done
    with started(value, workers=2, GRISTMILL_FAIL_AT="corpus:open:1") as process:
        code, errors = finished(process, timeout=60)
        assert code == 1, errors
        assert group_is_gone(process.pid)
    told = [line for line in errors.splitlines() if line.startswith("gristmill: ")]
    assert len(told) == 1
    assert "a worker died 3 times (exit code -9) on: corpus part-" in told[0]
    assert "Traceback" not in errors
    watch = Watch(Path(value["output"]))
    watch.look()
    assert forked(value) == 0, log_of(value)
    assert {step for step, _ in watch.look()} == {"corpus", "tokenizer", "encode", "shards"}
    check(Path(value["output"]), whole)


# -- Ctrl-C ----------------------------------------------------------------------------------------------------------


def _interrupt(value: dict, workers: int) -> None:
    """Ctrl-C after the first unit has begun. The terminal sends it to the whole group."""
    run = Path(value["output"])
    with started(value, workers) as process:
        until(lambda: starts(run))
        os.killpg(process.pid, signal.SIGINT)
        begin = time.monotonic()
        assert group_is_gone(process.pid, seconds=2), members(process.pid)
        code, errors = finished(process)
        assert time.monotonic() - begin < 2
    assert code == 130, errors
    assert errors == "gristmill: interrupted; the same command goes on where it stopped\n"


def test_ctrl_c(plain_input, undisturbed, run, tmp_path):
    """While Presidio is being loaded inside a unit: gone within two seconds, exit code 130, and the run goes on."""
    value = road_inputs.recipe([plain_input], tmp_path / "run")
    _interrupt(value, workers=1)
    watch = Watch(tmp_path / "run")
    watch.look()
    run(value)
    watch.look()
    assert files(tmp_path / "run") == files(undisturbed)


def test_ctrl_c_with_two_workers(drill_recipe, whole, tmp_path):
    value = drill_recipe(tmp_path)
    _interrupt(value, workers=2)
    watch = Watch(Path(value["output"]))
    watch.look()
    assert forked(value) == 0, log_of(value)
    watch.look()
    check(Path(value["output"]), whole)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_at_random_moments(workers, drill_recipe, whole, tmp_path):
    """Also while workers are started, and when all is done. Before the run has its lock, Python itself is starting."""
    draw, value = random.Random(workers), drill_recipe(tmp_path)
    run = Path(value["output"])
    for moment in sorted(draw.uniform(0.5, 5.0) for _ in range(10)):
        (run / ".lock").unlink(missing_ok=True)
        with started(value, workers) as process:
            time.sleep(moment)
            begun = (run / ".lock").exists()
            os.killpg(process.pid, signal.SIGINT)
            assert group_is_gone(process.pid, seconds=2), (moment, members(process.pid))
            code, errors = finished(process)
        facts = run / "run.json"
        if begun and not (facts.exists() and json.loads(facts.read_text())["complete"]):
            assert code == 130, (moment, errors)
            assert "Traceback" not in errors, (moment, errors)
    assert forked(value) == 0, log_of(value)
    check(run, whole)


# -- one run at a time -----------------------------------------------------------------------------------------------


def test_a_second_run_on_a_live_directory_is_refused(drill_recipe, whole, tmp_path):
    value = drill_recipe(tmp_path)
    with started(value, workers=1) as process:
        until(lambda: starts(Path(value["output"])))
        assert forked(value) == 2
        assert f"gristmill: {value['output']}: another run is working in this directory" in log_of(value)
        code, errors = finished(process)
    assert code == 0, errors
    check(Path(value["output"]), whole)
    assert forked(value) == 0
    assert "whole and unchanged, nothing to do" in log_of(value)
