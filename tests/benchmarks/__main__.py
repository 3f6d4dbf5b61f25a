"""`python -m tests.benchmarks [SIZE ...]`: one Markdown table of what the road costs on this machine.

Sizes are megabytes of the memory rows (default 20, 100 and 500). Everything compared is measured in the same minutes
by the same process, and speed is stated per second of CPU, since other work on a machine stretches its clock. The
input is real prose by edits; it needs the shared test data (GRISTMILL_TEST_DATA names its folder).
"""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from .made_corpus import duplicated_documents, paragraphs, write_corpus, write_lines, write_real_corpus

HERE = Path(__file__).parent
RECIPE = [
    "quality.gopher_repetition.max_top_2_gram=1",
    "language={keep: [en], min_score: 0.2}",
    "tokenizer.vocabulary=8192",
]
DEDUP_ALONE = ["language=", "scrub=", "tokenizer=", "quality={}"]  # beside reading and writing
SPEED_MEGABYTES, ROUNDS = 12, 3
WORKERS_MEGABYTES = 240  # starting a worker takes seconds: the phase must be long beside them


@dataclass
class Row:
    """One line of the table; what nobody measures yet is a dash."""

    measure: str
    ours: str
    peer: str = "-"
    limit: str = "-"


def shared_data() -> Path:
    """The folder of the shared test data."""
    places = [os.environ.get("GRISTMILL_TEST_DATA"), HERE.parents[1] / "shared/data", HERE.parents[2] / "shared/data"]
    found = next((Path(p) for p in places if p and (Path(p) / "MANIFEST.jsonl").exists()), None)
    if found is None:
        sys.exit("the shared test data are missing: set GRISTMILL_TEST_DATA to their folder")
    return found


def once(mode: str, folder: Path, small: Path, recipe: str = "text", *more: str) -> dict:
    """One timed run (see one_run)."""
    return _answer(_start(mode, folder, small, recipe, *more))


def _start(mode: str, folder: Path, small: Path, recipe: str, *more: str) -> subprocess.Popen:
    command = [sys.executable, str(HERE / "one_run.py"), mode, recipe, str(folder), str(small), *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def _answer(process: subprocess.Popen) -> dict:
    out, _ = process.communicate()
    if process.returncode:
        sys.exit(f"a run failed with exit code {process.returncode}")
    return json.loads(out)


# What the recipe bounds, reached by the smallest input as by the largest: a shard is held whole by who writes it
FULL = ["tokenizer.sample_bytes=10000000", "tokens.shard_tokens=2000000"]


def command_line(folder: Path, output: Path, workers: int, more: tuple[str, ...] = ()) -> tuple[float, float, dict]:
    """(wall seconds, peak MB of the largest process, run.json) of `gristmill run`."""
    code = (
        "import resource, subprocess, sys\n"
        "subprocess.run([sys.executable, '-m', 'gristmill', *sys.argv[1:]], check=True, stdout=subprocess.DEVNULL)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
    )
    settings = [f"input.paths=[{folder}]", f"output={output}", *RECIPE, *more]
    sets = [x for s in settings for x in ("--set", s)]
    start = time.perf_counter()
    command = [sys.executable, "-c", code, "run", "text", "--workers", str(workers), *sets]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    wall = time.perf_counter() - start
    return wall, int(done.stdout) / 1024, json.loads((output / "run.json").read_text())


def speed(work: Path, source: list[str], small: Path) -> list[Row]:
    """Documents and megabytes a second of CPU, and the share of it that Beam takes."""
    write_corpus(work / "speed" / "in", source, SPEED_MEGABYTES, documents_a_file=100)
    engine, direct = [], []
    for i in range(ROUNDS):  # interleaved, so that what else the machine does hits both
        for mode, results in (("engine", engine), ("direct", direct)):
            folder = work / "speed" / f"round-{i}-{mode}"
            folder.mkdir()
            (folder / "in").symlink_to(work / "speed" / "in")
            results.append(once(mode, folder, small, "text", *RECIPE))
    run = min(engine, key=lambda r: r["cpu"])
    cpu, plain = (min(r["cpu"] for r in results) for results in (engine, direct))
    share = 1 - plain / cpu
    spread = statistics.pstdev(r["cpu"] for r in engine) / cpu
    return [
        Row("documents phase, documents a CPU second", f"{run['records'] / run['documents_cpu']:,.0f}"),
        Row("documents phase, MB a CPU second", f"{run['bytes'] / 1e6 / run['documents_cpu']:.2f}"),
        Row("whole run, documents a CPU second", f"{run['records'] / cpu:,.0f}"),
        Row("whole run, MB a CPU second", f"{run['bytes'] / 1e6 / cpu:.2f}"),
        Row("whole run, share of CPU in Beam", f"{100 * share:.1f} % (runs spread by {100 * spread:.0f} %)"),
    ]


def archives(work: Path, data: Path, small: Path) -> list[Row]:
    """The same of real pages, extraction included."""
    folder = work / "archives"
    (folder / "in").mkdir(parents=True)
    for path in (data / "web" / "warc-open").glob("*.warc.gz"):
        (folder / "in" / path.name).symlink_to(path)
    run = once("engine", folder, small, "web")
    cpu = run["documents_cpu"]
    return [
        Row("archives, documents phase, pages a CPU second", f"{run['records'] / cpu:,.0f}"),
        Row("archives, documents phase, MB of HTML a CPU second", f"{run['bytes'] / 1e6 / cpu:.2f}"),
    ]


def workers(work: Path, source: list[str], small: Path) -> list[Row]:
    """Two workers against one, beside two copies of the plain loop at once: what the machine itself gives."""
    folder = work / "workers"
    write_corpus(folder / "in", source, WORKERS_MEGABYTES, documents_a_file=500)
    one, _, facts_one = command_line(folder / "in", folder / "one", 1)
    two, _, facts_two = command_line(folder / "in", folder / "two", 2)
    copies = []
    for i in range(3):
        (folder / f"copy-{i}").mkdir()
        (folder / f"copy-{i}" / "in").symlink_to(folder / "in")
    alone = once("direct", folder / "copy-0", small, "text", *RECIPE)["wall"]
    copies = [_start("direct", folder / f"copy-{i}", small, "text", *RECIPE) for i in (1, 2)]
    both = max(_answer(process)["wall"] for process in copies)
    control = 2 * alone / both
    phase = facts_one["seconds"]["documents"] / facts_two["seconds"]["documents"]
    return [
        Row("two workers against one, whole command", f"{one / two:.2f} x ({one:.0f} s, {two:.0f} s)"),
        Row("two workers against one, documents phase", f"{phase:.2f} x", limit=f"{0.8 * control:.2f} x"),
        Row("control: two copies of the plain loop at once", f"{control:.2f} x"),
    ]


def memory(work: Path, source: list[str], sizes: list[int]) -> list[Row]:
    """Peak memory by size of the input, nearly all of it kept."""
    rows, first = [], None
    for size in sizes:
        folder = write_corpus(work / f"memory-{size}" / "in", source, size)
        wall, peak, facts = command_line(folder, folder.parent / "run", 1, tuple(FULL))
        first = first or peak
        speed = facts["counts"]["read_bytes"] / 1e6 / wall
        rows.append(
            Row(
                f"peak RSS on {size} MB, one worker",
                f"{peak:,.0f} MB ({wall:,.0f} s, {speed:.1f} MB/s)",
                limit="-" if peak is first else f"{1.2 * first:,.0f} MB",
            )
        )
    return rows


def training(work: Path) -> Row:
    """The tiny preset on the tokens of the runs before, beside forward and backward alone."""
    tokens = work / "speed" / "round-0-engine" / "engine" / "tokens"
    command = [sys.executable, str(HERE / "training_speed.py"), str(tokens), str(work / "train")]
    quiet = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}  # as `gristmill train` sets it
    out = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True, env=quiet)
    speeds = json.loads(out.stdout)
    share = speeds["trainer"] / speeds["bare"]
    return Row(
        "training, tiny preset, tokens a second",
        f"{speeds['trainer']:,.0f} ({100 * share:.0f} % of the bare loop)",
        f"{speeds['bare']:,.0f} (forward and backward alone)",
    )


COLD_MEGABYTES, PEER_DOCUMENTS, WET_COPIES = 100, 500, 5


def _module(name: str, *arguments: str, python: str = sys.executable) -> dict:
    """The JSON that a module of this folder prints, run in a process of its own."""
    command = [python, "-m", f"tests.benchmarks.{name}", *arguments]
    done = subprocess.run(command, cwd=HERE.parents[1], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    if done.returncode:
        sys.exit(f"{name} {' '.join(arguments)} failed with exit code {done.returncode}")
    return json.loads(done.stdout)


def filters(work: Path, data: Path, small: Path) -> list[Row]:
    """Rules of quality beside datatrove's; the classifier beside fastText's; decontamination beside the rules."""
    corpus = str(write_real_corpus(work / "filters" / "in", data, COLD_MEGABYTES))
    part = str(write_real_corpus(work / "filters" / "part", data, SPEED_MEGABYTES))
    rows = []
    for words, name, limits in (
        ("whitespace", "words at white space", ((0, "", ""), (1, "", "25 MB/s, 40 x"))),
        ("spacy", "datatrove's dialect and words", ((0, ", cold", "2 MB/s, 20 x"), (1, ", warm", "12 MB/s"))),
    ):
        _module("filter_speed", "gristmill", words, part)  # once an installation, code is compiled and kept on disk
        ours = _module("filter_speed", "gristmill", words, corpus)
        peer = _module("filter_speed", "datatrove", words, corpus, str(PEER_DOCUMENTS))
        theirs = peer["bytes"] / 1e6 / peer["cpu"][1]  # its second pass: without its imports
        for number, told, limit in limits:
            speed = ours["bytes"] / 1e6 / ours["cpu"][number]
            start = " (first pass, with its start)" if number == 0 and not told else ""
            rows.append(
                Row(
                    f"Gopher, C4, FineWeb, {name}{told}{start}, MB a CPU second",
                    f"{speed:.1f} ({speed / theirs:.0f} x)",
                    f"{theirs:.2f} (datatrove, first {PEER_DOCUMENTS} documents)",
                    limit or "-",
                )
            )
        rows.append(Row(f"its peak RSS on {COLD_MEGABYTES} MB held in memory", f"{ours['peak']:,.0f} MB"))
    folder = work / "wet"
    (folder / "in").mkdir(parents=True)
    for i in range(WET_COPIES):
        (folder / "in" / f"{i}.warc.wet.gz").symlink_to(data / "web" / "wet-derived" / "derived-00000.warc.wet.gz")
    alone = ["language=", "scrub=", "dedup.exact=", "dedup.minhash=", "tokenizer=", "all_signals=true"]
    rules = "quality={gopher_repetition: {}, gopher_quality: {}, c4: {dialect: tfds}, fineweb: {}}"
    run = once("engine", folder, small, "text", *alone, rules)
    whole = run["bytes"] / 1e6 / run["documents_cpu"]
    rows.append(Row("WET: read, all rules, ledger, signals, write, MB a CPU second", f"{whole:.1f}", limit="10 MB/s"))
    found = _module("filter_parts", "classifier", part, str(data))
    speed = found["bytes"] / 1e6 / found["ours"]
    theirs = found["bytes"] / 1e6 / found["peer"]
    rows.append(
        Row(
            "classifier, words and pairs, MB a CPU second",
            f"{speed:.1f} ({speed / theirs:.1f} x)",
            f"{theirs:.1f} (fastText's predict)",
            "4 x",
        )
    )
    found = _module("filter_parts", "decontaminate", part, str(data))
    share = found["ours"] / (found["ours"] + found["rules"])
    speed = found["bytes"] / 1e6 / found["ours"]
    rows.append(
        Row(
            "decontamination, MB a CPU second",
            f"{speed:.0f} ({100 * share:.0f} % of a pass with the rules)",
            "-",
            "20 %",
        )
    )
    return rows


SEARCHED_MEGABYTES, NAMED_DOCUMENTS = 10, 60


def personal_data(work: Path, data: Path) -> list[Row]:
    """The search for personal data beside Presidio's AnalyzerEngine on the same documents, findings being the same.

    CPU of one pass by whoever remembers nothing yet: a third of ours is building automata. Start and imports count for
    neither.
    """
    corpus = str(write_real_corpus(work / "personal", data, SEARCHED_MEGABYTES))

    def measured(who: str, kinds: str, min_score: float, documents: int | None = None) -> dict:
        few = [] if documents is None else [str(documents)]
        facts = _module("pii_speed", who, kinds, str(min_score), corpus, *few)
        return {**facts, "speed": facts["bytes"] / 1e6 / facts["cpu"]}

    rows = []
    six = measured("gate", "six", 0)["speed"]
    name = f"personal data, six of Presidio's kinds, {SEARCHED_MEGABYTES} MB, MB a CPU second, start and imports apart"
    for who, measure, told, limit in (
        ("engine-without-lemmas", name, "AnalyzerEngine without lemmas", "30 x"),
        ("engine", "the same, context words count for both", "AnalyzerEngine", "20 x"),
    ):
        theirs = measured(who, "six", 0)["speed"]
        rows.append(Row(measure, f"{six:.1f} ({six / theirs:.0f} x)", f"{theirs:.2f} ({told})", limit))
    for min_score, told in ((0.4, "the default"), (0, "everything")):
        ours = measured("gate", "presidio", min_score)["speed"]
        theirs = measured("engine", "presidio", min_score)["speed"]
        measure = f"all of Presidio's kinds that are on by default, English, min_score {min_score:g} ({told})"
        rows.append(
            Row(measure, f"{ours:.1f} ({ours / theirs:.0f} x)", f"{theirs:.2f} (AnalyzerEngine)", "4 MB/s, 15 x")
        )
    whole, stage = (measured(who, "default", 0.4) for who in ("search", "stage"))
    rows.append(Row("all kinds, our recognisers too, as a run searches", f"{whole['speed']:.1f}", limit="4 MB/s"))
    rows.append(Row("its stage: ids, addresses, metadata too, what is found replaced", f"{stage['speed']:.1f}"))
    rows.append(Row(f"its peak RSS on {SEARCHED_MEGABYTES} MB held in memory", f"{stage['peak']:,.0f} MB"))
    ours = measured("search", "EMAIL_ADDRESS,IP_ADDRESS", 0.4)["speed"]
    theirs = measured("formatter", "EMAIL_ADDRESS,IP_ADDRESS", 0.4)["speed"]
    measure = "e-mail and IP addresses only, ours found, theirs replaced, MB a CPU second"
    rows.append(Row(measure, f"{ours:.1f} ({ours / theirs:.1f} x)", f"{theirs:.1f} (datatrove's PIIFormatter)"))
    ours, theirs = (measured(who, "PERSON", 0.4, NAMED_DOCUMENTS)["speed"] for who in ("names", "names-engine"))
    measure = f"names of people by en_core_web_sm, {NAMED_DOCUMENTS} documents, kB a CPU second"
    rows.append(Row(measure, f"{1e3 * ours:.0f}", f"{1e3 * theirs:.0f} (AnalyzerEngine)"))  # the model's own time
    return rows


DEDUP_MEGABYTES, FEW_DOCUMENTS, COLD_DOCUMENTS = 500, 3000, 5000


def peers() -> str:
    """The Python of the environment that `make bench` installs the peers in."""
    python = HERE.parents[1] / os.environ.get("PEERS", ".venv-bench") / "bin" / "python"
    if not python.exists():
        sys.exit(f"{python} is missing: `make bench` makes it, or PEERS names its environment")
    return str(python)


def dedup_command(corpus: Path, output: Path) -> tuple[float, float]:
    """(CPU seconds with its workers', peak MB) of `gristmill run` with nothing but deduplication."""
    code = (
        "import resource, subprocess, sys\n"
        "subprocess.run([sys.executable, '-m', 'gristmill', *sys.argv[1:]], check=True, stdout=subprocess.DEVNULL)\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)\n"
    )
    settings = [f"input.paths=[{corpus}]", f"output={output}", *DEDUP_ALONE]
    words = ["run", "text", "--workers", "1", *(word for setting in settings for word in ("--set", setting))]
    command = [sys.executable, "-c", code, *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    cpu, peak = map(float, done.stdout.split())
    return cpu, peak


def dedup(work: Path, source: list[str]) -> list[Row]:
    """Signatures, and everything from JSONL to survivors, beside datatrove, datasketch, rensa and text-dedup."""
    folder, theirs = work / "dedup", peers()
    corpus = write_lines(folder / "in", duplicated_documents(source, DEDUP_MEGABYTES), 5000)
    cold = write_lines(folder / "cold", duplicated_documents(source, documents=COLD_DOCUMENTS), COLD_DOCUMENTS)
    few = write_lines(folder / "few", duplicated_documents(source, documents=FEW_DOCUMENTS), FEW_DOCUMENTS // 4)

    def whole(who: str, of: Path, python: str = theirs) -> dict:
        return _module("dedup_whole", who, str(of), str(folder / f"{who}-{of.name}-{time.time_ns()}"), python=python)

    def sketch(who: str, of: Path, python: str = theirs) -> float:
        found = _module("dedup_speed", who, str(of), python=python)
        return found["bytes"] / 1e6 / found["cpu"][1]

    rows = []
    sketch("fast", few, sys.executable), sketch("sha1", few, sys.executable)  # code is compiled once an installation
    dedup_command(few, folder / "first"), whole("together", few, sys.executable)
    rensa, bulk = sketch("rensa", cold), sketch("datasketch-sha1", few)
    told = {"rensa": f"rensa {rensa:.1f}", "bulk": f"datasketch's bulk {bulk:.1f}, first {FEW_DOCUMENTS:,} documents"}
    own, bits = (sketch(scheme, corpus, sys.executable) for scheme in ("fast", "sha1"))
    name = "MinHash signatures, own hashes, MB a CPU second"
    rows.append(Row(name, f"{own:.0f} ({own / rensa:.0f} x)", told["rensa"], "150 MB/s, 8 x"))
    rows.append(Row("the same", f"{own:.0f} ({own / bulk:.0f} x)", told["bulk"], "30 x"))
    rows.append(
        Row("the same, datasketch's sha1 bit for bit", f"{bits:.0f} ({bits / bulk:.0f} x)", told["bulk"], "10 x")
    )

    cpu, peak = dedup_command(corpus, folder / "run")
    found = {
        "rensa": whole("rensa", corpus),
        "datatrove": whole("datatrove", few),
        "text-dedup": whole("text-dedup", corpus),
    }
    call = whole("together", corpus, sys.executable)
    size, count = (found["rensa"][name] for name in ("bytes", "documents"))
    name = f"JSONL to survivors, {size / 1e6:.0f} MB, verified, ledger and pairs, "
    unverified = f"rensa, nothing verified: {found['rensa']['cpu']:.1f}"
    rows.append(Row(name + "CPU seconds", f"{cpu:.1f}", unverified, "as the peer"))
    rows.append(Row("the same, MB a CPU second", f"{size / 1e6 / cpu:.1f}", limit="10 MB/s"))
    for who, limit in (("datatrove", 70), ("text-dedup", 10)):
        rate = found[who]["documents"] / found[who]["cpu"]
        peer = f"{rate:,.0f} ({who}, first {found[who]['documents']:,} documents)"
        rows.append(
            Row(
                "the same, documents a CPU second",
                f"{count / cpu:,.0f} ({count / cpu / rate:.1f} x)",
                peer,
                f"{limit} x",
            )
        )
    others = ", ".join(f"{who} {facts['peak']:,.0f}" for who, facts in found.items())
    rows.append(Row("its peak RSS, MB", f"{peak:,.0f}", others))
    rows.append(
        Row("the call in memory on the same, CPU seconds, peak RSS", f"{call['cpu']:.1f}, {call['peak']:,.0f} MB")
    )

    ours = min((whole("together", cold, sys.executable) for _ in range(ROUNDS)), key=lambda facts: facts["cpu"])
    peer = min((whole(who, cold) for who in ("rensa", "rensa-verified") for _ in range(ROUNDS)), key=lambda f: f["cpu"])
    name = f"{COLD_DOCUMENTS:,} documents from a cold start, the call in memory, CPU seconds"
    start = f"{ours['cpu']:.2f} ({ours['start']:.2f} of it imports), {ours['peak']:,.0f} MB"
    theirs = f"rensa {peer['cpu']:.2f} ({peer['start']:.2f}), {peer['peak']:,.0f} MB"
    rows.append(Row(name, start, theirs, f"{2 * peer['cpu']:.2f}"))
    cpu, peak = min(dedup_command(cold, folder / f"cold-{i}") for i in range(ROUNDS))
    rows.append(Row("the same, `gristmill run`", f"{cpu:.1f}, {peak:,.0f} MB", limit="6.0"))
    return rows


def help_time() -> Row:
    """`gristmill --help`, best of 5."""
    times = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "gristmill", "--help"], stdout=subprocess.DEVNULL, check=True)
        times.append(time.perf_counter() - start)
    return Row("`gristmill --help`, best of 5", f"{min(times):.2f} s", limit="0.50 s")


def main() -> None:
    """Measure everything, print one table."""
    sizes = [int(a) for a in sys.argv[1:]] or [20, 100, 500]
    data = shared_data()
    source = paragraphs(data)
    with tempfile.TemporaryDirectory(prefix="gristmill-bench-") as folder:
        work = Path(folder)
        small = write_corpus(work / "small", source, 0.3)
        rows = [help_time(), *speed(work, source, small), training(work), *archives(work, data, small)]
        rows += filters(work, data, small)
        rows += personal_data(work, data)
        rows += dedup(work, source)
        rows += [*workers(work, source, small), *memory(work, source, sizes)]
    print(f"{os.cpu_count()} CPUs ({platform.machine()}), Python {platform.python_version()}\n")
    print("| measure | ours | peer | limit |\n|---|---|---|---|")
    for row in rows:
        print(f"| {row.measure} | {row.ours} | {row.peer} | {row.limit} |")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"\nThe table took {used.ru_utime + used.ru_stime:,.0f} s of CPU.")


if __name__ == "__main__":
    main()
