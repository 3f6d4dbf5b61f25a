"""Another reader's parts, as they are, and beside them what a plan must know of the records that it does not take.

Two files: `tally` + ".rows" has TALLY of every record, 16 bytes, `tally` + ".json" the CPU seconds of reading.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ...document import key_words
from . import inputs
from .batches import Part

TALLY = np.dtype([("key", "<u8"), ("text", "<u8")])  # leading halves of the key and of the hash of the text


def tallied(unit: dict[str, Any], tally: str, form: str | None) -> dict[str, Any]:
    """A unit of input, to be read by this reader; `form`: what makes texts equal (see dedup.exact), None: nothing."""
    return {**unit, "format": "tallied", "of": unit["format"], "tally": tally, "form": form}


def read(unit: dict[str, Any]) -> Iterator[Part]:
    """The parts of the unit."""
    from ...dedup.exact import content_hash

    seconds, start = 0.0, time.process_time()
    with open(f"{unit['tally']}.rows", "wb") as file:
        for part in inputs.read({**unit, "format": unit["of"]}):
            rows = np.empty(part.batch.num_rows, TALLY)
            rows["key"] = key_words(part.batch.column("key"))[:, 0]
            rows["text"] = content_hash(part.batch.column("text"), unit["form"])[:, 0] if unit["form"] else rows["key"]
            file.write(rows.tobytes())
            seconds += time.process_time() - start
            yield part
            start = time.process_time()
    seconds += time.process_time() - start
    Path(f"{unit['tally']}.json").write_text(json.dumps({"seconds": seconds}))
