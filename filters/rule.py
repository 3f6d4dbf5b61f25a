"""What a rule is: numbers measured on a text, each held against a threshold; and perhaps spans cut out of it.

The idea: measuring and deciding are apart. `measure` reads text and gives signals, one number a document; `checks`
names which signal must stay on which side of which threshold. The verdict follows from signals and checks alone, so it
can be derived again from stored signals, with other thresholds, without the text (`gristmill filter --from`).

A new rule is a class of some twenty lines:

    class ManyQuestions(Rule):
        '''Pages that are lists of questions.'''

        name = "many_questions"

        class Settings(Settings):
            max_question_marks: float = Field(0.05, ge=0, description="Question marks a character")

        limits = (Limit("max_question_marks", "question_marks"),)

        def measure(self, texts: Texts) -> Measured:
            marks, n = texts.occurrences("?"), texts.characters()
            return Measured({"question_marks": ratio(marks, n)})

It goes into a file of `filters/quality/` and into the list there; or, in a user's own module, into the recipe as
`quality.own: {"module:ManyQuestions": {}}`. Every rule sees the text as its stage received it and every cut is made at
the end of the stage, so neither signals nor the kept set depend on the order of the rules; the order decides which
rule the ledger names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ..config import Settings
from .measures.texts import Texts


class Limit(NamedTuple):
    """A threshold of a rule's settings: `min_...` and `max_...` say on which side of it to stay; null asks nothing.

    A document that is exactly at a threshold stays, and so does one whose signal was not measured (NaN).
    """

    setting: str
    signal: str  # what `measure` calls the number
    rule: str | None = None  # the ledger's name, `<prefix>_<rule>`; by default the setting's


class Check(NamedTuple):
    """A limit with its number."""

    rule: str  # the ledger's `rule`
    signal: str  # the column of signals/
    limit: float
    at_least: bool

    def broken(self, values: np.ndarray) -> np.ndarray:
        """bool[n] of float64[n] or int64[n]."""
        return values < self.limit if self.at_least else values > self.limit


@dataclass(frozen=True)
class Cuts:
    """Byte spans that a rule takes out of texts: k spans, in any order; spans may overlap those of other rules."""

    rule: str  # one of the rule's `edits`
    rows: np.ndarray  # int64[k] positions in the batch
    starts: np.ndarray  # int64[k] bytes from the beginning of the row's text
    ends: np.ndarray  # int64[k]
    fill: np.ndarray | None = None  # uint8[k]: an ASCII byte put in the span's place; 0 and None put nothing


@dataclass(frozen=True)
class Measured:
    """What a rule found in a batch of n documents, by names without the rule's prefix.

    Values of rows that were not active mean nothing.
    """

    signals: dict[str, np.ndarray]  # name -> float64[n] or int64[n]
    details: dict[str, Sequence[str | None]] = field(default_factory=dict)  # name of a limit or an edit -> JSON a row
    cuts: tuple[Cuts, ...] = ()


class Rule:
    """Base of all rules. Built once a worker from its settings; `measure` is called batch by batch."""

    name: ClassVar[str]  # its key in a recipe
    prefix: ClassVar[str | None] = None  # of its signals and of its names in the ledger; by default its name
    version: ClassVar[str] = "1"  # raised by hand when what it measures or cuts changes
    limits: ClassVar[tuple[Limit, ...]] = ()  # in the order in which they are asked
    edits: ClassVar[dict[str, str]] = {}  # of the cuts it may make: name -> the signal above 0 where it cuts something

    class Settings(Settings):
        """No settings."""

    def __init__(self, settings: Any):
        self.settings = settings

    def checks(self) -> tuple[Check, ...]:
        """What is asked of the signals, in order; with full names."""
        prefix = self.prefix or self.name
        asked = []
        for limit in self.limits:
            value = getattr(self.settings, limit.setting)
            if value is not None:
                at_least = limit.setting.startswith("min_")
                rule = f"{prefix}_{limit.rule or limit.setting}"
                asked.append(Check(rule, f"{prefix}_{limit.signal}", float(value), at_least))
        return tuple(asked)

    def files(self) -> tuple[str, ...]:
        """Paths of the files that the settings name (lists, models): what is in them is a setting as well."""
        return ()

    def prepare(self) -> None:
        """Read what the settings name, so that what is wrong with it is told before any work. Raises RequestError."""

    def measure(self, texts: Texts) -> Measured:
        """Signals of the active rows of `texts`. It never raises for a text, whatever that text holds."""
        raise NotImplementedError


def ratio(count: np.ndarray, of: np.ndarray) -> np.ndarray:
    """float64[n]: one division each; a share of nothing is NaN, not measured, and breaks no threshold."""
    count, of = np.asarray(count), np.asarray(of)
    return np.divide(count, of, out=np.full(len(count), np.nan), where=of > 0)
