"""Input for the tests of the road: about a thousand records in which everything happens that a run can meet.

Real prose and real texts in many languages, personal data, duplicates of every kind, records equal in every field, one
document for each rule of quality, damaged lines; and the same lines in other layouts: files renamed, cut elsewhere,
shuffled, packed, turned into Parquet.
"""

from __future__ import annotations

import gzip
import io
import itertools
import json
import random
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.json
import pyarrow.parquet as pq

Record = dict[str, Any]

BOILERPLATE = 80  # copies: above dedup.candidates.ALL_PAIRS
MAX_RECORD_BYTES = 60_000

# What `recipe` asks of quality; `max_words` is small so that a test can pass it.
QUALITY = {"min_words": 40, "max_words": 4000, "min_stop_words": 1}


def quality(**more: Any) -> dict[str, Any]:
    """Both of Gopher's families with the thresholds above and `more`."""
    repetition = {"min_characters": None}  # what is empty has no language, and is dropped before
    return {"gopher_repetition": repetition, "gopher_quality": QUALITY | more}


NEAR = {"threshold": 0.8}  # so that the input has candidates on both sides
LANGUAGES = ["en", "de", "fr", "es", "it"]


def recipe(paths: Sequence[str | Path], output: str | Path, **more: Any) -> dict[str, Any]:
    """A recipe that has a use for every record below, as YAML would give it."""
    return {
        "input": {"paths": [str(p) for p in paths], "max_record_bytes": MAX_RECORD_BYTES},
        "output": str(output),
        "language": {"keep": LANGUAGES, "min_score": 0.6},
        "quality": quality(),
        "dedup": {"minhash": NEAR},
        "tokenizer": {"vocabulary": 1000, "sample_bytes": 200_000},
        "tokens": {"shard_tokens": 30_000, "validation": 0.1},
        "corpus": {"min_characters": 250},
        "keep_work": True,
        **more,
    }


# -- records ---------------------------------------------------------------------------------------------------------


def read_records(path: Path) -> list[Record]:
    """The records of a .jsonl.zst or .jsonl.gz file."""
    import zstandard

    data = path.read_bytes()
    opened = (
        gzip.decompress(data) if path.suffix == ".gz" else zstandard.ZstdDecompressor().decompressobj().decompress(data)
    )
    return [json.loads(line) for line in opened.decode().splitlines()]


def records(shared_data: Path) -> list[Record]:
    """All good records, shuffled; the same for every call."""
    draw = random.Random(3)
    pieces = prose(shared_data)
    take = iter(pieces)

    def some(n: int) -> list[str]:
        return [next(take) for _ in range(n)]

    found: list[Record] = []
    found += [_plain(i, text, draw) for i, text in enumerate(some(150))]
    found += _languages(shared_data)
    found += [_personal(i, text, draw) for i, text in enumerate(some(30))]
    found += [{"text": text} for text in some(10) for _ in range(3)]  # equal in every field
    found += [{"id": f"copy-{i}-{k}", "text": t, "copy": k} for i, t in enumerate(some(15)) for k in range(2 + i % 3)]
    found += [{"id": "everybody", "text": text, "number": i} for i, text in enumerate(some(10))]  # the same id
    for i, text in enumerate(some(14)):
        found += [{"id": f"edit-{i}-{k}", "text": t} for k, t in enumerate(_edits(text, 2 + i % 5, draw))]
    notice = " ".join(some(4))
    for i in range(BOILERPLATE):
        found.append({"id": f"notice-{i}", "text": f"{notice}\nThe copy of page {i} was made in room {i * i}."})
    found += [{"id": f"rule-{name}", "text": text} for name, text in one_document_a_rule(pieces[:60]).items()]
    found.append({"id": "short", "text": " ".join(next(take).split()[:42])})  # long enough for quality, not for corpus
    draw.shuffle(found)
    return found


def prose(shared_data: Path) -> list[str]:
    """Stretches of presidents' speeches of about 1,000 characters, in paragraphs of a few sentences."""
    pieces = []
    for record in read_records(shared_data / "text-en" / "us-presidents-part1.jsonl.gz"):
        sentences = re.split(r"(?<=[.?!])\s+", record["text"])
        held: list[str] = []
        for sentence in sentences:
            held.append(sentence)
            if sum(map(len, held)) > 1000:
                pieces.append("\n\n".join(" ".join(held[i : i + 4]) for i in range(0, len(held), 4)))
                held = []
    return list(dict.fromkeys(pieces))


def _plain(i: int, text: str, draw: random.Random) -> Record:
    """Prose whose other fields are of all the types that JSON and Parquet may spell differently."""
    record: Record = {"text": text}
    if i % 3:
        record["id"] = f"speech-{i}"
    if i % 4 == 0:
        record["date"] = f"20{i % 20:02d}-0{1 + i % 9}-1{i % 10}T12:{i % 60:02d}:00"
    if i % 5 == 0:
        record["url"] = f"https://example.org/speeches/{i}"
        record["fetched"] = f"2021-03-{1 + i % 28:02d}"
    record["meta"] = {"score": i / 7, "rank": i, "tags": ["a", "b"][: i % 3], "by": {"name": None, "year": 1900 + i}}
    record["checked"] = bool(i % 2)
    record["weight"] = i if i % 2 else i + 0.25  # whole numbers among others: doubles in a table
    record["nothing"] = None
    return record


def _languages(shared_data: Path) -> list[Record]:
    """The Universal Declaration of Human Rights in 40 languages, 900 characters of each.

    An English line ends those in the languages that the recipe keeps, since the rules of quality are those of English.
    """
    found = []
    wanted = {"deu", "fra", "spa", "ita", "eng"}
    for i, record in enumerate(read_records(shared_data / "multilingual" / "udhr2-part1.jsonl.zst")):
        code = record["udhr_code"]
        if code in wanted or i % 10 == 0:
            text = record["text"][:900]
            text = text.rpartition("\n")[0] or text
            if code in wanted:
                text += "\nWith the help of the friends of the mill."
            found.append({"id": record["id"], "text": text, "meta": {"code": code}})
    return found


def _personal(i: int, text: str, draw: random.Random) -> Record:
    """Prose with an e-mail address and a phone number in it, some with the other kinds, some in other fields."""
    address = f"{draw.choice(['jane.doe', 'r.miller', 'office', 'x_y'])}{i}@example{i % 7}.org"
    phone = f"({draw.randint(201, 989)}) 555-{draw.randint(1000, 9999)}" if i % 2 else f"+1 415-67{i % 10}-26{10 + i}"
    more = [
        f"Write to {address} or call {phone}.",
        f"Paid with 4111 1111 1111 1111, then from 84.17.{i}.{i + 1}.",
        "The account is DE89 3704 0044 0532 0130 00 and the social security number 078-05-1121.",
    ]
    record: Record = {"text": f"{text}\n\n{' '.join(more[: 1 + i % 3])}"}
    if i % 6 == 0:
        record["id"] = address
    if i % 5 == 0:
        record["meta"] = {"author": {"mail": address, "year": 2000 + i}}
    return record


def _edits(text: str, n: int, draw: random.Random) -> list[str]:
    """A text and n copies, each with one more word changed than the one before: neighbours are nearer than the ends."""
    copies, words = [text], text.split(" ")
    for k in range(n):
        words = list(words)
        words[draw.randrange(len(words))] = f"edited{k}"
        copies.append(" ".join(words))
    return copies


# -- one document a rule of quality ----------------------------------------------------------------------------------


def one_document_a_rule(pieces: list[str]) -> dict[str, str]:
    """Rule -> a text whose first broken rule it is: of many texts made to break one, the first that does."""
    from gristmill.filters.quality.settings import QualitySettings, quality_stage
    from gristmill.filters.stage import first_verdicts

    made = list(_suspects(" ".join(pieces).split()))
    batch = pa.RecordBatch.from_pydict({"text": pa.array(made, pa.large_string())})
    stage = quality_stage(QualitySettings.model_validate_json(json.dumps(quality())))
    found = {verdict.rule: made[verdict.rows[0]] for verdict in first_verdicts(stage(batch))}
    missing = {check.rule for rule in stage.rules for check in rule.checks()} - found.keys()
    assert not missing, missing
    return found


def _suspects(words: list[str]) -> list[str]:
    lines = [" ".join(words[i : i + 9]) for i in range(0, 900, 9)]
    short, long = lines[:12], " ".join(words[900:1100])
    made = [
        "\n\n".join([*short, *short[:8]]),  # repeated paragraphs
        "\n\n".join([*short, long, long]),
        "\n".join([*short, *short[:8]]),  # repeated lines
        "\n".join([*short, long, long]),
        " ".join(words[: QUALITY["min_words"] - 1]),  # too few words
        " ".join(words[: QUALITY["max_words"] + 500]),
        " ".join([w for w in words if len(w) < 4][:300]),  # words too short
        "the of " + " ".join(a + b + c for a, b, c in zip(words[:60], words[60:120], words[120:180], strict=True)),
        " ".join(f"{w} #" if i % 6 == 0 else w for i, w in enumerate(words[:300])),  # symbols
        " ".join(f"{w}..." if i % 6 == 0 else w for i, w in enumerate(words[:300])),
        "\n".join(f"- {line}" for line in lines[:40]),  # bullets
        "\n".join(f"{line}..." if i % 2 else line for i, line in enumerate(lines[:40])),
        " ".join(f"{w} {i * 7919}" if i % 2 else w for i, w in enumerate(words[:300])),  # numbers
        " ".join(w for w in words[:600] if w not in ("the", "be", "to", "of", "and", "that", "have", "with")),
    ]
    for n in (2, 3, 4):  # one n-gram again and again, between other words
        gram = " ".join(["mountain", "creature", "northern", "painting"][:n])
        for between in range(2 * n, 8 * n):
            made.append(" ".join(f"{gram} {' '.join(words[i : i + between])}" for i in range(0, 12 * between, between)))
    for run in range(20, 60, 3):  # one stretch of words twice: how long a stretch decides which rule comes first
        for share in range(110, 330, 2):
            rest = 1100 + run * 1000 // share
            made.append(" ".join([*words[1000 : 1000 + run], *words[1100:rest], *words[1000 : 1000 + run]]))
    return made


# -- lines and layouts -----------------------------------------------------------------------------------------------

DAMAGED = [
    b'{"id": "broken", "text": "a string that does not end',
    b"[1, 2, 3]",
    b'"only a string"',
    b'{"id": "latin", "text": "caf\xe9 au lait"}',
    b'{"id": "no text", "body": "the text is missing"}',
    b'{"id": "number", "text": 12}',
    b"",
    b'{"id": "long", "text": "' + b"too much " * 8000 + b'"}',
    b'{"id": "broken", "text": "a string that does not end',
    b'{"id": "empty", "text": ""}',
]


def lines_of(found: Sequence[Record]) -> list[bytes]:
    """One JSON line a record."""
    return [json.dumps(record, ensure_ascii=False).encode() for record in found]


def mixed(found: Sequence[Record]) -> list[bytes]:
    """The lines of good and damaged records in one order."""
    lines = lines_of(found) + DAMAGED
    random.Random(5).shuffle(lines)
    return lines


def beside(folder: Path, shared_data: Path, prefix: str = "") -> None:
    """What lies beside the lines in every layout: a web archive, and a gzip file whose end is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(shared_data / "web" / "warc" / "cc-whirlwind.warc.gz", folder / f"{prefix}pages.warc.gz")
    packed = gzip.compress(
        b"\n".join(lines_of([{"id": f"cut-{i}", "text": f"line {i} of few"} for i in range(50)])), mtime=0
    )
    (folder / f"{prefix}cut.jsonl.gz").write_bytes(packed[: len(packed) // 2])


def cut(lines: Sequence[bytes], parts: int) -> list[list[bytes]]:
    """Consecutive stretches, the first ones longer."""
    bounds = [round(len(lines) * (i / parts) ** 0.8) for i in range(parts + 1)]
    return [list(lines[a:b]) for a, b in itertools.pairwise(bounds)]


def write_lines(
    folder: Path, parts: Sequence[Sequence[bytes]], name: Callable[[int], str] = "part-{}.jsonl".format
) -> None:
    """A file a part; `name` gives its name and with its ending how it is packed."""
    import zstandard

    folder.mkdir(parents=True, exist_ok=True)
    for i, part in enumerate(parts):
        data, path = b"".join(line + b"\n" for line in part), folder / name(i)
        if path.suffix == ".gz":
            data = gzip.compress(data, mtime=0)
        elif path.suffix == ".zst":
            data = zstandard.ZstdCompressor().compress(data)
        path.write_bytes(data)


def write_parquet(folder: Path, parts: Sequence[Sequence[Record]], row_group: int = 60) -> None:
    """The records as `pyarrow.json` reads them: types, timestamps too, are what it infers of all of them."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, part in enumerate(parts):
        data = b"".join(line + b"\n" for line in lines_of(part))
        options = pa.json.ReadOptions(block_size=max(len(data), 1))
        table = pa.json.read_json(io.BytesIO(data), read_options=options)
        pq.write_table(table, folder / f"table-{i}.parquet", row_group_size=row_group)
