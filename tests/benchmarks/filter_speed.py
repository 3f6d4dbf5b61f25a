"""Filters over one corpus in a process of their own: `filter_speed.py WHO WORDS CORPUS [DOCUMENTS]`.

WHO is `gristmill` or `datatrove`; WORDS is `whitespace` or `spacy`. Gopher, C4 and FineWeb look
at every document, each at the text as it came. Prints one line of JSON: CPU seconds of a first and of a second pass
(the first pays for imports, compiled code and the table of words), bytes, peak memory.
"""

from __future__ import annotations

import json
import re
import resource
import sys
import time
from collections.abc import Callable

from tests.benchmarks.made_corpus import batches, texts


def gristmill(words: str, documents: list[str]) -> Callable[[], None]:
    """A pass of our rules over the documents, Arrow batches being made before."""
    import pyarrow as pa

    columns = [pa.RecordBatch.from_pydict({"text": pa.array(held, pa.large_string())}) for held in batches(documents)]
    stage = None

    def go() -> None:
        nonlocal stage
        if stage is None:
            from gristmill.filters.quality.settings import QualitySettings, quality_stage

            dialect = {"dialect": "datatrove", "words": words}
            c4 = {"dialect": "datatrove", "sentences": "spacy"} if words == "spacy" else {"dialect": "tfds"}
            rules = {"gopher_repetition": dialect, "gopher_quality": dialect, "c4": c4, "fineweb": {"words": words}}
            stage = quality_stage(QualitySettings.model_validate_json(json.dumps(rules)))
            stage.all_signals = True
        for batch in columns:
            stage(batch)

    return go


def datatrove(words: str, documents: list[str]) -> Callable[[], None]:
    """The same by datatrove's filters, with its defaults but for the words."""
    filters: list = []

    def go() -> None:
        from datatrove.data import Document
        from datatrove.pipeline import filters as theirs
        from datatrove.utils.word_tokenizers import WordTokenizer

        class Whitespace(WordTokenizer):
            def word_tokenize(self, text: str) -> list[str]:
                return text.split()

            def sent_tokenize(self, text: str) -> list[str]:
                return [text[start:end] for start, end in self.span_tokenize(text)]

            def span_tokenize(self, text: str) -> list[tuple[int, int]]:
                return [match.span() for match in re.finditer(r"[^.]+\.*", text)]

        if not filters:
            language = "eng" if words == "spacy" else Whitespace()
            kinds = ("GopherRepetitionFilter", "GopherQualityFilter", "C4QualityFilter", "FineWebQualityFilter")
            filters.extend(getattr(theirs, kind)(language=language) for kind in kinds)
        for text in documents:
            for each in filters:
                try:
                    each.filter(Document(text=text, id=""))
                except ZeroDivisionError:  # on next to nothing
                    continue

    return go


def main(who: str, words: str, corpus: str, limit: str | None = None) -> None:
    documents = texts(corpus, int(limit) if limit else None)
    go = {"gristmill": gristmill, "datatrove": datatrove}[who](words, documents)
    seconds = []
    for _ in range(2):
        start = time.process_time()
        go()
        seconds.append(time.process_time() - start)
    size = sum(len(text.encode()) for text in documents)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"cpu": seconds, "bytes": size, "documents": len(documents), "peak": peak}))


if __name__ == "__main__":
    main(*sys.argv[1:])
