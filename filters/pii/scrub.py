"""The last stage of the first phase: personal data are replaced before anything of a document is written.

Texts are searched by the gate (`gate.py`: Presidio's findings) and edited (`actions.py`). Replacing a finding moves
the words around its neighbours, and a context word that now stands nearer may turn what was a low score into a
finding; so a text that was edited is searched again until nothing is found. Scrubbing what was scrubbed therefore
changes nothing. After `ROUNDS` searches tags replace whatever is still found, and tags only ever come to an end.

Unicode. A text that holds soft hyphens, zero-width characters or direction marks, full-width digits or `@`, or a
quoted local part ("jane roe"@...), is searched a second time in plain form: without the invisible characters, in
ASCII, the quoted part as one word. What either search finds counts, and what is replaced includes the invisible
characters within. International domains and addresses in any script need none of this: Presidio finds them. For fakes
and hashes a domain counts in its ASCII form (xn--...), so both writings get the same replacement.

What concerns nobody (`exceptions.py`) stays, unless the text leaves by a side door: messages (`redact`) have none.

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
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import compress
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from ...config import Settings
from ...console import WorkError
from ...document import json_text
from ..stage import Drops, Edits, Outcome
from .actions import Action, Actions, regions, replace_by_tags
from .exceptions import EXCEPTIONS, ExceptionName, excepted
from .fields import hide_neutral, scrub_json
from .finding import KINDS, Finding, Kind
from .replacements import FAKED, INVISIBLE
from .secret import KEYED, fingerprint_of, read_key

if TYPE_CHECKING:
    from .gate import Gate

FIELDS = ("id", "url", "date", "language", "metadata")

BARE_PHONE_SCORE = 0.4  # of a phone number without a context word

_ESSENTIAL = re.compile(r"[\d@:]")  # every finding holds one of these: quick to ask of keys and other short text


ROUNDS = 8  # searches of one text before tags take over; real text needs two

_PLAIN_WANTED = f'[{INVISIBLE}\uff10-\uff19\uff20]|"@'
_plain_wanted = re.compile(_PLAIN_WANTED)
_INVISIBLE = re.compile(f"[{INVISIBLE}]")
_QUOTED = re.compile(r'"(?:[^"\\\r\n]|\\.){1,64}"(?=@)')
_ASCII = {0xFF01 + i: 0x21 + i for i in range(94)}


class DropAbove(Settings):
    """Documents that are made of personal data: lists of members, dumps of tables."""

    density: float = Field(gt=0, description="Findings in the text, a thousand characters of it; more drop it.")


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
    action: Action = Field(
        default="tag",
        description="What takes the place of a finding: `tag` its kind (`<EMAIL>`); `fake` another value of its form "
        "that is nobody's; `hash` its kind and 16 letters; `mask` a star for each letter and digit; `remove` nothing. "
        "With `fake` and `hash` the same value gets the same replacement everywhere, by a secret key.",
    )
    actions: dict[Kind, Action] = Field(default={}, description="Kinds for which something else is done.")
    key_file: str | None = Field(default=None, description="Path of the file with the key of `fake` and `hash`.")
    key_env: str | None = Field(default=None, description="Or the environment variable that holds it, on every worker.")
    exceptions: tuple[ExceptionName, ...] = Field(
        default=EXCEPTIONS,
        description="What is nobody's and stays: `documentation` (example.com, 192.0.2.0/24, 555-01xx), `versions` "
        "(numbers of four parts that are called a version), `private` (10.0.0.1, ::1), `no_reply` (noreply@).",
    )
    drop_above: DropAbove | None = Field(default=None, description="Documents that hold too much; null keeps them all.")

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> ScrubSettings:
        done = {self.action_of(kind) for kind in self.kinds}
        if done & set(KEYED) and (self.key_file is None) == (self.key_env is None):
            raise ValueError(
                f"{' and '.join(sorted(done & set(KEYED)))} need a secret key: give either key_file or key_env"
            )
        strange = [kind for kind in self.kinds if self.action_of(kind) == "fake" and kind not in FAKED]
        if strange:
            raise ValueError(f"there are no fakes of {', '.join(strange)}")
        return self

    def action_of(self, kind: Kind) -> Action:
        """What is done to findings of a kind."""
        return self.actions.get(kind, self.action)

    @property
    def keyed(self) -> bool:
        """Whether anything is done that needs the secret key."""
        return any(self.action_of(kind) in KEYED for kind in self.kinds)

    def key(self) -> bytes | None:
        """The secret key, read anew; None where none is needed. Raises RequestError."""
        return read_key(self.key_file, self.key_env) if self.keyed else None


def fingerprint(settings: ScrubSettings | None) -> str | None:
    """12 hexadecimal digits that tell the keys of two runs apart; None where none is needed. Raises RequestError."""
    key = settings.key() if settings is not None else None
    return None if key is None else fingerprint_of(key)


class Scrub:
    """The stage: texts and fields edited, one edit rule and one signal a kind.

    Edits: `rule` is the kind in lower case, `values` the number of findings, `detail` {"count": n}, with "fields": the
    names of the columns beside `text` that held some, and "excepted": the number that stayed by an exception. Signals:
    `pii_email_address` and so on, int64 counts, and `pii_excepted`. Nothing holds any part of what was found. Drops
    `pii_density`: documents with more findings a thousand characters of their text than `drop_above` allows.
    """

    name = "scrub"
    version = "2"

    def __init__(self, settings: ScrubSettings):
        self.settings = settings

    def __call__(self, batch: pa.RecordBatch) -> Outcome:
        """`batch` with `text` and those of `FIELDS` that it has scrubbed. Raises WorkError, which quotes no text."""
        scrubber = _Scrubber(self.settings)
        counts = {kind: np.zeros(batch.num_rows, np.int64) for kind in KINDS if kind in self.settings.kinds}
        stayed = {kind: np.zeros(batch.num_rows, np.int64) for kind in counts}
        fields: dict[tuple[Kind, int], list[str]] = {}
        drops: list[Drops] = []
        for name in ("text", *FIELDS):
            index = batch.schema.get_field_index(name)
            if index < 0:
                continue
            before = batch.column(index)
            column, found = scrubber.column(before, name, batch)
            batch = batch.set_column(index, batch.schema.field(index), column)
            for row, (replaced, left) in found.items():
                for kind, count in replaced.items():
                    counts[kind][row] += count
                    if name != "text":
                        fields.setdefault((kind, row), []).append(name)
                for kind, count in left.items():
                    stayed[kind][row] += count
            if name == "text" and self.settings.drop_above is not None:
                drops = _too_dense(before, sum(counts.values()), self.settings.drop_above.density)
        kept = np.ones(batch.num_rows, bool)
        for drop in drops:
            kept[drop.rows] = False
        edits = [_edits(kind, np.where(kept, numbers, 0), fields, stayed[kind]) for kind, numbers in counts.items()]
        signals = {f"pii_{kind.lower()}": numbers for kind, numbers in counts.items()}
        signals["pii_excepted"] = sum(stayed.values())
        return Outcome(batch, signals=signals, drops=drops, edits=[e for e in edits if len(e.rows)])


def _too_dense(texts: pa.Array, counts: np.ndarray, limit: float) -> list[Drops]:
    characters = pc.utf8_length(texts).fill_null(0).to_numpy(zero_copy_only=False)
    densities = 1000 * counts / np.maximum(characters, 1)
    rows = np.flatnonzero(densities > limit)
    return [Drops("pii_density", rows, densities[rows], limit)] if len(rows) else []


NO_EXCEPTIONS = ScrubSettings(exceptions=())


def scrub_texts(texts: pa.Array, settings: ScrubSettings = NO_EXCEPTIONS) -> pa.Array:
    """A string column scrubbed; nulls stay null. For text that is kept outside documents, such as rejected text."""
    return _Scrubber(settings).column(texts, "text", None)[0]


def scrub_ids(ids: pa.Array, settings: ScrubSettings = NO_EXCEPTIONS) -> pa.Array:
    """Ids of records scrubbed as the stage scrubs the column `id`: for ledger rows of records that it never sees."""
    return _Scrubber(settings).column(ids, "id", None)[0]


def redact(text: str) -> str:
    """`text` with tags and without exceptions: for messages and details that quote input, before they are cut.

    The first call of a process loads Presidio and spaCy, which takes seconds.
    """
    return _Scrubber(NO_EXCEPTIONS).scrub(text).text


@lru_cache(maxsize=4)
def gate_of(kinds: tuple[Kind, ...], min_score: float) -> Gate:
    from ..spacy_alone import import_spacy

    import_spacy()
    from .gate import Gate

    return Gate(kinds, min_score)


class Scrubbed(NamedTuple):
    """The text scrubbed, the same object if nothing was replaced; regions replaced and findings that stayed, a kind."""

    text: str
    replaced: Counter[Kind]
    excepted: Counter[Kind]


class _Scrubber:
    """The settings at work on one batch. It remembers what stands around texts: dates, languages, keys and values."""

    def __init__(self, settings: ScrubSettings):
        self.gate = gate_of(settings.kinds, settings.min_score)
        self.actions = Actions({kind: settings.action_of(kind) for kind in settings.kinds}, settings.key())
        self.exceptions = frozenset(settings.exceptions)
        self.memo: dict[tuple[str, Sequence[str], bool], Scrubbed] = {}

    def scrub(
        self, text: str, context: Sequence[str] = (), bare: bool = False, hide: Callable[[str], str] = lambda text: text
    ) -> Scrubbed:
        """`hide` makes what is no personal data unreadable for the search; the others as in `fields.Replace`."""
        replaced: Counter[Kind] = Counter()
        stayed: list[Finding] = []
        rounds = 0
        while _ESSENTIAL.search(text) or _plain_wanted.search(text):
            findings = found_in(self.gate, hide(self.actions.hide(text)), context)
            if bare:
                findings = [f for f in findings if f.kind != "PHONE_NUMBER" or f.score > BARE_PHONE_SCORE]
            fine = [excepted(text, f, self.exceptions) for f in findings]
            stayed = list(compress(findings, fine))
            places = regions(f for f, stays in zip(findings, fine, strict=True) if not stays)
            if not places:
                break
            replaced.update(place.kind for place in places)
            rounds += 1
            text = self.actions.replace(text, places) if rounds < ROUNDS else replace_by_tags(text, places)
        return Scrubbed(text, replaced, Counter(f.kind for f in stayed))

    def scrub_field(self, text: str, context: Sequence[str] = (), bare: bool = False) -> Scrubbed:
        """As `scrub`, for what stands around the text."""
        key = (text, context, bare)
        if key not in self.memo:
            self.memo[key] = self.scrub(text, context, bare, hide_neutral)
        return self.memo[key]

    def scrub_id(self, text: str) -> Scrubbed:
        """As `scrub`, for an id."""
        return self.scrub_field(text, bare=text.isdecimal())

    def scrub_metadata(self, raw: str) -> Scrubbed:
        """As `scrub`, for metadata in JSON."""
        replaced: Counter[Kind] = Counter()
        stayed: Counter[Kind] = Counter()

        def replace_value(text: str, context: Sequence[str] = (), bare: bool = False) -> str:
            scrubbed = self.scrub_field(text, context, bare)
            stayed.update(scrubbed.excepted)
            if not scrubbed.replaced:
                return text
            replaced.update(scrubbed.replaced)
            return scrubbed.text

        return Scrubbed(scrub_json(raw, replace_value), replaced, stayed)

    def column(
        self, column: pa.Array, name: str, batch: pa.RecordBatch | None
    ) -> tuple[pa.Array, dict[int, tuple[Counter[Kind], Counter[Kind]]]]:
        """(the column scrubbed, row -> regions replaced and findings that stayed, a kind).

        `batch` names the record where something goes wrong.
        """
        candidates = self.gate.candidates(column) | _matches(column, _PLAIN_WANTED)
        scrub = {"text": self.scrub, "id": self.scrub_id, "metadata": self.scrub_metadata}.get(name, self.scrub_field)
        if name == "metadata":  # an escape may hide what the raw JSON does not show
            candidates |= _matches(column, r"\\")
        rows, texts, found = [], [], {}
        for row in np.flatnonzero(candidates):
            try:
                text, replaced, stayed = scrub(column[row].as_py())
            except Exception as error:  # whose message may quote the text
                raise WorkError(f"scrubbing {name} of {_place(batch, row)} failed ({type(error).__name__})") from None
            if replaced:
                rows.append(row)
                texts.append(text)
            if replaced or stayed:
                found[int(row)] = replaced, stayed
        if rows:
            mask = np.zeros(len(column), bool)
            mask[rows] = True
            column = pc.replace_with_mask(column, pa.array(mask), pa.array(texts, column.type))
        return column, found


def _matches(column: pa.Array, pattern: str) -> np.ndarray:
    return pc.match_substring_regex(column, pattern).fill_null(False).to_numpy(zero_copy_only=False)


def found_in(gate: Gate, text: str, context: Sequence[str]) -> list[Finding]:
    """The findings in `text` and, where it holds what Presidio reads over, those in its plain form."""
    findings = gate.find(text, context)
    if not _plain_wanted.search(text):
        return findings
    plain = _QUOTED.sub(lambda quoted: "Z" * len(quoted.group()), text.translate(_ASCII))
    places = [i for i, c in enumerate(plain) if not _INVISIBLE.match(c)]
    more = gate.find("".join(plain[i] for i in places), context)
    return sorted({*findings, *(Finding(places[f.start], places[f.end - 1] + 1, f.kind, f.score) for f in more)})


def _place(batch: pa.RecordBatch | None, row: int) -> str:
    if batch is None:
        return f"row {row}"
    return f"{batch['source'][row].as_py()}, record {batch['record'][row].as_py()}"


def _edits(kind: Kind, counts: np.ndarray, fields: dict[tuple[Kind, int], list[str]], stayed: np.ndarray) -> Edits:
    rows = np.flatnonzero(counts)
    details = []
    for row in rows:
        detail = {"count": int(counts[row])}
        if (kind, int(row)) in fields:
            detail["fields"] = fields[kind, int(row)]
        if stayed[row]:
            detail["excepted"] = int(stayed[row])
        details.append(json_text(detail))
    return Edits(rule=kind.lower(), rows=rows, values=counts[rows].astype(np.float64), detail=details)
