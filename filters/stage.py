"""What a stage is: it looks at a batch of documents and says what it measured, whom it drops and what it changed.

A stage is built once a worker from its settings and called with a batch of n documents; it never removes rows itself.
Whoever runs the stages applies the verdicts, so that one place writes the ledger, and a stage is testable on its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import pyarrow as pa


@dataclass(frozen=True)
class Drops:
    """Verdicts of one rule: the rows it drops, the value measured on each, the threshold it broke."""

    rule: str
    rows: np.ndarray  # int64[k], ascending positions in the batch
    values: np.ndarray | None = None  # float64[k]
    threshold: float | None = None
    detail: Sequence[str] | None = None  # JSON, one a row


@dataclass(frozen=True)
class Edits:
    """Changes of one rule: the rows whose text it changed. At most one edit a row and rule."""

    rule: str
    rows: np.ndarray
    values: np.ndarray | None = None
    threshold: float | None = None
    detail: Sequence[str] | None = None


@dataclass
class Outcome:
    """What one stage says of a batch of n documents."""

    batch: pa.RecordBatch  # the same n rows in the same order, with the stage's edits applied
    signals: dict[str, np.ndarray] = field(default_factory=dict)  # name -> one number a row (NaN: not measured)
    details: dict[str, list[str | None]] = field(default_factory=dict)  # rule -> what its ledger rows tell, JSON a row
    drops: list[Drops] = field(default_factory=list)  # in the order of the rules; the first that names a row counts
    edits: list[Edits] = field(default_factory=list)


class Stage(Protocol):
    """One step of the first phase over a batch of documents (the schema of `document.DOCUMENT`, plus `media`)."""

    name: str  # the ledger's `stage`
    version: str  # the ledger's `version`: raised by hand when the stage's output changes

    def __call__(self, batch: pa.RecordBatch) -> Outcome: ...


def first_verdicts(outcome: Outcome) -> list[Drops]:
    """The drops with every row named once, by the first rule that names it."""
    taken = np.zeros(outcome.batch.num_rows, bool)
    result = []
    for drop in outcome.drops:
        new = ~taken[drop.rows]
        taken[drop.rows] = True
        if new.any():
            detail = None if drop.detail is None else [d for d, n in zip(drop.detail, new, strict=True) if n]
            values = None if drop.values is None else np.asarray(drop.values)[new]
            result.append(Drops(drop.rule, drop.rows[new], values, drop.threshold, detail))
    return result


def with_text(batch: pa.RecordBatch, texts: pa.Array) -> pa.RecordBatch:
    """`batch` with its text column replaced."""
    return batch.set_column(batch.schema.get_field_index("text"), batch.schema.field("text"), texts)
