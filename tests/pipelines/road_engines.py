"""Other engines for the tests: a walk over what a pipeline asks of its engine, job services, a probe of bundles."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
from gristmill.pipelines.beam.coder import RecordBatchCoder

ROOT = Path(__file__).resolve().parents[2]

# Transforms of Beam's that draw no random number and read nothing; Map and FlatMap are ParDo, side inputs no transform
ALLOWED = {
    "apache_beam.transforms.core.Impulse",
    "apache_beam.transforms.core.ParDo",
    "apache_beam.transforms.core._MultiParDo",  # a ParDo of several outputs
    "apache_beam.transforms.core.GroupByKey",
    "apache_beam.transforms.util.CoGroupByKey",
    "apache_beam.transforms.util._CoGBKImpl",
    "apache_beam.transforms.core.Flatten",
}
FORBIDDEN_URNS = ("beam:transform:reshuffle:v1", "beam:transform:redistribute_", "beam:transform:read:v1")
FORBIDDEN_NAMES = {"AddRandomKeys", "ReshufflePerKey"}


def complaints(pipeline: beam.Pipeline) -> list[str]:
    """What a pipeline holds that an engine's retry could tear apart; the pipeline's root alone has no type."""
    found = []
    proto = pipeline.to_runner_api()
    for key, transform in proto.components.transforms.items():
        name, urn = transform.unique_name, transform.spec.urn
        kind = transform.annotations.get("python_type", b"").decode()
        if key in proto.root_transform_ids and not kind:
            continue
        if urn.startswith(FORBIDDEN_URNS):
            found.append(f"{name}: {urn}")
        if name.rpartition("/")[2] in FORBIDDEN_NAMES:
            found.append(f"{name}: draws random keys")
        if not kind or (kind.startswith("apache_beam.") and kind not in ALLOWED):
            found.append(f"{name}: {kind or 'of no known type'} is not on the list")
    return found


# -- the portable engine ---------------------------------------------------------------------------------------------


def free_ports(n: int) -> list[int]:
    """Ports that nobody listens on now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for one in sockets:
            one.bind(("localhost", 0))
        return [one.getsockname()[1] for one in sockets]


@contextlib.contextmanager
def job_service(workers: bool) -> Iterator[tuple[int, int | None]]:
    """deploy/local_job_service.py while the block runs: its port and that of its pool of workers, if one is wanted."""
    port, pool = free_ports(2)
    command = [sys.executable, str(ROOT / "deploy" / "local_job_service.py"), "--port", str(port)]
    if workers:
        command += ["--workers", str(pool)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout.readline().startswith("ready"), "the job service did not come up"
            yield port, pool if workers else None
        finally:
            process.terminate()
            process.wait()


def gristmill(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess:
    """The command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "gristmill", *arguments],
        cwd=cwd,
        env=dict(os.environ, **environment),
        capture_output=True,
        text=True,
        timeout=300,
    )


# -- bundles ---------------------------------------------------------------------------------------------------------

bundles: list[int] = []  # batches of each bundle that a `Probe` of this process has seen


class Probe(beam.DoFn):
    """Passes batches on, and notes how many each bundle had."""

    def start_bundle(self):
        self.seen = 0

    def process(self, batch):
        self.seen += 1
        yield batch

    def finish_bundle(self):
        bundles.append(self.seen)


class Batches(beam.PTransform):
    """Record batches of a test's own, spread over the workers by a GroupByKey."""

    def __init__(self, batches: list[pa.RecordBatch]):
        super().__init__()
        self.batches = [(number, RecordBatchCoder().encode(batch)) for number, batch in enumerate(batches)]

    def expand(self, begin: beam.Pipeline) -> beam.PCollection:
        batches = self.batches
        return (
            begin
            | beam.Impulse()
            | "plan" >> beam.FlatMap(lambda _: batches)
            | beam.GroupByKey()
            | "batches"
            >> beam.FlatMap(lambda group: map(RecordBatchCoder().decode, group[1])).with_output_types(pa.RecordBatch)
        )


def keep(batch: pa.RecordBatch, folder: str) -> None:
    """Write a batch of survivors to a file named by what is in it: done twice it is still one."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    data = RecordBatchCoder().encode(batch)
    Path(folder, hashlib.sha256(data).hexdigest()).write_bytes(data)
