"""The classifier and decontamination by themselves: `filter_parts.py classifier|decontaminate CORPUS DATA`.

`classifier`: a model of words and pairs of words, ours against the library's predict, pass by pass in turn; medians of
CPU seconds. `decontaminate`: its seconds over the documents, against six evaluation sets. Prints one line of JSON.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from tests.benchmarks.made_corpus import batches, texts

ROUNDS = 5
MODEL_TEXTS = 4000


def cpu(go: Callable[[], object]) -> float:
    """CPU seconds of one call."""
    start = time.process_time()
    go()
    return time.process_time() - start


def classifier(documents: list[str]) -> dict[str, float]:
    """Seconds of both predictors over the documents; the model learns to tell their halves apart."""
    import fasttext
    from gristmill.document import text_buffers
    from gristmill.filters.classifier.folded import predictor
    from gristmill.filters.classifier.model_file import read

    lines = [" ".join(text.split()) for text in documents]
    with tempfile.TemporaryDirectory() as folder:
        examples, model = Path(folder, "examples"), Path(folder, "model.bin")
        half = len(lines) // 2
        rows = [f"__label__{'good' if i < half else 'bad'} {line}\n" for i, line in enumerate(lines)]
        examples.write_text("".join(rows[:: max(1, len(rows) // MODEL_TEXTS)]), encoding="utf-8")
        options = {"dim": 100, "wordNgrams": 2, "bucket": 1 << 18, "epoch": 1, "thread": 1, "verbose": 0}
        theirs = fasttext.train_supervised(str(examples), **options)
        theirs.save_model(str(model))
        ours = predictor(read(str(model)))
        data, offsets = text_buffers(pa.array(lines, pa.large_string()))
        ours(data, offsets)  # compiles
        mine, peer = [], []
        for _ in range(ROUNDS):
            mine.append(cpu(lambda: ours(data, offsets)))
            peer.append(cpu(lambda: [theirs.f.predict(line + "\n", 1, 0.0, "strict") for line in lines]))
    return {"ours": statistics.median(mine), "peer": statistics.median(peer)}


def decontaminate(documents: list[str], data: Path) -> dict[str, float]:
    """Seconds of decontamination against six evaluation sets."""
    from gristmill.filters.decontaminate import DecontaminateSettings, decontaminate_stage

    sets = {
        name: {"paths": str(data / "eval" / f"{file}.jsonl.zst"), "fields": [field]}
        for name, file, field in (
            ("arc", "arc_easy-half1", "query"),
            ("boolq", "boolq-half1", "query"),
            ("gsm8k", "gsm8k-train", "question"),
            ("lambada", "lambada_openai-half1", "context"),
            ("piqa", "piqa-half1", "query"),
            ("siqa", "siqa-half1", "query"),
        )
    }
    stage = decontaminate_stage(DecontaminateSettings.model_validate_json(json.dumps({"sets": sets})))
    columns = [pa.RecordBatch.from_pydict({"text": pa.array(held, pa.large_string())}) for held in batches(documents)]

    def go() -> None:
        for batch in columns:
            stage(batch)

    go()  # compiles
    return {"ours": statistics.median(cpu(go) for _ in range(ROUNDS))}


def main(what: str, corpus: str, data: str) -> None:
    documents = texts(corpus)
    seconds = classifier(documents) if what == "classifier" else decontaminate(documents, Path(data))
    print(json.dumps({**seconds, "bytes": sum(len(text.encode()) for text in documents)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
