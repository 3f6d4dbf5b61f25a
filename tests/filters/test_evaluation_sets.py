"""Evaluation sets out of files of every form."""

from __future__ import annotations

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from gristmill.filters import evaluation_sets

QUESTION = "How many bushels of wheat does the mill grind in a day?"


def test_sets_of_every_form(tmp_path):
    rows = [
        {"id": i, "q": {"parts": [f"{word} {QUESTION}"], "n": 3}, "x": None, "y": "end"} for i, word in enumerate("abc")
    ]
    lines = "\n".join(map(json.dumps, rows)).encode()
    (tmp_path / "a.jsonl").write_bytes(b"\xef\xbb\xbf" + lines + b"\n\n")
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(lines))
    (tmp_path / "c.jsonl.zst").write_bytes(zstandard.compress(lines))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "d.parquet")
    for name in ("a.jsonl", "b.jsonl.gz", "c.jsonl.zst", "d.parquet", "[a].*"):
        for fields in (["q.parts"], ["q"]):
            group = evaluation_sets.EvaluationSet(paths=str(tmp_path / name), fields=tuple(fields))
            items = list(evaluation_sets.read_items("s", group))
            assert items == [(str(i), [f"{word} {QUESTION}"]) for i, word in enumerate("abc")]
    group = group.model_copy(update={"id_field": None, "joined": True, "fields": ("y", "q")})
    assert next(evaluation_sets.read_items("s", group)) == ("a.jsonl:1", [f"end a {QUESTION}"])
