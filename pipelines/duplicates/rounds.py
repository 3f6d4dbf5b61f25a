"""Provisional clusters when no worker can hold all candidates: what the step `components` does, in rounds.

The nodes are divided by hashes of their handles, a partition to a unit, and edges go from unit to unit as exchange
files. Steps, each a list of units:

    links                       a unit a pass of the candidates: these, and the edges that they are, to their nodes
    large_star-N, small_star-N  a unit a partition of the nodes (see dedup.star_rounds), until nothing moves
    labels                      a unit a partition: the component, named by its smallest handle, of nodes and candidates
    weights                     a unit an input unit that holds a candidate: how much text each is
    components                  a unit a partition of the components: deals them, as the one worker does

Components follow one another by (partition, name), and a new verification partition begins at every `limit` bytes of
text; for this a unit needs no more than the sum of the units before it. So the work is cut in other places, and every
candidate pair is measured all the same.

What a unit holds: of links, one block of candidates and half the memory budget of rows to be written; of weights, the
labels of one input unit; else BYTES_A_ROW for each row that comes in, and there are so many partitions that this is the
budget. Beyond it goes only a component that alone has more rows: its nodes meet at their centre, and its candidates
where it is dealt. Whoever verifies it holds its shingle sets, which are larger still.

The trade-off, measured: two to three times the work of one worker (1.7 microseconds an edge), and on disk the edges of
all rounds, since a run that was killed goes on from them: 32 bytes a candidate, then 48 a distinct edge and round.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from ...exchange import ExchangeWriter, Index, read_table
from .. import stepfiles
from ..stepfiles import Done
from ..units import Commit, Unit, make_unit, progress
from .near import CANDIDATES, MEMBERS, PAIRS, REQUESTS, from_candidates
from .shuffle import known

VERSION = 1

EDGES = pa.schema([("node", pa.int64()), ("neighbour", pa.int64())])
LABELS = pa.schema([("label", pa.int64()), ("handle", pa.int64())])
LABELLED = pa.schema([*CANDIDATES, ("label", pa.int64())])
WEIGHTS = pa.schema([*LABELS, ("rank", pa.int64()), ("bytes", pa.int64())])


# -- the steps in their order ----------------------------------------------------------------------------------------


def edges(done: dict[str, Done]) -> int:
    """How many edges the candidates have, those that several bands found as often."""
    return sum(stepfiles.total(done["candidates"].entries, name) for name in ("pairs", "in_large_buckets"))


def road(
    memory: int, root: str, done: dict[str, Done], inputs: dict[str, Any], reads: Any
) -> Iterator[tuple[str, Callable[[], list[Unit]]]]:
    """(step, its plan) in order; `done` holds, when the next is asked for, every step given before, and `candidates`.

    `memory`: what a unit may hold; `inputs` and `reads`: files and digests of what `shuffle.known` needs.
    """
    plan = _Plan(memory, root, done)
    yield "links", plan.links
    last, number, moved = "links", 0, True
    while moved:
        stars = [f"{star}-{number:02d}" for star in ("large_star", "small_star")]
        for star in stars:
            yield star, partial(plan.star, star, last)
            last = star
        moved = any(stepfiles.total(done[star].entries, "moved") for star in stars)
        number += 1
    yield "labels", partial(plan.labels, last)
    yield "weights", partial(plan.weights, inputs, reads)
    yield "components", plan.components


class _Plan:
    """The units of each step."""

    def __init__(self, memory: int, root: str, done: dict[str, Done]):
        from ...dedup.star_rounds import BYTES_A_ROW

        self.root, self.done, self.memory = root, done, memory
        rows = 2 * edges(done)  # an edge is a row at either end
        self.partitions = max(1, -(-rows * BYTES_A_ROW // memory))

    def _unit(self, step: str, name: str, number: int, inputs: dict[str, Any], reads: Any, **settings: int) -> Unit:
        settings |= {"partitions": self.partitions, "budget": self.memory // 4}
        return make_unit(step, VERSION, self.root, name, settings, reads, number=number, inputs=inputs)

    def _each(self, step: str, name: str, **inputs: str) -> list[Unit]:
        """A unit a partition; `inputs`: what the unit calls a step before -> that step."""
        files = {role: self.done[source].file for role, source in inputs.items()}
        reads = [self.done[source].digest for source in inputs.values()]
        return [self._unit(step, f"{name}-{p:05d}", p, files, reads) for p in range(self.partitions)]

    def links(self) -> list[Unit]:
        """A unit a pass of the candidates."""
        candidates = self.done["candidates"]
        inputs = {"candidates": candidates.file}
        return [self._unit("links", e.name, e.number, inputs, e.manifest.sha256) for e in candidates.entries]

    def star(self, star: str, before: str) -> list[Unit]:
        """A unit a partition of the nodes; `before`: the step that gave the edges."""
        return self._each(star.partition("-")[0], star, edges=before)

    def labels(self, before: str) -> list[Unit]:
        """A unit a partition of the nodes; `before`: the step that moved nothing."""
        return self._each("labels", "partition", edges=before, links="links")

    def weights(self, inputs: dict[str, Any], reads: Any) -> list[Unit]:
        """A unit an input unit that holds a candidate."""
        labels = self.done["labels"]
        files = stepfiles.exchange_files(self.root, labels.entries, "work/labels")
        numbers = sorted({int(number) for _, index in files for number in index})
        inputs, reads = {**inputs, "labels": labels.file}, [reads, labels.digest]
        return [self._unit("weights", f"unit-{n:010d}", n, inputs, reads) for n in numbers]

    def components(self) -> list[Unit]:
        """A unit a partition of the components."""
        weights = stepfiles.totals(self.done["weights"].entries, "bytes")
        inputs = {name: self.done[name].file for name in ("labels", "weights")}
        reads = [self.done[name].digest for name in ("labels", "weights")]
        units, before = [], 0
        for p in range(self.partitions):
            settings = {"before": before, "limit": self.memory // 4}
            units.append(self._unit("deal", f"partition-{p:05d}", p, inputs, reads, **settings))
            before += weights.get(str(p), 0)
        return units


# -- files -----------------------------------------------------------------------------------------------------------


class _Output:
    """One exchange file of a unit."""

    def __init__(self, unit: Unit, commit: Commit, folder: str, schema: pa.Schema):
        self.commit, self.folder, self.schema = commit, folder, schema
        self.writer = ExchangeWriter(commit.file(folder, ".arrow"), schema, budget=unit.settings["budget"])

    def add(self, columns: list[np.ndarray], destinations: np.ndarray) -> None:
        """Rows, in columns as the schema has them, and where each goes."""
        arrays = [pa.array(c).cast(f.type) for c, f in zip(columns, self.schema, strict=True)]
        self.writer.add(pa.RecordBatch.from_arrays(arrays, schema=self.schema), destinations)

    def close(self) -> None:
        self.commit.index(self.folder, self.writer.close())


def _files(unit: Unit, step: str, folder: str) -> list[tuple[str, Index]]:
    return list(stepfiles.exchange_files(unit.root, stepfiles.load(unit.root, unit.inputs[step]), folder))


def _columns(files: list[tuple[str, Index]], destination: int, schema: pa.Schema) -> list[np.ndarray]:
    """The rows for a destination, a column each."""
    return [column.to_numpy() for column in read_table(files, destination, schema).columns]


def _place(values: np.ndarray, partitions: int) -> np.ndarray:
    from ...dedup.star_rounds import partition_of_nodes

    return partition_of_nodes(values, partitions)


# -- rounds ----------------------------------------------------------------------------------------------------------


def run_links(unit: Unit) -> None:
    """Send the candidates of one pass, and the edges of their graph, to the partitions of their nodes."""
    from ...dedup.components import links
    from ...dedup.star_rounds import both_ways

    count = unit.settings["partitions"]
    entries = [e for e in stepfiles.load(unit.root, unit.inputs["candidates"]) if e.number == unit.number]
    with Commit(unit) as commit:
        candidates = _Output(unit, commit, "work/links", CANDIDATES)
        graph = _Output(unit, commit, "work/edges", EDGES)
        for file in stepfiles.exchange_files(unit.root, entries, "work/candidates"):  # each holds whole buckets
            found = []
            for kind, first in ((PAIRS, "a"), (MEMBERS, "handle")):
                columns = _columns([file], kind, CANDIDATES)
                found.append(from_candidates(columns, kind))
                candidates.add(columns, 2 * _place(found[-1][first], count) + kind)
            node, neighbour = both_ways(*links(*found))
            graph.add([node, neighbour], _place(node, count))
            progress()
        candidates.close()
        graph.close()
        commit.finish({})


def run_large_star(unit: Unit) -> None:
    """Connect the larger neighbours of each node of a partition to the smallest."""
    from ...dedup.star_rounds import large_star

    larger, smaller, moved = large_star(*_edges(unit))
    _write_edges(unit, larger, smaller, moved)


def run_small_star(unit: Unit) -> None:
    """Connect each node of a partition and its smaller neighbours to the smallest."""
    from ...dedup.star_rounds import both_ways, small_star

    larger, smaller, moved = small_star(*_edges(unit))
    _write_edges(unit, *both_ways(larger, smaller), moved)


def _edges(unit: Unit) -> list[np.ndarray]:
    return _columns(_files(unit, "edges", "work/edges"), unit.number, EDGES)


def _write_edges(unit: Unit, node: np.ndarray, neighbour: np.ndarray, moved: int) -> None:
    with Commit(unit) as commit:
        graph = _Output(unit, commit, "work/edges", EDGES)
        graph.add([node, neighbour], _place(node, unit.settings["partitions"]))
        graph.close()
        commit.finish({"moved": moved})


# -- what comes of them ----------------------------------------------------------------------------------------------


def run_labels(unit: Unit) -> None:
    """Name the component of each node of a partition to its unit, and send the candidates to the component's partition.

    Here a pair that several bands found becomes one.
    """
    from ...dedup.candidates import merge_pairs, units_and_rows
    from ...dedup.star_rounds import labels

    count, links = unit.settings["partitions"], _files(unit, "links", "work/links")
    nodes, label = labels(*_edges(unit))
    with Commit(unit) as commit:
        named = _Output(unit, commit, "work/labels", LABELS)
        named.add([label, nodes], units_and_rows(nodes)[0])
        named.close()
        labelled = _Output(unit, commit, "work/labelled", LABELLED)
        pairs = merge_pairs([from_candidates(_columns(links, 2 * unit.number + PAIRS, CANDIDATES), PAIRS)])
        big = from_candidates(_columns(links, 2 * unit.number + MEMBERS, CANDIDATES), MEMBERS)
        for kind, rows, names in (
            (PAIRS, pairs, ("a", "b", "bands")),
            (MEMBERS, big, ("bucket", "handle", "bands")),
        ):
            mine = label[np.searchsorted(nodes, rows["a" if kind == PAIRS else "handle"])]
            labelled.add([*(rows[name] for name in names), mine], 2 * _place(mine, count) + kind)
        labelled.close()
        commit.finish({})


def run_weights(unit: Unit) -> None:
    """Say of each candidate of an input unit how much text it is, and its rank, to its component's partition."""
    from ...dedup.candidates import units_and_rows

    count = unit.settings["partitions"]
    label, handle = _columns(_files(unit, "labels", "work/labels"), unit.number, LABELS)
    order = np.argsort(handle)
    label, handle = label[order], handle[order]
    rows, total = units_and_rows(handle)[1], np.zeros(count, np.int64)
    with Commit(unit) as commit:
        weights, start = _Output(unit, commit, "work/weights", WEIGHTS), 0
        for _, batch in known(unit, unit.number):
            low, high = np.searchsorted(rows, [start, start + batch.num_rows])
            at = rows[low:high] - start
            rank, size = (batch.column(name).to_numpy()[at] for name in ("rank", "bytes"))
            to = _place(label[low:high], count)
            weights.add([label[low:high], handle[low:high], rank, size], to)
            np.add.at(total, to, size)
            start += batch.num_rows
            progress()
        weights.close()
        commit.finish({"bytes": {str(p): int(total[p]) for p in np.flatnonzero(total)}})


def run_deal(unit: Unit) -> None:
    """Deal the components of a partition to verification partitions: to units, which rows to send where; to partitions,
    which pairs to measure."""
    from ...dedup.candidates import units_and_rows

    label, handle, rank, size = _columns(_files(unit, "weights", "work/weights"), unit.number, WEIGHTS)
    order = np.argsort(label, kind="stable")
    label, handle, rank, size = (column[order] for column in (label, handle, rank, size))
    names, starts, documents = np.unique(label, return_index=True, return_counts=True)
    weight = np.add.reduceat(size, starts) if len(names) else np.empty(0, np.int64)
    partition = (unit.settings["before"] + np.cumsum(weight) - weight) // unit.settings["limit"]
    counts = {"documents": len(handle), "provisional_clusters": len(names)}
    counts["largest_provisional_cluster"] = int(documents.max(initial=0))
    with Commit(unit) as commit:
        numbers, rows = units_and_rows(handle)
        requests = _Output(unit, commit, "work/requests", REQUESTS)
        requests.add([rows, rank, np.repeat(partition, documents)], numbers)
        requests.close()
        tasks = _Output(unit, commit, "work/tasks", CANDIDATES)
        labelled = _files(unit, "labels", "work/labelled")
        for kind in (PAIRS, MEMBERS):
            *columns, mine = _columns(labelled, 2 * unit.number + kind, LABELLED)
            tasks.add(columns, 2 * partition[np.searchsorted(names, mine)] + kind)
            counts["pairs" if kind == PAIRS else "in_large_buckets"] = len(mine)
        tasks.close()
        commit.finish(counts)
