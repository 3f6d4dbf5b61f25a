"""The account of every record: ledger rows from verdicts, samples of what was dropped."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from ..document import DROP, EDIT, KEY_BYTES, LEDGER, draws, key_words, ledger_rows
from ..filters.pii.scrub import scrub_ids, scrub_texts
from ..filters.pii.settings import ScrubSettings
from ..filters.stage import Drops, Edits
from .files import ParquetSink
from .readers.batches import Damaged

REJECTED = pa.schema(
    [
        ("id", pa.string()),
        ("key", pa.binary(KEY_BYTES)),
        ("source", pa.string()),
        ("record", pa.int64()),
        ("stage", pa.string()),
        ("rule", pa.string()),
        ("text", pa.large_string()),
    ]
)
SAMPLE_PER_RULE, SAMPLE_CHARACTERS = 20, 20_000
MARGIN = (
    500  # characters beyond the cut that are scrubbed and then dropped: half an address is no address to a scrubber
)


def damaged_rows(source: str, records: Sequence[Damaged]) -> pa.RecordBatch:
    """Terminal rows of records that are no documents."""
    n = len(records)
    columns = [
        pa.array([d.id for d in records], pa.string()),
        pa.array([d.key for d in records], pa.binary(KEY_BYTES)),
        pa.array([source] * n, pa.string()),
        pa.array([d.record for d in records], pa.int64()),
        pa.array(["read"] * n, pa.string()),
        pa.array([d.rule for d in records], pa.string()),
        pa.array([DROP] * n, pa.string()),
        pa.array([d.value for d in records], pa.float64()),
        pa.array([d.threshold for d in records], pa.float64()),
        pa.array([d.detail for d in records], pa.string()),
        pa.array(["1"] * n, pa.string()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=LEDGER)


def verdict_rows(
    batch: pa.RecordBatch, stage: str, version: str, verdicts: Sequence[Drops | Edits]
) -> Iterator[pa.RecordBatch]:
    """Rows of what one stage dropped or changed in a batch."""
    for verdict in verdicts:
        yield ledger_rows(
            batch,
            verdict.rows,
            stage=stage,
            rule=verdict.rule,
            action=DROP if isinstance(verdict, Drops) else EDIT,
            value=verdict.values,
            threshold=verdict.threshold,
            detail=None if verdict.detail is None else pa.array(list(verdict.detail), pa.string()),
            version=version,
        )


def scrubbed_rows(rows: pa.RecordBatch, scrub: ScrubSettings | None) -> pa.RecordBatch:
    """Ledger rows with what comes from records scrubbed: a record may be dropped before the scrubber sees it.

    That is their ids, and in the details of damaged records what stands in a header.
    """
    if scrub is None:
        return rows
    ids, details = rows.column("id"), rows.column("detail")
    if ids.null_count < len(ids):
        rows = rows.set_column(0, LEDGER.field("id"), scrub_ids(ids, scrub))
    if details.null_count < len(details) and rows.column("stage")[0].as_py() == "read":
        at = LEDGER.get_field_index("detail")
        rows = rows.set_column(at, LEDGER.field(at), scrub_texts(details, scrub))
    return rows


class Ledger:
    """Writes ledger rows and counts them."""

    def __init__(self, path: str, scrub: ScrubSettings | None):
        self.sink, self.scrub = ParquetSink(path, LEDGER), scrub
        self.counts: Counter[str] = Counter()  # "stage/rule/action" -> rows

    def write(self, rows: pa.RecordBatch) -> None:
        """Rows of any action."""
        if rows.num_rows:
            names = zip(*(rows.column(c).to_pylist() for c in ("stage", "rule", "action")), strict=True)
            self.counts.update("/".join(name) for name in names)
            self.sink.write(scrubbed_rows(rows, self.scrub))

    def close(self) -> None:
        self.sink.close()


class Rejects:
    """Texts of dropped documents, scrubbed: all, or the SAMPLE_PER_RULE with the smallest draws of each rule."""

    def __init__(self, path: str, mode: str, seed: int, scrub: ScrubSettings | None):
        self.sink, self.mode, self.seed, self.scrub = ParquetSink(path, REJECTED), mode, seed, scrub
        self.heaps: dict[str, list] = {}

    def add(self, batch: pa.RecordBatch, stage: str, rule: str, rows: np.ndarray) -> None:
        """The documents `rows` of `batch` were dropped by `rule`."""
        if self.mode == "none" or not len(rows):
            return
        part = batch.take(pa.array(rows, pa.int64()))
        part = pa.RecordBatch.from_arrays(
            [
                *(part.column(c) for c in ("id", "key", "source", "record")),
                pa.repeat(pa.scalar(stage), len(rows)),
                pa.repeat(pa.scalar(rule), len(rows)),
                part.column("text"),
            ],
            schema=REJECTED,
        )
        if self.mode == "all":
            self._write(part)
            return
        heap = self.heaps.setdefault(f"{stage}/{rule}", [])
        for i, draw in enumerate(draws(key_words(part.column("key")), self.seed, "rejected").tolist()):
            if len(heap) < SAMPLE_PER_RULE or -heap[0][0] > draw:
                row = part.slice(i, 1).to_pylist()[0]
                row["text"] = row["text"][: SAMPLE_CHARACTERS + MARGIN]
                place = (row["source"], row["record"])
                (heapq.heappush if len(heap) < SAMPLE_PER_RULE else heapq.heapreplace)(heap, (-draw, place, row))

    def _write(self, part: pa.RecordBatch) -> None:
        self.sink.write(self._scrubbed(part))

    def _scrubbed(self, part: pa.RecordBatch) -> pa.RecordBatch:
        if self.scrub is not None:
            part = part.set_column(0, REJECTED.field(0), scrub_ids(part.column(0), self.scrub))
            part = part.set_column(6, REJECTED.field(6), scrub_texts(part.column(6), self.scrub))
        return part

    def close(self) -> None:
        for rule in sorted(self.heaps):
            rows = [row for _, _, row in sorted(self.heaps[rule], key=lambda item: (-item[0], item[1]))]
            scrubbed = self._scrubbed(pa.RecordBatch.from_pylist(rows, schema=REJECTED)).to_pylist()
            for row, before in zip(scrubbed, rows, strict=True):
                if len(before["text"]) > SAMPLE_CHARACTERS:  # cut, maybe in the middle of an address
                    row["text"] = row["text"][:-MARGIN][:SAMPLE_CHARACTERS]
            self.sink.write(pa.RecordBatch.from_pylist(scrubbed, schema=REJECTED))
        self.sink.close()
