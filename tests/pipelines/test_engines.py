"""The pipelines that the product builds: what they ask of an engine, and the same results on another one."""

from __future__ import annotations

import tempfile

import apache_beam as beam
import pytest
import road_inputs
import yaml
from road_engines import ROOT, complaints, gristmill, job_service
from road_results import difference, files, results

# -- the walk --------------------------------------------------------------------------------------------------------


@pytest.fixture
def pipeline(tmp_path, monkeypatch):
    """A pipeline to walk; one that never runs leaves its temporary folder behind."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return beam.Pipeline()


@pytest.mark.parametrize(
    ("build", "found"),
    [
        (lambda p: p | beam.Create([1, 2]), "reshuffle:v1"),
        (lambda p: p | beam.Impulse() | beam.Reshuffle(), "AddRandomKeys"),
        (lambda p: p | beam.io.ReadFromText(__file__), "beam:transform:read:v1"),
        (lambda p: p | beam.Create([__file__]) | beam.io.ReadAllFromText(), "Reshuffle"),
        (lambda p: p | beam.Impulse() | beam.io.WriteToText("/tmp/never"), "WriteToText"),
        (lambda p: p | beam.Impulse() | beam.BatchElements(), "BatchElements is not on the list"),
        (lambda p: p | beam.Impulse() | beam.combiners.Sample.FixedSizeGlobally(1), "is not on the list"),
    ],
)
def test_the_walk_finds_what_it_looks_for(build, found, pipeline):
    build(pipeline)
    assert any(found in complaint for complaint in complaints(pipeline))


def test_the_walk_passes_what_is_allowed(pipeline):
    pairs = pipeline | beam.Impulse() | beam.FlatMap(lambda _: [(1, 2)])
    side = beam.pvalue.AsIter(pairs)
    same = (pairs, pairs | beam.GroupByKey() | beam.Map(lambda group, _: (group[0], 0), side)) | beam.Flatten()
    {"a": pairs, "b": same} | beam.CoGroupByKey()
    assert complaints(pipeline) == []


def test_no_pipeline_of_a_run_reshuffles(plain_input, undisturbed, run, tmp_path, monkeypatch):
    """All pipelines of a whole run are walked as they are built: both shuffles, and the units of all other steps."""
    from gristmill.pipelines.beam import engine

    steps, walked = set(), []

    def walks(real):
        def build(begin, work):
            real(begin, work)
            walked.append(complaints(begin))
            steps.update(unit.step for unit in (work if isinstance(work, list) else [work]))

        return build

    for name in ("build_units", "build_shuffle"):
        monkeypatch.setattr(engine, name, walks(getattr(engine, name)))
    run(road_inputs.recipe([plain_input], tmp_path / "run"))
    assert steps == {path.name for path in (undisturbed / "work" / "manifests").iterdir()}
    assert len(walked) == len(steps) == 10
    assert walked == [[]] * 10


def test_only_the_engine_makes_pipelines():
    """So that the walk above is over all of them."""
    makers = [path for path in (ROOT / "pipelines").rglob("*.py") if "beam.Pipeline(" in path.read_text()]
    docstring_only = ROOT / "pipelines" / "beam" / "transforms.py"
    assert "with beam.Pipeline(options=options) as p:" in docstring_only.read_text()
    assert sorted(makers) == sorted([ROOT / "pipelines" / "beam" / "engine.py", docstring_only])


# -- the portable engine ---------------------------------------------------------------------------------------------


def _on_job_service(folder, plain_input, *options: str):
    value = road_inputs.recipe([plain_input], folder / "run")
    (folder / "recipe.yaml").write_text(yaml.safe_dump(value, sort_keys=False))
    done = gristmill("run", "recipe.yaml", "--runner", "portable", "--", *options, cwd=folder)
    assert done.returncode == 0, done.stderr[-2000:]


def test_portable_loopback(plain_input, undisturbed, expected, tmp_path):
    """A job service, as Spark's and Flink's are spoken to; the work in the process that submits."""
    with job_service(workers=False) as (port, _):
        _on_job_service(tmp_path, plain_input, f"--job_endpoint=localhost:{port}", "--environment_type=LOOPBACK")
    assert difference(expected, results(tmp_path / "run")) == ""
    assert files(tmp_path / "run") == files(undisturbed)


@pytest.mark.slow
def test_portable_worker_pool(plain_input, undisturbed, expected, tmp_path):
    """The work in processes that a pool on the worker's machine starts."""
    with job_service(workers=True) as (port, pool):
        _on_job_service(
            tmp_path,
            plain_input,
            f"--job_endpoint=localhost:{port}",
            "--environment_type=EXTERNAL",
            f"--environment_config=localhost:{pool}",
        )
    assert difference(expected, results(tmp_path / "run")) == ""
    assert files(tmp_path / "run") == files(undisturbed)
