"""How units meet an engine: Impulse, the plan, a key that is a hash of the unit's text, GroupByKey, the work.

No step draws a random number before a shuffle, and beam.Reshuffle, which does, is not used: an engine that retries
half of such a stage loses and duplicates elements. Transforms used are Impulse, FlatMap and GroupByKey. The local
runner is named explicitly: Beam's DirectRunner is another engine on machines where Prism lies in a cache.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from ...console import as_known, place_of
from .. import phases
from ..units import Unit, committed

RUNNERS = {
    "local": "FnApiRunner",
    "portable": "PortableRunner",
    "spark": "SparkRunner",
    "flink": "FlinkRunner",
    "dataflow": "DataflowRunner",
}


def signed_hash(name: str) -> int:
    """A signed 64-bit hash: Beam's integer coder refuses unsigned ones above 2^63."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big", signed=True)


def pipeline(runner: str = "local", options: Iterable[str] = ()) -> beam.Pipeline:
    """A pipeline on an engine; `options` are Beam's own, as on its command line."""
    options = list(options) or _local_options()
    if runner != "local":
        return beam.Pipeline(options=PipelineOptions([*options, f"--runner={RUNNERS[runner]}"]))
    from apache_beam.portability.api import beam_provision_api_pb2 as provision
    from apache_beam.runners.portability.fn_api_runner import fn_runner
    from apache_beam.runners.portability.portable_runner import JobServiceHandle

    parsed = PipelineOptions(options)
    encoded = JobServiceHandle.encode_pipeline_options(parsed.get_all_options())
    info = fn_runner.ExtendedProvisionInfo(provision.ProvisionInfo(pipeline_options=encoded))
    return beam.Pipeline(runner=fn_runner.FnApiRunner(provision_info=info), options=parsed)


def _local_options() -> list[str]:
    """Beam options for every local pipeline of this process and its workers; a test replays bundles with it."""
    return os.environ.get("GRISTMILL_BEAM_OPTIONS", "").split()


def spread(begin: beam.Pipeline, texts: Iterable[str]) -> beam.PCollection:
    """Texts as elements that an engine may place anywhere: keyed by their hashes, each once."""
    keyed = [(signed_hash(text), text) for text in texts]
    return (
        begin
        | "impulse" >> beam.Impulse()
        | "plan" >> beam.FlatMap(lambda _: keyed).with_output_types(tuple[int, str])
        | "spread" >> beam.GroupByKey()
        | "texts" >> beam.FlatMap(lambda group: sorted(set(group[1]))).with_output_types(str)
    )


class UnitFailed(Exception):
    """What an engine hears of a failure, and may log: what a user is told, or its kind and place; never an error's own
    text, which could quote a document.
    """


_failures: list[Exception] = []  # of this process, since an engine passes on the text of an error and not its kind


@contextmanager
def _reported() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        _failures.append(error)
        raise UnitFailed(str(as_known(error) or place_of(error))) from None


def do_unit(text: str) -> list[str]:
    """One element's work. A replayed bundle, or an engine's retry, finds the unit committed and does nothing."""
    with _reported():
        unit = Unit.from_json(text)
        if committed(unit) is None:
            phases.STEPS[unit.step].run(unit)
    return []


def map_blocks(text: str, number: int) -> Iterator[tuple[int, bytes]]:
    """One mapper of a shuffle: the blocks that one upstream unit gives."""
    with _reported():
        unit = Unit.from_json(text)
        yield from phases.STEPS[unit.step].map(unit, number)


def reduce_block(group: tuple[int, Iterable[bytes]], text: str) -> list[str]:
    """One reducer: all blocks of one key, sorted, since an engine gives them in any order."""
    with _reported():
        unit = Unit.from_json(text)
        phases.STEPS[unit.step].reduce(unit, group[0], sorted(group[1]))
    return []


def build_units(begin: beam.Pipeline, units: list[Unit]) -> None:
    """The pipeline of units that need no shuffle."""
    spread(begin, [unit.to_json() for unit in units]) | "work" >> beam.FlatMap(do_unit).with_output_types(str)


def build_shuffle(begin: beam.Pipeline, unit: Unit) -> None:
    """The pipeline of one pass of a shuffle: upstream units -> blocks of hashes -> GroupByKey -> files."""
    text = unit.to_json()
    mappers = [str(number) for number in phases.STEPS[unit.step].mappers(unit)]
    (
        spread(begin, mappers)
        | "blocks" >> beam.FlatMap(lambda number: map_blocks(text, int(number))).with_output_types(tuple[int, bytes])
        | "shuffle" >> beam.GroupByKey()
        | "reduce" >> beam.FlatMap(reduce_block, text).with_output_types(str)
    )


def run_units(units: list[Unit], runner: str = "local", options: Iterable[str] = ()) -> None:
    """Do units on an engine: one pipeline for those without a shuffle, one each for the passes of a shuffle.

    Raises what a unit raised, where it ran in this process, else the engine's error.
    """
    options = list(options)
    plain = [unit for unit in units if not phases.STEPS[unit.step].shuffles]
    if plain:
        begin = pipeline(runner, options)
        build_units(begin, plain)
        _finish(begin)
    for unit in units:
        if phases.STEPS[unit.step].shuffles and committed(unit) is None:
            begin = pipeline(runner, options)
            build_shuffle(begin, unit)
            _finish(begin)
            phases.STEPS[unit.step].commit(unit)


def _finish(begin: beam.Pipeline) -> None:
    _failures.clear()
    try:
        begin.run().wait_until_finish()
    except Exception as error:
        if _interrupted(error):
            raise KeyboardInterrupt from None
        if _failures:
            raise _failures[0] from None
        raise


def _interrupted(error: BaseException | None) -> bool:
    """Whether it was Ctrl-C: Beam raises another error in its place when it comes while a unit is being done."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None
