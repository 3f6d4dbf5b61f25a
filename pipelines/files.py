"""Files of a run: Parquet and Arrow written in bounded memory, with bytes that depend on the rows alone.

Single-threaded zstd, row groups cut by rows and bytes of what is in them, no schema metadata of the library's.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

ROWS, BYTES = 50_000, 16 << 20
LEVEL = 1  # of zstd: half the time of level 3, for an eighth more bytes


class ParquetSink:
    """A Parquet file written batch by batch; a row group holds at most ROWS rows and about BYTES bytes."""

    def __init__(
        self, path: str, schema: pa.Schema, dictionary: tuple[str, ...] = ("source", "stage", "rule", "action")
    ):
        names = [name for name in dictionary if name in schema.names]
        self.schema, self.held, self.rows, self.size, self.total = schema, [], 0, 0, 0
        self.writer = pq.ParquetWriter(
            path, schema, compression="zstd", compression_level=LEVEL, use_dictionary=names or False, store_schema=False
        )

    def write(self, batch: pa.RecordBatch) -> None:
        if batch.num_rows == 0:
            return
        self.held.append(batch)
        self.rows += batch.num_rows
        self.size += batch.nbytes
        self.total += batch.num_rows
        if self.rows >= ROWS or self.size >= BYTES:
            self._flush()

    def _flush(self) -> None:
        if self.held:
            self.writer.write_table(pa.Table.from_batches(self.held, self.schema), row_group_size=ROWS)
        self.held, self.rows, self.size = [], 0, 0

    def close(self) -> None:
        self._flush()
        self.writer.close()


class ArrowSink:
    """An Arrow IPC file written batch by batch; `compression` None, "lz4" or "zstd"."""

    def __init__(self, path: str, schema: pa.Schema, compression: str | None = None):
        self.file = pa.OSFile(path, "wb")
        options = pa.ipc.IpcWriteOptions(compression=compression, use_threads=False)
        self.writer = pa.ipc.new_file(self.file, schema, options=options)
        self.total = 0

    def write(self, batch: pa.RecordBatch) -> None:
        if batch.num_rows:
            self.writer.write_batch(batch)
            self.total += batch.num_rows

    def close(self) -> None:
        self.writer.close()
        self.file.close()


def arrow_batches(path: str | Path) -> Iterator[pa.RecordBatch]:
    """The batches of an Arrow IPC file, one in memory at a time."""
    with pa.OSFile(str(path)) as file:
        reader = pa.ipc.open_file(file)
        for i in range(reader.num_record_batches):
            yield reader.get_batch(i)


def parquet_batches(path: str | Path, schema: pa.Schema, rows: int = 1000) -> Iterator[pa.RecordBatch]:
    """The batches of one of our Parquet files, in the types of `schema`."""
    file = pq.ParquetFile(path, pre_buffer=False)
    for batch in file.iter_batches(batch_size=rows, columns=schema.names, use_threads=False):
        yield pa.RecordBatch.from_arrays(
            [column.cast(f.type) for column, f in zip(batch.select(schema.names).columns, schema, strict=True)],
            schema=schema,
        )
