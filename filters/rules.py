"""A stage made of rules: each measures the documents that are left, the first that a document breaks drops it.

Every rule sees the texts as the stage received them, and the cuts are made at the end, on what survived: so the order
of the rules changes no number and no kept document, only which rule the ledger names and what the pass costs. By
default a document that is dropped is measured no further; with `all_signals` every rule measures every document.

Where thresholds or words depend on the language, a language has rules of its own, in the same order.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .measures.texts import Texts
from .rule import Check, Cuts, Measured, Rule
from .stage import Drops, Edits, Outcome, with_text


@dataclass
class Cost:
    """What a rule cost so far and what it was good for."""

    seconds: float = 0.0  # of CPU
    measured: int = 0  # documents
    dropped: int = 0


@dataclass
class RuleStage:
    """The stage `name` of rules in their order; None stands where a language has no such rule."""

    name: str
    rules: Sequence[Rule | None]
    languages: Mapping[str, Sequence[Rule | None]] = field(default_factory=dict)
    all_signals: bool = False
    costs: dict[str, Cost] = field(default_factory=dict)  # by rule, since whoever reads them last emptied them

    def __post_init__(self) -> None:
        first = [next(r for r in rules if r) for rules in zip(self.rules, *self.languages.values(), strict=True)]
        self.names = [rule.name for rule in first]
        self.version = ",".join(f"{rule.name}={rule.version}" for rule in first)

    def files(self) -> tuple[str, ...]:
        """Paths of the files that the settings of the rules name."""
        return tuple(sorted({path for rule in self._every() for path in rule.files()}))

    def prepare(self) -> None:
        """Read what the settings of the rules name. Raises RequestError."""
        for rule in self._every():
            rule.prepare()

    def _every(self) -> list[Rule]:
        return [rule for rules in (self.rules, *self.languages.values()) for rule in rules if rule is not None]

    def __call__(self, batch: pa.RecordBatch) -> Outcome:
        """Signals of what was measured, a drop for each broken check in order, cuts of the documents that stay."""
        texts, outcome = Texts(batch), Outcome(batch)
        alive = np.ones(len(texts), bool)
        groups = list(self._groups(batch))
        cuts: list[tuple[Rule, Cuts]] = []
        for place, name in enumerate(self.names):
            cost = self.costs.setdefault(name, Cost())
            for rules, members in groups:
                rule = rules[place]
                texts.active = members if self.all_signals else members & alive
                if rule is None or (len(texts) and not texts.active.any()):
                    continue
                start = time.thread_time()
                measured = rule.measure(texts)
                cost.seconds += time.thread_time() - start
                cost.measured += int(texts.active.sum())
                _note(rule, measured, texts.active, outcome)
                for check, rows in decide(rule.checks(), outcome.signals, alive & members):
                    values = outcome.signals[check.signal][rows]
                    detail = _taken(outcome.details.get(check.rule), rows)
                    outcome.drops.append(Drops(check.rule, rows, values, check.limit, detail))
                    cost.dropped += len(rows)
                    alive[rows] = False
                cuts += [(rule, c) for c in measured.cuts]
        self._cut(cuts, alive, outcome)
        return outcome

    def for_language(self, language: str | None) -> Sequence[Rule | None]:
        """The rules that a document of this language meets."""
        return self.languages.get(language, self.rules) if language is not None else self.rules

    def _groups(self, batch: pa.RecordBatch) -> Iterator[tuple[Sequence[Rule | None], np.ndarray]]:
        """(rules, bool[n] of the documents that they are for)."""
        rest = np.ones(batch.num_rows, bool)
        for language, rules in self.languages.items():
            same = pc.fill_null(pc.equal(batch.column("language"), language), False)
            members = same.to_numpy(zero_copy_only=False)
            rest &= ~members
            yield rules, members
        yield self.rules, rest

    def _cut(self, cuts: Sequence[tuple[Rule, Cuts]], alive: np.ndarray, outcome: Outcome) -> None:
        """Make the cuts of the documents that stay, and count what is left; with `all_signals`, of every document."""
        wanted = np.ones(len(alive), bool) if self.all_signals else alive
        kept = []
        for rule, made in cuts:
            stays = wanted[made.rows]
            fill = None if made.fill is None else made.fill[stays]
            kept.append(Cuts(made.rule, made.rows[stays], made.starts[stays], made.ends[stays], fill))
            rows, full = np.unique(made.rows[alive[made.rows]]), full_name(rule, made.rule)
            if len(rows):
                values = outcome.signals[full_name(rule, rule.edits[made.rule])][rows]
                outcome.edits.append(Edits(full, rows, values, detail=_taken(outcome.details.get(full), rows)))
        texts = outcome.batch.column("text")
        if any(len(c.rows) for c in kept):
            from .cuts import cut

            texts = cut(texts, kept)
            outcome.batch = with_text(outcome.batch, texts)
        characters = pc.utf8_length(texts).to_numpy(zero_copy_only=False)
        outcome.signals[f"{self.name}_characters"] = np.where(wanted, characters, np.nan)


def decide(
    checks: Sequence[Check], signals: Mapping[str, np.ndarray], alive: np.ndarray
) -> Iterator[tuple[Check, np.ndarray]]:
    """(check, int64[k] rows) of each check that some of the rows in `alive` (bool[n]) break first, in order."""
    alive = alive.copy()
    for check in checks:
        rows = np.flatnonzero(alive & check.broken(signals[check.signal]))
        if len(rows):
            alive[rows] = False
            yield check, rows


def full_name(rule: Rule, name: str) -> str:
    """A name of a rule's own as signals and ledger have it."""
    return f"{rule.prefix or rule.name}_{name}"


def _note(rule: Rule, measured: Measured, active: np.ndarray, outcome: Outcome) -> None:
    """Write what a rule measured on the active rows over what is known of the batch."""
    for name, values in measured.signals.items():
        column = outcome.signals.setdefault(full_name(rule, name), np.full(len(active), np.nan))
        np.copyto(column, values, where=active)
    for name, texts in measured.details.items():
        column = outcome.details.setdefault(full_name(rule, name), [None] * len(active))
        for row in np.flatnonzero(active):
            column[row] = texts[row]


def _taken(texts: Sequence[str | None] | None, rows: np.ndarray) -> list[str | None] | None:
    return None if texts is None else [texts[row] for row in rows]
