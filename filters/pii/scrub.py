"""The last stage of the first phase: personal data are replaced before anything of a document is written.

Texts are searched (`search.py`) and edited (`actions.py`). Replacing a finding moves the words around its neighbours,
and a context word that now stands nearer may turn what was a low score into a finding; so a text that was edited is
searched again until nothing is found. Scrubbing what was scrubbed therefore changes nothing. After `ROUNDS` searches
tags replace whatever is still found, and tags only ever come to an end.

For fakes and hashes an international domain counts in its ASCII form (xn--...), so both writings get the same
replacement.

Which kinds are looked for depends on the document's language (`catalogue.py`). Names of people and places, where the
recipe asks for them, are found by a model (`names.py`), in texts alone: what stands around a text is no sentence. The
model reads each text once, as it came; of a text that was scrubbed it might make other names.

What concerns nobody (`exceptions.py`) stays, unless the text leaves by a side door: messages (`redact`) have none.

Ids, addresses, dates, languages and metadata come from strangers as well and are scrubbed too (`fields.py`). `source`
and `record` name a file of the user and stay.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import compress
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...console import WorkError
from ...document import json_text
from ..stage import Drops, Edits, Outcome
from .actions import Actions, beside_veils, regions, replace_by_tags
from .catalogue import CATALOGUE, language_of
from .exceptions import excepted
from .fields import hide_neutral, scrub_json
from .finding import By, Finding, Kind
from .settings import NO_EXCEPTIONS, ScrubSettings

if TYPE_CHECKING:
    from .names import Names
    from .search import Search

FIELDS = ("id", "url", "date", "language", "metadata")

BARE_PHONE_SCORE = 0.4  # of a phone number without a context word

ROUNDS = 8  # searches of one text before tags take over; real text needs two

_LANGUAGES = frozenset(language for entry in CATALOGUE.values() for language in entry.languages)


class Scrub:
    """The stage: texts and fields edited, one edit rule and one signal a kind.

    Edits: `rule` is the kind in lower case, `values` the number of findings, `detail` {"count": n, "by": {"presidio":
    n}} (or "gristmill", "recipe": whose recognisers found them), with "fields": the names of the columns beside `text`
    that held some, and "excepted": the number that stayed by an exception. Signals: `pii_email_address` and so on,
    int64 counts, and `pii_excepted`. Nothing holds any part of what was found. Drops `pii_density`: documents with
    more findings a thousand characters of their text than `drop_above` allows.
    """

    name = "scrub"
    version = "3"

    def __init__(self, settings: ScrubSettings):
        self.settings = settings

    def __call__(self, batch: pa.RecordBatch) -> Outcome:
        """`batch` with `text` and those of `FIELDS` that it has scrubbed. Raises WorkError, which quotes no text."""
        scrubber = _Scrubber(self.settings)
        counts = {kind: np.zeros(batch.num_rows, np.int64) for kind in self.settings.all_kinds}
        stayed = {kind: np.zeros(batch.num_rows, np.int64) for kind in counts}
        finders: dict[tuple[Kind, int], Counter[By]] = {}
        fields: dict[tuple[Kind, int], list[str]] = {}
        at = batch.schema.get_field_index("language")
        languages = [None] * batch.num_rows if at < 0 else batch.column(at).to_pylist()
        drops: list[Drops] = []
        for name in ("text", *FIELDS):
            index = batch.schema.get_field_index(name)
            if index < 0:
                continue
            before = batch.column(index)
            column, found = scrubber.column(before, name, languages, batch)
            batch = batch.set_column(index, batch.schema.field(index), column)
            for row, (replaced, left) in found.items():
                for (kind, by), count in replaced.items():
                    counts[kind][row] += count
                    finders.setdefault((kind, row), Counter())[by] += count
                    held = fields.setdefault((kind, row), [])
                    if name != "text" and name not in held:
                        held.append(name)
                for kind, count in left.items():
                    stayed[kind][row] += count
            if name == "text" and self.settings.drop_above is not None:
                drops = _too_dense(before, sum(counts.values()), self.settings.drop_above.density)
        kept = np.ones(batch.num_rows, bool)
        for drop in drops:
            kept[drop.rows] = False
        edits = [
            _edits(kind, np.where(kept, numbers, 0), finders, fields, stayed[kind]) for kind, numbers in counts.items()
        ]
        signals = {f"pii_{kind.lower()}": numbers for kind, numbers in counts.items()}
        signals["pii_excepted"] = sum(stayed.values())
        return Outcome(batch, signals=signals, drops=drops, edits=[e for e in edits if len(e.rows)])


def _too_dense(texts: pa.Array, counts: np.ndarray, limit: float) -> list[Drops]:
    characters = pc.utf8_length(texts).fill_null(0).to_numpy(zero_copy_only=False)
    densities = 1000 * counts / np.maximum(characters, 1)
    rows = np.flatnonzero(densities > limit)
    return [Drops("pii_density", rows, densities[rows], limit)] if len(rows) else []


def scrub_texts(texts: pa.Array, settings: ScrubSettings = NO_EXCEPTIONS) -> pa.Array:
    """A string column scrubbed; nulls stay null. For text that is kept outside documents, such as rejected text."""
    return _Scrubber(settings).column(texts, "text", [None] * len(texts), None)[0]


def scrub_ids(ids: pa.Array, settings: ScrubSettings = NO_EXCEPTIONS) -> pa.Array:
    """Ids of records scrubbed as the stage scrubs the column `id`: for ledger rows of records that it never sees."""
    return _Scrubber(settings).column(ids, "id", [None] * len(ids), None)[0]


def redact(text: str) -> str:
    """`text` with tags and without exceptions: for messages and details that quote input, before they are cut.

    The first call of a process loads Presidio and spaCy, which takes seconds.
    """
    return _Scrubber(NO_EXCEPTIONS).scrub(text, language_of(None)).text


def search_of(settings: ScrubSettings, language: str | None) -> Search:
    """The search of a recipe in documents of a language, shared by all that ask for the same in a process."""
    known = language_of(language)
    sought = settings.model_dump_json(include={"kinds", "recognizers", "min_score", "phone_regions", "patterns"})
    return _search(sought, known if known in _LANGUAGES else "")


@lru_cache(maxsize=32)
def _search(sought: str, language: str) -> Search:
    from ..spacy_alone import import_spacy

    import_spacy()
    from .described import Described
    from .search import Search

    settings = ScrubSettings.model_validate_json(sought)
    described = [Described(pattern, language) for pattern in settings.patterns]
    alone = settings.recognizers == "presidio"
    return Search(settings.kinds, settings.min_score, language, settings.phone_regions, described, alone)


def names_of(settings: ScrubSettings, texts: Sequence[str], languages: Sequence[str | None]) -> list[Sequence[Finding]]:
    """The names of people, places and organisations in texts; none where the recipe asks for none."""
    if settings.names is None:
        return [()] * len(texts)
    return _names(settings.names.model_dump_json(), settings.min_score).find(texts, languages)


@lru_cache(maxsize=2)
def _names(sought: str, min_score: float) -> Names:
    from .names import Names, NamesSettings

    settings = NamesSettings.model_validate_json(sought)
    return Names(settings, settings.kinds, min_score)


class Scrubbed(NamedTuple):
    """The text scrubbed, the same object if nothing was replaced; how many regions were, how many findings stayed."""

    text: str
    replaced: Counter[tuple[Kind, By]]
    excepted: Counter[Kind]


class _Scrubber:
    """The settings at work on one batch. It remembers what stands around texts: dates, languages, keys and values."""

    def __init__(self, settings: ScrubSettings):
        self.settings = settings
        self.actions = Actions({kind: settings.action_of(kind) for kind in settings.all_kinds}, settings.key())
        self.exceptions = frozenset(settings.exceptions)
        self.searches: dict[str | None, Search] = {}
        self.memo: dict[tuple[str, str | None, Sequence[str], bool], Scrubbed] = {}

    def search(self, language: str | None) -> Search:
        """The search in documents of a language."""
        if language not in self.searches:
            self.searches[language] = search_of(self.settings, language)
        return self.searches[language]

    def scrub(
        self,
        text: str,
        language: str | None,
        context: Sequence[str] = (),
        bare: bool = False,
        hide: Callable[[str], str] = lambda text: text,
        names: Iterable[Finding] = (),
    ) -> Scrubbed:
        """`hide` makes what is no personal data unreadable for the search; `names` were found in `text` before.

        The others as in `fields.Replace`.
        """
        search = self.search(language)
        replaced: Counter[tuple[Kind, By]] = Counter()
        stayed: list[Finding] = []
        rounds = 0
        while True:
            hidden = self.actions.hide(text)
            findings = beside_veils(hidden, search.find(hide(hidden), context))
            if rounds == 0:
                findings += [name for name in names if hidden[name.start : name.end] == text[name.start : name.end]]
            if bare:
                findings = [f for f in findings if f.kind != "PHONE_NUMBER" or f.score > BARE_PHONE_SCORE]
            fine = [excepted(text, f, self.exceptions) for f in findings]
            stayed = list(compress(findings, fine))
            places = regions(f for f, stays in zip(findings, fine, strict=True) if not stays)
            if not places:
                break
            replaced.update((place.kind, place.by) for place in places)
            rounds += 1
            text = self.actions.replace(text, places) if rounds < ROUNDS else replace_by_tags(text, places)
        return Scrubbed(text, replaced, Counter(f.kind for f in stayed))

    def scrub_field(self, text: str, language: str | None, context: Sequence[str] = (), bare: bool = False) -> Scrubbed:
        """As `scrub`, for what stands around the text."""
        key = (text, language, context, bare)
        if key not in self.memo:
            self.memo[key] = self.scrub(text, language, context, bare, hide_neutral)
        return self.memo[key]

    def scrub_id(self, text: str, language: str | None) -> Scrubbed:
        """As `scrub`, for an id."""
        return self.scrub_field(text, language, bare=text.isdecimal())

    def scrub_metadata(self, raw: str, language: str | None) -> Scrubbed:
        """As `scrub`, for metadata in JSON."""
        replaced: Counter[tuple[Kind, By]] = Counter()
        stayed: Counter[Kind] = Counter()

        def replace_value(text: str, context: Sequence[str] = (), bare: bool = False) -> str:
            scrubbed = self.scrub_field(text, language, context, bare)
            stayed.update(scrubbed.excepted)
            if not scrubbed.replaced:
                return text
            replaced.update(scrubbed.replaced)
            return scrubbed.text

        return Scrubbed(scrub_json(raw, replace_value), replaced, stayed)

    def column(
        self, column: pa.Array, name: str, languages: Sequence[str | None], batch: pa.RecordBatch | None
    ) -> tuple[pa.Array, dict[int, tuple[Counter[tuple[Kind, By]], Counter[Kind]]]]:
        """(the column scrubbed, row -> regions replaced and findings that stayed, counted).

        `batch` names the record where something goes wrong.
        """
        scrub = {"text": self.scrub, "id": self.scrub_id, "metadata": self.scrub_metadata}.get(name, self.scrub_field)
        values = column.to_pylist()
        if name == "text":
            names = names_of(self.settings, [value or "" for value in values], languages)
        rows, texts, found = [], [], {}
        for row, value in enumerate(values):
            if not value:
                continue
            try:
                known = {"names": names[row]} if name == "text" else {}
                text, replaced, stayed = scrub(value, languages[row], **known)
            except Exception as error:  # whose message may quote the text
                raise WorkError(f"scrubbing {name} of {_place(batch, row)} failed ({type(error).__name__})") from None
            if replaced:
                rows.append(row)
                texts.append(text)
            if replaced or stayed:
                found[row] = replaced, stayed
        if rows:
            mask = np.zeros(len(column), bool)
            mask[rows] = True
            column = pc.replace_with_mask(column, pa.array(mask), pa.array(texts, column.type))
        return column, found


def _place(batch: pa.RecordBatch | None, row: int) -> str:
    if batch is None:
        return f"row {row}"
    return f"{batch['source'][row].as_py()}, record {batch['record'][row].as_py()}"


def _edits(
    kind: Kind,
    counts: np.ndarray,
    finders: dict[tuple[Kind, int], Counter[By]],
    fields: dict[tuple[Kind, int], list[str]],
    stayed: np.ndarray,
) -> Edits:
    rows = np.flatnonzero(counts)
    details = []
    for row in rows:
        key = (kind, int(row))
        detail: dict[str, object] = {"count": int(counts[row]), "by": dict(sorted(finders[key].items()))}
        if fields[key]:
            detail["fields"] = fields[key]
        if stayed[row]:
            detail["excepted"] = int(stayed[row])
        details.append(json_text(detail))
    return Edits(rule=kind.lower(), rows=rows, values=counts[rows].astype(np.float64), detail=details)
