"""The last stage of the first phase: personal data are replaced before anything of a document is written.

Texts are searched by the gate (`gate.py`: Presidio's findings) and edited (`actions.py`). Replacing a finding moves
the words around its neighbours, and a context word that now stands nearer may turn what was a low score into a
finding; so a text that was edited is searched again until nothing is found. Scrubbing what was scrubbed therefore
changes nothing.

Ids, addresses, dates, languages and metadata come from strangers as well and are scrubbed too (`fields.py`). `source`
and `record` name a file of the user and stay.

The threshold. Presidio scores an e-mail address, card number or IBAN that passes its check 1.0, an IP address 0.6, a
social security number with separators 0.5, a phone number 0.4, nine bare digits 0.05 and a bare `::` 0.1; a context
word near it adds 0.35, to at least 0.4. The default of 0.4 takes whatever has the whole form of its kind, and bare
digits only where a word such as "ssn" stands beside them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from ...config import Settings
from ...console import WorkError
from ...document import json_text
from ..stage import Edits, Outcome
from .actions import hide_tags, regions, replace
from .fields import hide_neutral, scrub_json
from .finding import KINDS, Kind

if TYPE_CHECKING:
    from .gate import Gate

FIELDS = ("id", "url", "date", "language", "metadata")

BARE_PHONE_SCORE = 0.4  # of a phone number without a context word

_ESSENTIAL = re.compile(r"[\d@:]")  # every finding holds one of these: quick to ask of keys and other short text


class ScrubSettings(Settings):
    """How personal data are found and what takes their place."""

    kinds: tuple[Kind, ...] = Field(
        default=KINDS, min_length=1, description="The kinds of personal data to look for, by Presidio's names."
    )
    min_score: float = Field(
        default=0.4,
        ge=0,
        le=1,
        description="Findings with a lower score stay. Presidio gives a phone number 0.4, an IP address 0.6, an e-mail "
        "address or a card number that passes its check 1.0; nine bare digits reach 0.4 only beside a word like `ssn`.",
    )
    action: Literal["tag"] = Field(
        default="tag", description="What takes the place of a finding: `tag` writes its kind, as in `<EMAIL>`."
    )


class Scrub:
    """The stage: texts and fields edited, one edit rule and one signal a kind.

    Edits: `rule` is the kind in lower case, `values` the number of findings, `detail` {"count": n}, with "fields": the
    names of the columns beside `text` that held some. Signals: `pii_email_address` and so on, int64 counts. Neither
    holds any part of what was found. Drops nothing.
    """

    name = "scrub"
    version = "1"

    def __init__(self, settings: ScrubSettings):
        self.settings = settings

    def __call__(self, batch: pa.RecordBatch) -> Outcome:
        """`batch` with `text` and those of `FIELDS` that it has scrubbed. Raises WorkError, which quotes no text."""
        gate = _gate(self.settings)
        counts = {kind: np.zeros(batch.num_rows, np.int64) for kind in KINDS if kind in self.settings.kinds}
        fields: dict[tuple[Kind, int], list[str]] = {}
        for name in ("text", *FIELDS):
            index = batch.schema.get_field_index(name)
            if index < 0:
                continue
            column, found = _scrub_column(gate, batch.column(index), name, batch)
            if found:
                batch = batch.set_column(index, batch.schema.field(index), column)
            for row, kinds in found.items():
                for kind, count in kinds.items():
                    counts[kind][row] += count
                    if name != "text":
                        fields.setdefault((kind, row), []).append(name)
        return Outcome(
            batch,
            signals={f"pii_{kind.lower()}": numbers for kind, numbers in counts.items()},
            edits=[_edits(kind, numbers, fields) for kind, numbers in counts.items() if numbers.any()],
        )


def scrub_texts(texts: pa.Array, settings: ScrubSettings | None = None) -> pa.Array:
    """A string column scrubbed; nulls stay null. For text that is kept outside documents, such as rejected text."""
    return _scrub_column(_gate(settings or ScrubSettings()), texts, "text", None)[0]


def scrub_ids(ids: pa.Array, settings: ScrubSettings | None = None) -> pa.Array:
    """Ids of records scrubbed as the stage scrubs the column `id`: for ledger rows of records that it never sees."""
    return _scrub_column(_gate(settings or ScrubSettings()), ids, "id", None)[0]


def redact(text: str) -> str:
    """`text` scrubbed with the default settings: for messages and details that quote input, before they are cut.

    The first call of a process loads Presidio and spaCy, which takes seconds.
    """
    return _scrub(_gate(ScrubSettings()), text)[0]


@lru_cache(maxsize=4)
def _gate(settings: ScrubSettings) -> Gate:
    from ..spacy_alone import import_spacy

    import_spacy()
    from .gate import Gate

    return Gate(settings.kinds, settings.min_score)


Scrubbed = tuple[str, Counter[Kind]]
"""The text scrubbed, the same object if nothing was found; how many regions of each kind were replaced."""


def _scrub(
    gate: Gate, text: str, context: Sequence[str] = (), *, hide: Callable[[str], str] = hide_tags, bare: bool = False
) -> Scrubbed:
    """`hide` makes what is no personal data unreadable for the search; `bare` and `context` as in `fields.Replace`."""
    counts: Counter[Kind] = Counter()
    while _ESSENTIAL.search(text):
        findings = gate.find(hide(text), context)
        if bare:
            findings = [f for f in findings if f.kind != "PHONE_NUMBER" or f.score > BARE_PHONE_SCORE]
        if not findings:
            break
        places = regions(findings)
        counts.update(place.kind for place in places)
        text = replace(text, places)
    return text, counts


class _Fields:
    """Scrubs what stands around the texts of one batch, and remembers it: dates, languages, keys and values repeat."""

    def __init__(self, gate: Gate):
        self.gate = gate
        self.memo: dict[tuple[str, Sequence[str], bool], Scrubbed] = {}

    def scrub(self, text: str, context: Sequence[str] = (), bare: bool = False) -> Scrubbed:
        key = (text, context, bare)
        if key not in self.memo:
            self.memo[key] = _scrub(self.gate, text, context, hide=_hide_in_fields, bare=bare)
        return self.memo[key]

    def scrub_id(self, text: str) -> Scrubbed:
        return self.scrub(text, bare=text.isdecimal())

    def scrub_metadata(self, raw: str) -> Scrubbed:
        counts: Counter[Kind] = Counter()

        def replace_value(text: str, context: Sequence[str] = (), bare: bool = False) -> str:
            if not _ESSENTIAL.search(text):
                return text
            new, found = self.scrub(text, context, bare)
            if not found:
                return text
            counts.update(found)
            return new

        return scrub_json(raw, replace_value), counts


def _hide_in_fields(text: str) -> str:
    return hide_neutral(hide_tags(text))


def _scrub_column(
    gate: Gate, column: pa.Array, name: str, batch: pa.RecordBatch | None
) -> tuple[pa.Array, dict[int, Counter[Kind]]]:
    """(the column scrubbed, row -> findings of each kind); `batch` names the record where something goes wrong."""
    candidates = gate.candidates(column)
    fields = _Fields(gate)
    scrub = {"text": partial(_scrub, gate), "id": fields.scrub_id, "metadata": fields.scrub_metadata}.get(
        name, fields.scrub
    )
    if name == "metadata":  # an escape may hide what the raw JSON does not show
        candidates = candidates | pc.match_substring(column, "\\").fill_null(False).to_numpy(zero_copy_only=False)
    rows, texts, found = [], [], {}
    for row in np.flatnonzero(candidates):
        try:
            scrubbed, counts = scrub(column[row].as_py())
        except Exception as error:  # whose message may quote the text
            raise WorkError(f"scrubbing {name} of {_place(batch, row)} failed ({type(error).__name__})") from None
        if counts:
            rows.append(row)
            texts.append(scrubbed)
            found[int(row)] = counts
    if rows:
        mask = np.zeros(len(column), bool)
        mask[rows] = True
        column = pc.replace_with_mask(column, pa.array(mask), pa.array(texts, column.type))
    return column, found


def _place(batch: pa.RecordBatch | None, row: int) -> str:
    if batch is None:
        return f"row {row}"
    return f"{batch['source'][row].as_py()}, record {batch['record'][row].as_py()}"


def _edits(kind: Kind, counts: np.ndarray, fields: dict[tuple[Kind, int], list[str]]) -> Edits:
    rows = np.flatnonzero(counts)
    return Edits(
        rule=kind.lower(),
        rows=rows,
        values=counts[rows].astype(np.float64),
        detail=[json_text(_detail(int(counts[row]), fields.get((kind, int(row)), ()))) for row in rows],
    )


def _detail(count: int, fields: Iterable[str]) -> dict:
    return {"count": count, "fields": list(fields)} if fields else {"count": count}
