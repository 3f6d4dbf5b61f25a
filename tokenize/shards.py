"""Token shards: Arrow IPC files of one row a document, mapped into memory and never parsed.

The idea: the reader of a training batch wants a few thousand ids at known places. An uncompressed Arrow file gives them
as a view of the page cache: opening costs one small message a record batch, whatever the file holds, and the same
file stays readable by any Arrow library, with the origin of every document beside its ids. The trade-off is space:
two bytes an id, where zstd would save about a third.

Order: value = hash64(seed, key); a shard is a range of the value; inside a shard rows go by (value, key). So the order
of a corpus is random with respect to its sources and is a function of seed and keys alone.
"""

from __future__ import annotations

import hashlib
import os
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from ..config import Settings
from ..console import WorkError
from ..document import below, draws, key_words, token_schema

FORMAT = "1"
METADATA = {"gristmill.format": FORMAT}
ORIGIN = ("id", "key", "source", "record", "offset")  # the columns that say where a document came from
TOKENS_PER_BATCH = 1 << 22


class ShardInfo(Settings):
    """What a manifest says of one shard."""

    file: str = Field(description="path of the shard, relative to the manifest")
    rows: int = Field(ge=0, description="documents")
    tokens: int = Field(ge=0, description="token ids, an end-of-text id for each document included")
    bytes: int = Field(ge=0, description="size of the file")
    sha256: str = Field(description="sha256 of the file, in hex")
    utf8_bytes: int = Field(ge=0, description="UTF-8 bytes of the texts: what bits per byte are divided by")


# -- who goes where --------------------------------------------------------------------------------------------------


def shard_values(words: np.ndarray, seed: int) -> np.ndarray:
    """uint64[n]: the value that orders documents, of their keys (`document.key_words`)."""
    return draws(words, seed, "shards")


def shard_count(tokens: int, shard_tokens: int) -> int:
    """How many shards of about `shard_tokens` ids hold `tokens` ids; at least one."""
    return max(1, -(-tokens // shard_tokens))


def shard_of(values: np.ndarray, shards: int) -> np.ndarray:
    """int64[n]: floor(value * shards / 2^64), exactly: the high half of a 128-bit product, in two steps of 32 bits."""
    if not 1 <= shards < 1 << 32:
        raise ValueError(f"from 1 to 2^32 - 1 shards, found {shards}")
    values, many, half = np.asarray(values, np.uint64), np.uint64(shards), np.uint64(32)
    low = (values & np.uint64(0xFFFFFFFF)) * many >> half
    return ((values >> half) * many + low >> half).astype(np.int64)


def value_range(shard: int, shards: int) -> tuple[int, int]:
    """(first, last) value that `shard_of` puts into `shard` of `shards`."""
    return -(-(shard << 64) // shards), -(-(shard + 1 << 64) // shards) - 1


def validation_split(words: np.ndarray, seed: int, share: float) -> np.ndarray:
    """bool[n]: who belongs to the validation split, a fraction `share` of all."""
    return draws(words, seed, "split") < np.uint64(below(share))


# -- writing ---------------------------------------------------------------------------------------------------------


def write_shard(path: str | Path, table: pa.Table, *, seed: int, utf8_bytes: int) -> ShardInfo:
    """Write the documents of one shard, in any order, and say what was written; `file` is the name without folders.

    `table` has the columns of `document.token_schema`. The bytes are a function of its rows and `seed` alone. The file
    is written aside and renamed, so a name that exists is a whole file. Raises OSError where the disk fails.
    """
    path = Path(path)
    schema = token_schema(table.schema.field("tokens").type.value_type).with_metadata(METADATA)
    table = table.cast(schema).combine_chunks()
    aside = path.with_name(f"{path.name}.part")
    tokens = 0
    with pa.OSFile(str(aside), "wb") as file, pa.ipc.new_file(file, schema) as writer:
        for batch in _in_order(table, seed):
            tokens += len(batch["tokens"].flatten())
            writer.write_batch(batch)
    with open(aside, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    size = aside.stat().st_size
    os.replace(aside, path)
    return ShardInfo(
        file=path.name, rows=table.num_rows, tokens=tokens, bytes=size, sha256=digest, utf8_bytes=utf8_bytes
    )


def _in_order(table: pa.Table, seed: int) -> Iterator[pa.RecordBatch]:
    """Rows by (value, key), in record batches of about TOKENS_PER_BATCH ids; `table` has one chunk a column.

    Between equal keys, whose content is the same anyway, the place in the input decides. Rows are put in order a batch
    at a time: Arrow needs eight bytes for each token that it moves.
    """
    if table.num_rows == 0:
        return
    words = key_words(table["key"])
    by = {"value": shard_values(words, seed), "high": words[:, 0], "low": words[:, 1]}
    by |= {"source": table["source"], "record": table["record"]}
    order = pc.sort_indices(pa.table(by), sort_keys=[(name, "ascending") for name in by])
    (whole,) = table.to_batches()
    lengths = pc.list_value_length(whole["tokens"]).to_numpy()[order.to_numpy()]
    group = (np.cumsum(lengths) - lengths) // TOKENS_PER_BATCH
    starts = np.flatnonzero(np.r_[True, group[1:] != group[:-1]])
    for start, end in zip(starts, np.r_[starts[1:], len(group)], strict=True):
        rows = whole.take(order.slice(start, end - start))
        at = rows.schema.get_field_index("offset")
        yield rows.set_column(at, rows.schema.field(at), _zero_where_null(rows["offset"]))


def _zero_where_null(column: pa.Array) -> pa.Array:
    """The same numbers; what stands in memory where one is null is zero, so that the file's bytes are determined."""
    return pa.array(column.fill_null(0).to_numpy(), column.type, mask=column.is_null().to_numpy(zero_copy_only=False))


# -- reading ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Batch:
    """One record batch of a mapped shard: views, no copies."""

    first_row: int
    first_token: int
    tokens: np.ndarray  # uint16 or uint32 [t]: the ids of all rows, one after another
    offsets: np.ndarray  # int64[r + 1]: row i has tokens[offsets[i]:offsets[i + 1]]
    rows: pa.RecordBatch


class Shard:
    """A shard mapped into memory. `rows` and `tokens` are its totals, `batches` its record batches in order."""

    def __init__(self, path: str | Path):
        """Costs a small message a record batch. Raises WorkError where the file is missing or no token shard."""
        self.path = Path(path)
        self.batches: list[Batch] = []
        self.rows = self.tokens = 0
        try:
            reader = pa.ipc.open_file(pa.memory_map(str(path)))
            self._check(reader.schema)
            for i in range(reader.num_record_batches):
                self._add(reader.get_batch(i))
        except FileNotFoundError:
            raise WorkError(f"{path}: no such file, though the manifest names it") from None
        except (pa.ArrowException, ValueError) as error:
            raise WorkError(f"{path}: not a token shard: {error}") from None
        self.first_rows = [batch.first_row for batch in self.batches]
        self.first_tokens = [batch.first_token for batch in self.batches]

    def _check(self, schema: pa.Schema) -> None:
        found = (schema.metadata or {}).get(b"gristmill.format", b"").decode()
        if found != FORMAT:
            raise ValueError(f"its gristmill.format is {found!r}, this version reads {FORMAT!r}")
        if not any(schema.equals(token_schema(dtype)) for dtype in (pa.uint16(), pa.uint32())):
            raise ValueError(f"unexpected columns: {', '.join(f'{field.name} {field.type}' for field in schema)}")

    def _add(self, rows: pa.RecordBatch) -> None:
        if rows.num_rows == 0:
            return
        rows.validate()
        offsets, tokens = rows["tokens"].offsets.to_numpy(), rows["tokens"].flatten().to_numpy()
        offsets = offsets if offsets[0] == 0 else offsets - offsets[0]
        self.batches.append(Batch(self.rows, self.tokens, tokens, offsets, rows))
        self.rows += rows.num_rows
        self.tokens += len(tokens)

    @cached_property
    def offsets(self) -> np.ndarray:
        """int64[rows + 1]: where each document's ids begin among the shard's; costs eight bytes a document."""
        parts = [batch.offsets[:-1] + batch.first_token for batch in self.batches]
        return np.concatenate([*parts, np.array([self.tokens], np.int64)])

    def copy(self, first: int, out: np.ndarray) -> int:
        """Copy ids from number `first` on into `out`, as many as there are and fit; how many they were."""
        done = 0
        at = _last_at_most(self.first_tokens, first)
        while done < len(out) and 0 <= at < len(self.batches):
            batch = self.batches[at]
            part = batch.tokens[first + done - batch.first_token :][: len(out) - done]
            out[done : done + len(part)] = part
            done += len(part)
            at += 1
        return done

    def row_of(self, token: int) -> int:
        """The row that id number `token` of the shard belongs to."""
        batch = self.batches[_last_at_most(self.first_tokens, token)]
        return batch.first_row + int(np.searchsorted(batch.offsets, token - batch.first_token, side="right")) - 1

    def span(self, row: int) -> tuple[int, int]:
        """(first, end): the ids of document `row` have the numbers first <= number < end in the shard."""
        batch = self._batch_of(row)
        start, end = batch.offsets[row - batch.first_row : row - batch.first_row + 2].tolist()
        return batch.first_token + start, batch.first_token + end

    def document(self, row: int) -> dict[str, Any]:
        """Who document `row` is: id, key (bytes), source, record, offset (None where its format has none)."""
        batch = self._batch_of(row)
        return {name: batch.rows[name][row - batch.first_row].as_py() for name in ORIGIN}

    def _batch_of(self, row: int) -> Batch:
        return self.batches[_last_at_most(self.first_rows, row)]


def _last_at_most(starts: list[int], value: int) -> int:
    """The last index whose start is at most `value`; -1 where none is."""
    return bisect_right(starts, value) - 1
