"""Which documents a training step learned from, and at which steps a document was learned.

The idea: sequence N of a run is a function of (manifest, seed, N), so no log of batches is needed: run.json names the
tokens by digest, and the answer is computed, for any step of the past. Step N is the update that makes N steps done,
as in metrics.jsonl: it reads the positions from (N - 1) * sequences to N * sequences - 1 of the run.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..console import RequestError, say

if TYPE_CHECKING:
    from .loader.stream import TokenStream


def trace_step(train_dir: str | Path, step: int) -> list[dict[str, Any]]:
    """The documents of the batch of `step` (from 1 on, done or yet to come), in the order in which they stand in it.

    Each is a dict: `sequence_in_batch`, `sequence` (its number in the stream), and of the document `id`, `key` (hex),
    `source`, `record`, `offset`, `first` and `last` (the ids of it that the sequence holds, counted from 0), `shard`
    (file) and `row`. Raises RequestError where the run or its tokens are not there.
    """
    from dataclasses import asdict

    import numpy as np

    from .loader.order import sequence_at

    if step < 1:
        raise RequestError(f"--step {step}: the first step of a run is step 1")
    data, _, stream = _open(train_dir)
    count, length = data["sequences"], data["length"]
    positions = np.arange((step - 1) * count, step * count)
    sequences = sequence_at(positions, stream.sequences(length), data["seed"])
    return [
        {"sequence_in_batch": place, "sequence": sequence} | asdict(part)
        for place, sequence in enumerate(sequences.tolist())
        for part in stream.parts(sequence, length)
    ]


def trace_document(train_dir: str | Path, id_or_key: str) -> list[int]:
    """The steps done so far, ascending, whose batch held an id of the document (of all documents that have this id).

    Empty where it was not read yet or lies in the last few ids that fill no sequence. Raises RequestError where no
    document of the train split has this id or key. Reads the column of ids, a record batch at a time.
    """
    import numpy as np

    from .loader.order import position_of

    data, steps_done, stream = _open(train_dir)
    count, length = data["sequences"], data["length"]
    n, consumed = stream.sequences(length), steps_done * data["sequences"]
    spans = _find(stream, id_or_key)
    if not spans:
        held_out = _find(_stream(train_dir, data, "validation"), id_or_key)
        why = "in the validation split: it is not trained on" if held_out else "in these tokens, by id or by key"
        raise RequestError(f"{id_or_key}: {'' if held_out else 'no such document '}{why}")
    sequences = np.unique(
        np.concatenate([np.arange(max(0, -(-first // length) - 1), (end - 1) // length + 1) for first, end in spans])
    )
    sequences = sequences[sequences < n]  # the last ids of the stream fill no sequence
    steps: set[int] = set()
    for epoch in range(-(-consumed // n) if n else 0):
        positions = position_of(sequences, epoch, n, data["seed"])
        steps.update((positions[positions < consumed] // count + 1).tolist())
    return sorted(steps)


def _open(train_dir: str | Path) -> tuple[dict[str, Any], int, TokenStream]:
    """(`data` of run.json, the last step that it or metrics.jsonl knows, the train split of the tokens it names)."""
    path = Path(train_dir, "run.json")
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
        data, steps_done = run["data"], run["steps_done"]
    except FileNotFoundError:
        raise RequestError(f"{path}: no such file; a training directory has one") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RequestError(f"{path}: not the run.json of a training run: {error!r}") from None
    return data, max(steps_done, _last_metric(train_dir)), _stream(train_dir, data, "train")


def _last_metric(train_dir: str | Path) -> int:
    """The step of the last line of metrics.jsonl, which is ahead of run.json after a checkpoint; 0 without one."""
    try:
        with open(Path(train_dir, "metrics.jsonl"), "rb") as file:
            file.seek(max(0, file.seek(0, 2) - (1 << 16)))
            lines = file.read().split(b"\n")
    except FileNotFoundError:
        return 0
    for line in reversed(lines[:-1]):  # what follows the last line feed is a line not yet whole
        try:
            return int(json.loads(line)["step"])
        except (ValueError, KeyError, TypeError):
            continue
    return 0


def _stream(train_dir: str | Path, data: dict[str, Any], split: str) -> TokenStream:
    """A split of the tokens of a run; a relative path is looked for beside run.json, then in the current directory."""
    from .loader.stream import TokenStream

    beside = Path(train_dir, data["tokens"])
    stream = TokenStream(beside if beside.exists() else Path(data["tokens"]), split)
    if stream.digest != data["digest"]:
        raise RequestError(
            f"{stream.directory}: these tokens have digest {stream.digest[:12]}, the run was trained on "
            f"{data['digest'][:12]}; bring back the tokens of the run"
        )
    return stream


def _find(stream: TokenStream, id_or_key: str) -> list[tuple[int, int]]:
    """(first, end) in the stream of every document with this id, or with this key in hex."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    from ..document import KEY_BYTES

    try:
        key = bytes.fromhex(id_or_key)
    except ValueError:
        key = b""
    found = []
    for number, start in enumerate(stream.starts[:-1].tolist()):
        shard = stream.shard(number)
        for batch in shard.batches:
            equal = pc.equal(batch.rows["id"], id_or_key).fill_null(False)
            if len(key) == KEY_BYTES:
                equal = pc.or_(equal, pc.equal(batch.rows["key"], pa.scalar(key, pa.binary(KEY_BYTES))))
            for row in np.flatnonzero(equal.to_numpy(zero_copy_only=False)).tolist():
                first, end = shard.span(batch.first_row + row)
                found.append((start + first, start + end))
    return found


def register(app: typer.Typer) -> None:
    """Add `gristmill trace`."""

    @app.command()
    def trace(
        train: Annotated[Path, typer.Argument(help="A training directory.")],
        step: Annotated[int | None, typer.Option(help="Name the documents of this step's batch.")] = None,
        document: Annotated[
            str | None, typer.Option(help="Name the steps of the document with this id or key.")
        ] = None,
    ) -> None:
        """Which documents a step was trained on (--step), or at which steps a document was (--document)."""
        if (step is None) == (document is None):
            raise RequestError("trace: give one of --step N and --document ID")
        if step is not None:
            rows = trace_step(train, step)
            print("\t".join(rows[0]))
            for row in rows:
                print("\t".join("" if value is None else str(value) for value in row.values()))
            said = f"step {step}: {len({row['sequence_in_batch'] for row in rows})} sequences"
            say(f"{said}, {len(rows)} parts of documents")
        else:
            steps = trace_document(train, document)
            for number in steps:
                print(number)
            say(f"{document}: in {len(steps)} steps so far")
