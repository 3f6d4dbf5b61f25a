"""Reading one file as a unit of input, for the tests of the readers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gristmill.pipelines.readers import inputs
from gristmill.pipelines.readers.batches import READ, Damaged

OPTIONS = {"text_field": "text", "id_field": "id", "max_record_bytes": 64 << 20}


@dataclass
class Read:
    """All that a reader gives of some files."""

    documents: list[dict[str, Any]] = field(default_factory=list)
    damaged: list[Damaged] = field(default_factory=list)
    skipped: dict[str, int] = field(default_factory=dict)

    @property
    def rules(self) -> list[tuple[int, str]]:
        """(record, rule) of what is no document."""
        return [(d.record, d.rule) for d in self.damaged]

    @property
    def texts(self) -> list[str]:
        return [d["text"] for d in self.documents]

    @property
    def records(self) -> list[int]:
        """The numbers of all records that got a row."""
        return sorted([d["record"] for d in self.documents] + [d.record for d in self.damaged])


def read(paths: str | Path | Sequence[str | Path], **options: Any) -> Read:
    """All documents and damaged records, in the order of the sources; every part is of the schema READ."""
    found = Read()
    if isinstance(paths, (str, Path)):
        paths = [paths]
    for unit in inputs.units([str(p) for p in paths], None, OPTIONS | options):
        for part in inputs.read(unit):
            assert part.batch.schema == READ
            part.batch.validate(full=True)
            found.documents += part.batch.to_pylist()
            found.damaged += part.damaged
            for kind, n in part.skipped.items():
                found.skipped[kind] = found.skipped.get(kind, 0) + n
    return found


def write(path: Path, data: bytes) -> Path:
    """The path of a new file that holds `data`, packed as its name says."""
    import gzip

    import zstandard

    if path.suffix == ".gz":
        data = gzip.compress(data, 1, mtime=0)
    elif path.suffix == ".zst":
        data = zstandard.ZstdCompressor().compress(data)
    path.write_bytes(data)
    return path
