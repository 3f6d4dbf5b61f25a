"""Clusters in rounds of units against those of one worker, over the same candidates; killed, and cut in other ways."""

from __future__ import annotations

import json
import os
import random
import signal
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from gristmill.exchange import ExchangeWriter, read_table
from gristmill.pipelines import stepfiles, units
from gristmill.pipelines.duplicates import near, rounds
from gristmill.pipelines.files import ArrowSink
from gristmill.pipelines.units import Commit, Unit, committed, make_unit, prepare

HASHES = pa.schema([("rank", pa.int64()), ("bytes", pa.int64())])
DOCUMENTS = 700  # a unit of input
INPUTS = 4
MEMORY = 1 << 15  # so that some graph of a thousand edges falls into many partitions


def handle(document: int) -> int:
    return document // DOCUMENTS << 32 | document % DOCUMENTS


def rank(document: int) -> int:
    return -document * 7


def size(document: int) -> int:
    return 10 + document * 37 % 191


class Made:
    """The work directory of a run that has its candidates."""

    def __init__(self, root: Path, blocks: list[tuple[list[tuple[int, int]], list[list[int]]]]):
        """`blocks`: for each band pairs of documents, and members of large buckets."""
        self.root, self.blocks = str(root), blocks
        prepare(root)
        self.done = {"documents": self.step("documents", [self.documents(n) for n in range(INPUTS)])}
        self.done["candidates"] = self.step("candidates", [self.candidates(n) for n in range(2)])
        self.inputs = {"documents": self.done["documents"].file, "removals": {}}

    def step(self, name: str, made: list[Unit]) -> stepfiles.Done:
        return stepfiles.save(self.root, name, made)

    def documents(self, number: int) -> Unit:
        unit = make_unit("documents", 1, self.root, f"input-{number}", {}, None, number=number)
        mine = range(number * DOCUMENTS, (number + 1) * DOCUMENTS)
        with Commit(unit) as commit:
            sink = ArrowSink(commit.file("work/hashes", ".arrow"), HASHES)
            for part in (mine[:300], mine[300:]):
                columns = [pa.array([f(d) for d in part], pa.int64()) for f in (rank, size)]
                sink.write(pa.RecordBatch.from_arrays(columns, schema=HASHES))
            sink.close()
            commit.finish({"kept": DOCUMENTS})
        return unit

    def candidates(self, number: int) -> Unit:
        """A pass: every second band, a file each."""
        unit = make_unit("candidates", 1, self.root, f"pass-{number}", {}, self.blocks, number=number)
        counts: Counter[str] = Counter()
        with Commit(unit) as commit:
            for band in range(number, len(self.blocks), 2):
                pairs, buckets = self.blocks[band]
                name = f"work/candidates/{unit.file_stem}-{band}.arrow"
                Path(self.root, name).parent.mkdir(exist_ok=True)
                with ExchangeWriter(Path(self.root, name), near.CANDIDATES) as writer:
                    rows = [(handle(a), handle(b), 1 << band) for a, b in pairs]
                    members = [(band << 20 | i, handle(d), 1 << band) for i, b in enumerate(buckets) for d in b]
                    for kind, found in ((near.PAIRS, rows), (near.MEMBERS, members)):
                        columns = zip(*found, strict=True) if found else ([], [], [])
                        arrays = [pa.array(list(c), f.type) for c, f in zip(columns, near.CANDIDATES, strict=True)]
                        writer.add(
                            pa.RecordBatch.from_arrays(arrays, schema=near.CANDIDATES), np.full(len(found), kind)
                        )
                    commit.adopt(name, writer.close())
                counts["pairs"] += len(rows)
                counts["in_large_buckets"] += len(members)
            commit.finish(dict(counts))
        return unit

    def rounds(self, memory: int = MEMORY, backwards: bool = False) -> int:
        """All steps, the units of each in their order or backwards; how many units were done."""
        count = 0
        for name, plan in rounds.road(memory, self.root, self.done, self.inputs, "read"):
            made = plan()
            for unit in reversed(made) if backwards else made:
                if committed(unit) is None:
                    getattr(rounds, f"run_{unit.step}")(unit)
                    count += 1
            self.done[name] = self.step(name, made)
        return count

    def one_worker(self, memory: int = MEMORY) -> None:
        inputs = self.inputs | {"candidates": self.done["candidates"].file}
        settings = {"partition_bytes": memory // 4}
        unit = make_unit("components", 1, self.root, "components", settings, None, inputs=inputs)
        near.run_components(unit)
        self.done["components"] = self.step("components", [unit])


def tables(made: Made) -> tuple[dict[int, set], list[tuple], list[tuple]]:
    """What the step `components` left: verification partition -> (documents with their ranks), and all pairs and
    members of large buckets as (partition, row)."""
    entries = made.done["components"].entries
    asked = list(stepfiles.exchange_files(made.root, entries, "work/requests"))
    found: dict[int, set] = {}
    for number in {int(n) for _, index in asked for n in index}:
        for row in read_table(asked, number, near.REQUESTS).to_pylist():
            document = number * DOCUMENTS + row["row"]
            group = found.setdefault(row["partition"], set())
            assert document not in {d for d, _ in group}
            group.add((document, row["rank"]))
    tasks = list(stepfiles.exchange_files(made.root, entries, "work/tasks"))
    rows: list[list[tuple]] = [[], []]
    for place in sorted({int(n) for _, index in tasks for n in index}):
        for row in read_table(tasks, place, near.CANDIDATES).to_pylist():
            rows[place % 2].append((place // 2, tuple(row.values())))
    return found, rows[near.PAIRS], rows[near.MEMBERS]


def components(blocks) -> list[set[int]]:
    """By union of sets."""
    found: list[set[int]] = []
    for pairs, buckets in blocks:
        for group in [*map(set, pairs), *map(set, buckets)]:
            touched = [c for c in found if c & group]
            found = [c for c in found if not c & group] + [group.union(*touched)]
    return found


def candidates(seed: int) -> list[tuple[list[tuple[int, int]], list[list[int]]]]:
    """Five bands: pairs that several find, a chain of 300 documents, and large buckets that overlap."""
    random = np.random.default_rng(seed)
    order = random.permutation(DOCUMENTS * INPUTS).tolist()
    chain, free = order[:300], order[300:]
    pairs = [(free[2 * i], free[2 * i + int(random.integers(1, 4))]) for i in range(500)]
    blocks = []
    for band in range(5):
        mine = [pair for pair in pairs if random.random() < 0.6]
        mine += [(chain[i], chain[i + 1]) for i in range(band, 299, 5)]
        buckets = [free[1200 + 40 * band : 1200 + 40 * band + 70], free[1500:1570]]
        blocks.append((mine, buckets))
    return blocks


@pytest.fixture
def made(tmp_path) -> Made:
    return Made(tmp_path, candidates(1))


def check(made: Made, memory: int) -> None:
    """What the step must have left, by definition."""
    groups, pairs, members = tables(made)
    true = components(made.blocks)
    place = {document: partition for partition, group in groups.items() for document, _ in group}
    assert sum(len(group) for group in groups.values()) == len(place)
    assert place.keys() == set().union(*true)
    assert all(r == rank(document) for group in groups.values() for document, r in group)
    assert all(len({place[document] for document in component}) == 1 for component in true)

    bands: Counter[tuple[int, int]] = Counter()  # the sum of bits, each once: their union
    for band, (found, _) in enumerate(made.blocks):
        bands.update(dict.fromkeys(set(found), 1 << band))
    assert sorted(row for _, row in pairs) == sorted((handle(a), handle(b), bits) for (a, b), bits in bands.items())
    wanted = []
    for band, (_, buckets) in enumerate(made.blocks):
        wanted += [(band << 20 | i, handle(d), 1 << band) for i, bucket in enumerate(buckets) for d in bucket]
    assert sorted(row for _, row in members) == sorted(wanted)
    where = {handle(document): partition for document, partition in place.items()}
    assert all(where[row[0]] == where[row[1]] == partition for partition, row in pairs)
    assert all(where[row[1]] == partition for partition, row in members)

    weight = [sum(map(size, component)) for component in true]
    held = [sum(size(document) for document, _ in group) for group in groups.values()]
    assert max(held) <= memory // 4 + max(weight)
    entries = made.done["components"].entries
    assert stepfiles.total(entries, "documents") == len(place)
    assert stepfiles.total(entries, "provisional_clusters") == len(true)
    assert max(e.manifest.counts["largest_provisional_cluster"] for e in entries) == max(map(len, true))
    assert stepfiles.total(entries, "pairs") == len(bands)


@pytest.mark.parametrize("memory", [MEMORY, 1 << 17, 1 << 30])
def test_rounds_and_one_worker_leave_what_they_must(made, memory):
    made.rounds(memory)
    assert (len(made.done["components"].entries) > 1) == (memory < 1 << 20)
    check(made, memory)
    counted = [stepfiles.total(made.done["components"].entries, name) for name in ("pairs", "provisional_clusters")]
    groups, pairs, members = tables(made)
    made.one_worker(memory)
    check(made, memory)
    other, their_pairs, their_members = tables(made)
    assert set().union(*groups.values()) == set().union(*other.values())
    for ours, theirs in ((pairs, their_pairs), (members, their_members)):
        assert sorted(row for _, row in ours) == sorted(row for _, row in theirs)
    assert counted == [
        stepfiles.total(made.done["components"].entries, name) for name in ("pairs", "provisional_clusters")
    ]


def test_small_components_share_partitions(tmp_path):
    """Not a verification partition a component, and not all in one."""
    blocks = [([(2 * i, 2 * i + 1) for i in range(1200)], [])]
    made = Made(tmp_path, blocks)
    made.rounds()
    check(made, MEMORY)
    total = sum(size(d) for d in range(2400))
    assert len(tables(made)[0]) == -(-total // (MEMORY // 4))


def test_a_large_star_that_moves_nothing_proves_nothing(tmp_path):
    """Small and large documents in turn: at first nobody has both a smaller and a larger neighbour."""
    low, high = range(60), range(2000, 2060)
    pairs = [pair for i in range(59) for pair in ((low[i], high[i]), (high[i], low[i + 1]))]
    made = Made(tmp_path, [(pairs, [])])
    made.rounds()
    assert stepfiles.total(made.done["large_star-00"].entries, "moved") == 0
    check(made, MEMORY)


def test_no_candidates(tmp_path):
    made = Made(tmp_path, [([], []), ([], [])])
    assert rounds.edges(made.done) == 0
    made.rounds()
    assert tables(made) == ({}, [], [])


def result(root: str) -> dict[str, bytes]:
    """All files of the steps, manifests included."""
    folders = ("manifests", "edges", "links", "labels", "labelled", "weights", "requests", "tasks")
    paths = [path for folder in folders for path in Path(root, "work", folder).rglob("*") if path.is_file()]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}


def test_the_order_of_units_shows_nowhere(tmp_path):
    roots = [tmp_path / name for name in ("a", "b")]
    for root in roots:
        root.mkdir()
        Made(root, candidates(2)).rounds(backwards=root.name == "b")
    first, second = map(result, map(str, roots))
    assert first == second


def test_a_second_call_does_nothing(made):
    assert made.rounds() > 30
    assert made.rounds() == 0


POINTS = (
    "links:renamed:3",
    "large_star:written:2",
    "large_star:manifest:40",
    "small_star:renamed:30",
    "small_star:committed:41",
    "labels:renamed:5",
    "weights:open:2",
    "deal:renamed:9",
)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("undisturbed")
    Made(folder, candidates(3)).rounds()
    return result(str(folder))


@pytest.mark.parametrize("point", POINTS)
def test_killed_and_run_again(point, undisturbed, tmp_path, monkeypatch):
    """In any round, at any line: the same bytes, and what was committed is not done again."""
    made = Made(tmp_path, candidates(3))
    process = os.fork()
    if process == 0:
        os.environ["GRISTMILL_FAIL_AT"] = point
        units._passed.clear()
        made.rounds()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == -signal.SIGKILL
    before = len(list(Path(tmp_path, "work", "manifests").rglob("*.json")))
    prepare(tmp_path)
    done = made.rounds()
    assert before + done == len(list(Path(tmp_path, "work", "manifests").rglob("*.json")))
    assert result(str(tmp_path)) == undisturbed


def test_a_changed_candidate_is_seen(tmp_path):
    """Another pair in the candidates: all that follows is done again, from the pass that has it on."""
    blocks = candidates(4)
    made = Made(tmp_path, blocks)
    first = made.rounds()
    changed = Made(tmp_path, [(blocks[0][0][1:], blocks[0][1]), *blocks[1:]])
    assert changed.rounds() > 0.8 * first
    check(changed, MEMORY)


def test_a_run_whose_candidates_do_not_fit_one_worker(run, tmp_path):
    """Through rounds because of its recipe's memory: the same pairs, clusters, ledger and documents."""
    draw = random.Random(5)
    words = [f"word{i}" for i in range(5000)]
    texts = []
    for _ in range(5):
        base = draw.choices(words, k=150)
        for _ in range(60):
            at = draw.randrange(150)
            texts.append(" ".join([*base[:at], draw.choice(words), *base[at + 1 :]]))
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    off = dict.fromkeys(("language", "quality", "scrub", "tokenizer"))
    found = []
    for name, memory in (("one", 256 << 20), ("rounds", 1 << 20)):
        value = {"input": {"paths": [str(tmp_path / "in.jsonl")]}, "output": str(tmp_path / name), **off}
        facts = run(value | {"dedup": {"memory_bytes": memory}})
        assert ("large_star-00" in facts["seconds"]) == (name == "rounds")
        folders = ("dedup/pairs", "dedup/clusters", "ledger", "documents")
        paths = [sorted(Path(tmp_path, name, folder).glob("*.parquet")) for folder in folders]
        found.append([sorted(map(str, (row for p in part for row in pq.read_table(p).to_pylist()))) for part in paths])
        found[-1].append(facts["counts"])
    assert found[0] == found[1]
    assert len(found[0][0]) > 1000
