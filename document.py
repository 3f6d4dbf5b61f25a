"""What flows: the document, the ledger row, the token shard row; keys, handles and seeded draws.

The idea: a document is known by its `key`, a 128-bit hash of parsed values (never of raw bytes, a file name or a
place), so the same record keeps its key when its file is renamed, reordered, re-split or turned from JSONL into
Parquet. Every tie, draw and permutation is a function of (seed, key, purpose) alone; nothing that is kept can depend
on arrival.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

KEY_BYTES = 16

DOCUMENT = pa.schema(
    [
        ("id", pa.string()),  # for people: the record's own, else derived from its content; decides nothing
        ("key", pa.binary(KEY_BYTES)),
        ("text", pa.large_string()),
        ("source", pa.string()),  # input file, relative to the input root
        ("record", pa.int64()),  # the record's place in that file
        ("offset", pa.int64()),  # byte offset of the record in the file as stored; null where the format has none
        ("url", pa.string()),
        ("date", pa.string()),
        ("language", pa.string()),
        ("metadata", pa.string()),  # JSON, keys sorted: every other field of the input
    ]
)

LEDGER = pa.schema(
    [
        ("id", pa.string()),
        ("key", pa.binary(KEY_BYTES)),
        ("source", pa.string()),
        ("record", pa.int64()),
        ("stage", pa.string()),
        ("rule", pa.string()),
        ("action", pa.string()),  # keep | drop (one terminal row a record) | edit (any number)
        ("value", pa.float64()),
        ("threshold", pa.float64()),
        ("detail", pa.string()),  # JSON
        ("version", pa.string()),
    ]
)

KEEP, DROP, EDIT = "keep", "drop", "edit"


def token_schema(dtype: pa.DataType) -> pa.Schema:
    """Rows of a token shard of kind "text"; `dtype` is uint16 or uint32."""
    return pa.schema(
        [
            ("tokens", pa.large_list(pa.field("item", dtype, nullable=False))),
            ("id", pa.string()),
            ("key", pa.binary(KEY_BYTES)),
            ("source", pa.string()),
            ("record", pa.int64()),
            ("offset", pa.int64()),
        ]
    )


# -- keys ------------------------------------------------------------------------------------------------------------

# What Arrow takes for a timestamp when it reads JSON: at least a date, at most nanoseconds and an offset
_TIMESTAMP = re.compile(
    r"(\d{4}-\d\d-\d\d(?:[T ]\d\d(?::\d\d(?::\d\d(?:\.\d{1,6})?)?)?)?)((?<=\.\d{6})\d{1,3})?"
    r"(Z|[+-]\d\d(?::?\d\d)?)?\Z",
    re.ASCII,
)


def canonical(value: Any) -> Any:
    """`value` as the key sees it: what JSON and Parquet may spell differently is made one.

    Null fields are absent fields; 1.0 is 1; a timestamp and its ISO text are the same, since Parquet writers infer it.
    """
    if isinstance(value, str):
        return _timestamp(value) if value[:1].isdigit() else value
    if isinstance(value, Mapping):
        return {str(k): canonical(v) for k, v in value.items() if v is not None}
    if isinstance(value, (list, tuple)):
        return [canonical(v) for v in value]
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    if isinstance(value, datetime):
        value = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
        return value.isoformat(timespec="microseconds")
    if isinstance(value, date):
        return f"{value.isoformat()}T00:00:00.000000"
    if isinstance(value, bytes):
        return value.hex()
    return value


def _timestamp(text: str) -> str:
    time = _time(text)
    return text if time is None else time.isoformat(timespec="microseconds")


def _time(text: str) -> datetime | None:
    """The moment (UTC, or without a zone) that a text names as _TIMESTAMP has it; None where it names none."""
    found = _TIMESTAMP.match(text)
    if found is None:
        return None
    day, _, zone = found.groups()
    try:
        time = datetime.fromisoformat(day + (zone or "") if len(day) > 10 else day)
        time = time.astimezone(UTC).replace(tzinfo=None) if time.tzinfo else time
    except (ValueError, OverflowError):  # the 31st of February is only text
        return None
    return None if zone and len(day) == 10 else time


def moment(text: str) -> int | None:
    """Microseconds since 1970 of an ISO date or timestamp; without a zone it is UTC. None for any other text."""
    time = _time(text)
    return None if time is None else (time - datetime(1970, 1, 1)) // timedelta(microseconds=1)


def json_text(value: Any) -> str:
    """Compact JSON with sorted keys; what JSON has no form for (dates, bytes) is written as text, NaN as null."""
    try:
        return json.dumps(
            value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=_plain, allow_nan=False
        )
    except ValueError:
        return json_text(_without_nan(value))


def _plain(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value.isoformat() if isinstance(value, date) else str(value)


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _without_nan(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def make_key(id: str | None, text: str, fields: Mapping[str, Any]) -> bytes:
    """The 16-byte key of a record: its id (if it has one), its text as read, and all its other fields."""
    rest = json_text(canonical(fields)) if fields else "{}"
    name, body, more = (part.encode("utf-8", "surrogatepass") for part in (id or "", text, rest))
    h = hashlib.blake2b(b"".join((_size(name), name, _size(body), body, _size(more), more)), digest_size=KEY_BYTES)
    return h.digest()


def _size(data: bytes) -> bytes:
    return len(data).to_bytes(8, "little")


def damaged_key(raw: bytes) -> bytes:
    """The key of a record that could not be parsed: of its raw bytes, under a name no whole record hashes to."""
    return hashlib.blake2b(raw, digest_size=KEY_BYTES, person=b"damaged").digest()


def key_words(keys: pa.Array) -> np.ndarray:
    """uint64[n, 2] of a fixed-size binary column: comparing rows as numbers is comparing keys as bytes."""
    keys = _one(keys)
    words = np.frombuffer(keys.buffers()[1], dtype=">u8", count=2 * (keys.offset + len(keys)))
    return words.reshape(-1, 2)[keys.offset :].astype(np.uint64)


def words_to_keys(words: np.ndarray) -> pa.Array:
    """The inverse of `key_words`: fixed-size binary(16) of uint64[n, 2]."""
    data = np.ascontiguousarray(words.astype(">u8"))
    return pa.Array.from_buffers(pa.binary(KEY_BYTES), len(words), [None, pa.py_buffer(data)])


# -- seeded draws ----------------------------------------------------------------------------------------------------


def draws(words: np.ndarray, seed: int, purpose: str) -> np.ndarray:
    """uint64[n]: one uniform draw a key, a function of (seed, key, purpose) alone. `words` as `key_words` gives them.

    splitmix64's finaliser (Steele, Lea and Flood 2014) over both halves of the key and a salt of seed and purpose.
    """
    salt = hashlib.blake2b(f"{seed}/{purpose}".encode(), digest_size=16).digest()
    a, b = (np.uint64(int.from_bytes(salt[i : i + 8], "little")) for i in (0, 8))
    with np.errstate(over="ignore"):
        return _mix(_mix(words[:, 0] ^ a) + (words[:, 1] ^ b))


def _mix(x: np.ndarray) -> np.ndarray:
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def below(share: float) -> int:
    """The bound that a fraction `share` of all draws falls below: `draws(...) < below(0.01)` is one in a hundred."""
    return min(int(share * 2.0**64), 2**64 - 1)


# -- batches ---------------------------------------------------------------------------------------------------------


def _one(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def text_buffers(texts: pa.Array | pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """(data uint8[bytes], offsets int64[n + 1]) of a string column, without a copy of the text; nulls read as empty."""
    texts = _one(texts)
    wide = pa.types.is_large_string(texts.type) or pa.types.is_large_binary(texts.type)
    _, offsets, data = texts.buffers()
    if len(texts) == 0:
        return np.empty(0, np.uint8), np.zeros(1, np.int64)
    offsets = np.frombuffer(offsets, np.int64 if wide else np.int32, texts.offset + len(texts) + 1)[texts.offset :]
    return (
        np.frombuffer(data, np.uint8) if data is not None and data.size else np.empty(0, np.uint8),
        np.ascontiguousarray(offsets, dtype=np.int64),
    )


def ledger_rows(
    batch: pa.RecordBatch,
    rows: np.ndarray,
    *,
    stage: str,
    rule: pa.Array | str,
    action: str,
    value: np.ndarray | float | None = None,
    threshold: np.ndarray | float | None = None,
    detail: pa.Array | None = None,
    version: str = "1",
) -> pa.RecordBatch:
    """Ledger rows of the documents `rows` (int64 positions in `batch`): a scalar stands for all rows, NaN is null."""
    n = len(rows)
    ids = batch.select(["id", "key", "source", "record"]).take(pa.array(rows, pa.int64()))

    def numbers(x: np.ndarray | float | None) -> pa.Array:
        if x is None:
            return pa.nulls(n, pa.float64())
        return pa.array(np.broadcast_to(np.asarray(x, np.float64), (n,)), pa.float64(), from_pandas=True)

    def texts(x: pa.Array | str) -> pa.Array:
        return pa.repeat(pa.scalar(x, pa.string()), n) if isinstance(x, str) else x.cast(pa.string())

    columns = [*ids.columns, texts(stage), texts(rule), texts(action), numbers(value), numbers(threshold)]
    columns += [pa.nulls(n, pa.string()) if detail is None else detail.cast(pa.string()), texts(version)]
    return pa.RecordBatch.from_arrays(columns, schema=LEDGER)
