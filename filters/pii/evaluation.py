"""How much of the personal data is found, and how much of what is found is none: against texts where it is marked.

Two ways of counting, each of a kind:
- exact: a finding and a marked span are the same characters;
- overlapping: they share a character. Recall is the share of marked spans that some finding touches, precision the
  share of findings that touch some marked span.

Exact says whether the replacement took the right characters, overlapping whether anybody looked there: where they
differ, borders do (a number marked without its country code). F2 weighs recall twice as heavily as precision
(van Rijsbergen, "Information Retrieval", 1979), as presidio-research's evaluator does: what is missed is in the open,
what is taken for nothing costs some words.

What is measured is what would be replaced. A finding that stays by an exception is none, and is counted apart: texts
that were made for tests are full of example.com, and say more with `scrub.exceptions` set to [versions]. A kind that
the texts mark and nobody looks for is counted apart as well; a finding there is a false one, and says what it hit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from .finding import By, Finding, Kind
from .labelled import Labelled, Span

if TYPE_CHECKING:
    from .settings import ScrubSettings

Search = Callable[[str, str | None], tuple[Iterable[Finding], Iterable[Finding]]]
"""text, its language -> (findings, those that stay by an exception)."""

AROUND = 30  # characters shown on either side of a mistake
ALL_KINDS = "all kinds"


@dataclass
class Scores:
    """Counts of one kind. `found` counts marked spans, `right` findings: one of either may touch several."""

    spans: int = 0
    findings: int = 0
    exact: int = 0
    found: int = 0
    right: int = 0

    def __add__(self, other: Scores) -> Scores:
        return Scores(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def exactly(self) -> Measures:
        """Precision, recall and F2 where all characters must agree."""
        return _measures(self.exact, self.findings, self.exact, self.spans)

    def overlapping(self) -> Measures:
        """Precision, recall and F2 where one common character is enough."""
        return _measures(self.right, self.findings, self.found, self.spans)


class Measures(NamedTuple):
    """Shares between 0 and 1; None where there is nothing to be a share of."""

    precision: float | None
    recall: float | None
    f2: float | None


def _measures(right: int, findings: int, found: int, spans: int) -> Measures:
    precision = right / findings if findings else None
    recall = found / spans if spans else None
    if precision is None or recall is None:
        return Measures(precision, recall, None)
    weighted = 4 * precision + recall
    return Measures(precision, recall, 5 * precision * recall / weighted if weighted else 0.0)


class Mistake(NamedTuple):
    """A marked span that no finding equals, or a finding that touches no marked span of its kind."""

    kind: str
    place: str
    span: Span
    before: str
    value: str
    after: str
    there: tuple[str, ...]  # findings at a missed span, marked spans at a false finding

    def line(self) -> str:
        """One line without control characters: where, the text around it, and what is there instead."""
        shown = "".join(_printable(part) for part in (self.before, "[[", self.value, "]]", self.after))
        there = f"  (there: {', '.join(map(_printable, self.there))})" if self.there else ""
        return f"{self.place} {self.span.start}-{self.span.end}: {shown}{there}"


@dataclass
class Evaluation:
    """What the search did on all texts, and on those of each language; None is the language of texts without one."""

    texts: int = 0
    scores: dict[str | None, dict[Kind, Scores]] = field(default_factory=dict)
    finders: dict[Kind, Counter[By]] = field(default_factory=dict)
    not_looked_for: Counter[str] = field(default_factory=Counter)
    left_marked: Counter[Kind] = field(default_factory=Counter)  # by an exception, where the kind is marked
    left_unmarked: Counter[Kind] = field(default_factory=Counter)
    missed: list[Mistake] = field(default_factory=list)
    false: list[Mistake] = field(default_factory=list)

    def overall(self) -> dict[Kind, Scores]:
        """The scores of each kind over all languages."""
        total: dict[Kind, Scores] = {}
        for scores in self.scores.values():
            for kind, counts in scores.items():
                total[kind] = total.get(kind, Scores()) + counts
        return total


def evaluate(texts: Iterable[Labelled], search: Search, kinds: Sequence[Kind]) -> Evaluation:
    """Search every text, and compare with what is marked in it. `search` gives findings of `kinds` alone."""
    result = Evaluation()
    for labelled in texts:
        result.texts += 1
        scores = result.scores.setdefault(labelled.language, {kind: Scores() for kind in kinds})
        findings, excepted = map(list, search(labelled.text, labelled.language))
        for finding in findings:
            result.finders.setdefault(finding.kind, Counter())[finding.by] += 1
        found, left = _spans(findings), _spans(excepted)
        result.not_looked_for.update(span.kind for span in labelled.spans if span.kind not in kinds)
        for span in sorted(labelled.spans):
            if span.kind not in scores:
                continue
            there = _touching(span, found)
            counts = scores[span.kind]
            counts.spans += 1
            counts.exact += span in found
            counts.found += _holds(there, span.kind)
            if span not in found:
                stay = [f"{_name(other)} by an exception" for other in _touching(span, left)]
                result.missed.append(_mistake(labelled, span, [*map(_name, there), *stay]))
        for span in sorted(found):
            there = _touching(span, labelled.spans)
            counts = scores[span.kind]
            counts.findings += 1
            counts.right += _holds(there, span.kind)
            if not _holds(there, span.kind):
                result.false.append(_mistake(labelled, span, map(_name, there)))
        for span in left:
            marked = _holds(_touching(span, labelled.spans), span.kind)
            (result.left_marked if marked else result.left_unmarked)[span.kind] += 1
    return result


def _spans(findings: Iterable[Finding]) -> frozenset[Span]:
    return frozenset(Span(f.start, f.end, f.kind) for f in findings)


def _touching(span: Span, others: Iterable[Span]) -> list[Span]:
    return sorted(other for other in others if other.start < span.end and span.start < other.end)


def _holds(spans: Iterable[Span], kind: str) -> bool:
    return any(span.kind == kind for span in spans)


def _name(span: Span) -> str:
    return f"{span.kind} {span.start}-{span.end}"


def _mistake(labelled: Labelled, span: Span, there: Iterable[str]) -> Mistake:
    text, start, end = labelled.text, span.start, span.end
    before, after = text[max(0, start - AROUND) : start], text[end : end + AROUND]
    return Mistake(span.kind, labelled.place, span, before, text[start:end], after, tuple(there))


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


# -- who searches ----------------------------------------------------------------------------------------------------


def scrubber(settings: ScrubSettings) -> Search:
    """What the scrubbing of a run replaces in a text, by these settings, and what it leaves."""
    from .exceptions import excepted
    from .scrub import names_of, search_of

    allowed = frozenset(settings.exceptions)

    def search(text: str, language: str | None) -> tuple[list[Finding], list[Finding]]:
        sides: tuple[list[Finding], list[Finding]] = ([], [])
        names = names_of(settings, [text], [language])[0]
        for finding in [*search_of(settings, language).find(text), *names]:
            sides[excepted(text, finding, allowed)].append(finding)
        return sides

    return search


def plain_presidio(settings: ScrubSettings) -> Search:
    """What Presidio's AnalyzerEngine finds in the full text: the same kinds and threshold, nothing of ours in front."""
    from ..spacy_alone import import_spacy

    import_spacy()
    from .catalogue import language_of
    from .engine import analyzer_engine
    from .gate import readable

    engines: dict[str, Any] = {}

    def search(text: str, language: str | None) -> tuple[list[Finding], list[Finding]]:
        known = language_of(language)
        if known not in engines:
            engines[known] = analyzer_engine(settings.kinds, known)
        kinds = [kind for kind in settings.kinds if kind in engines[known].get_supported_entities(known)]
        results = engines[known].analyze(readable(text), known, entities=kinds, score_threshold=settings.min_score)
        return sorted(Finding(r.start, r.end, r.entity_type, r.score) for r in results), []

    return search


# -- what is printed -------------------------------------------------------------------------------------------------

_HEAD = f"{'':<26}{'':>8}{'':>10}   {'exact':<24}   {'overlapping':<24}"
_MEASURES = f"{'precision':>9} {'recall':>7} {'F2':>6}"
_COLUMNS = f"{'kind':<26}{'spans':>8}{'findings':>10}   {_MEASURES}   {_MEASURES}"


def lines(evaluation: Evaluation, shown: int | None) -> Iterator[str]:
    """The tables and the mistakes for a reader: at most `shown` of each kind, or all of them."""
    yield f"{evaluation.texts:,} texts"
    yield from _table(evaluation.overall())
    for kind, finders in sorted(evaluation.finders.items()):
        yield f"found by: {kind} " + ", ".join(f"{by} {count:,}" for by, count in sorted(finders.items()))
    if evaluation.scores.keys() - {None}:
        for language in sorted(evaluation.scores, key=lambda name: (name is None, name)):
            yield ""
            yield "no language" if language is None else f"language {_printable(language)}"
            yield from _table(evaluation.scores[language])
    if evaluation.not_looked_for:
        yield ""
        ordered = sorted(evaluation.not_looked_for.items(), key=lambda item: (-item[1], item[0]))
        yield "not looked for: " + ", ".join(f"{_printable(kind)} {count:,}" for kind, count in ordered)
    for kind in sorted(evaluation.left_marked | evaluation.left_unmarked):
        marked, unmarked = evaluation.left_marked[kind], evaluation.left_unmarked[kind]
        yield f"left by an exception: {kind} {marked:,} where one is marked, {unmarked:,} where none is"
    yield from _mistakes("missed, or found with other borders", evaluation.missed, shown)
    yield from _mistakes("found where none of the kind is marked", evaluation.false, shown)


def _table(scores: dict[Kind, Scores]) -> Iterator[str]:
    """The kinds that are marked or found somewhere, and all together."""
    yield _HEAD.rstrip()
    yield _COLUMNS
    seen = [(kind, counts) for kind, counts in scores.items() if counts != Scores()]
    for name, counts in [*seen, (ALL_KINDS, sum(scores.values(), Scores()))]:
        measures = "   ".join(_shares(of) for of in (counts.exactly(), counts.overlapping()))
        yield f"{name:<26}{counts.spans:>8,}{counts.findings:>10,}   {measures}"


def _shares(measures: Measures) -> str:
    precision, recall, f2 = ("-" if share is None else f"{share:.3f}" for share in measures)
    return f"{precision:>9} {recall:>7} {f2:>6}"


def _mistakes(title: str, mistakes: list[Mistake], shown: int | None) -> Iterator[str]:
    by_kind: dict[str, list[Mistake]] = {}
    for mistake in mistakes:
        by_kind.setdefault(mistake.kind, []).append(mistake)
    for kind, of_kind in sorted(by_kind.items()):
        yield ""
        yield f"{kind}, {title}: {len(of_kind):,}"
        for mistake in of_kind[:shown]:
            yield f"  {mistake.line()}"
        if shown is not None and len(of_kind) > shown:
            yield f"  ... and {len(of_kind) - shown:,} more (--all)"
