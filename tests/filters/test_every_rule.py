"""What holds for every rule that ships: nothing makes it raise, and only the text and its key change its numbers."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from gristmill.document import DOCUMENT
from gristmill.filters.quality import RULES
from gristmill.filters.quality.settings import QualitySettings, quality_stage
from gristmill.filters.rules import RuleStage
from gristmill.filters.stage import Outcome
from hypothesis import given, settings
from hypothesis import strategies as st

SETTINGS: dict[str, dict[str, Any]] = {"bad_words": {"words": ["mountain", "a b"]}}  # of rules that need some
MODELS = {"classifier", "perplexity"}  # need a file, and have tests of their own
WORDS = ("spacy", "unicode")


def every_stage(**more: dict[str, Any]) -> RuleStage:
    """All rules at their defaults, all measured; the heuristic ones, that is."""
    chosen = {rule.name: SETTINGS.get(rule.name, {}) for rule in RULES if rule.name not in MODELS}
    stage = quality_stage(QualitySettings.model_validate_json(json.dumps(chosen | more)))
    stage.all_signals = True
    return stage


def other_words(words: str) -> dict[str, dict[str, Any]]:
    """The rules that have words, with other ones; C4 with its other sentences."""
    found = {rule.name: {"words": words} for rule in RULES if "words" in rule.Settings.model_fields}
    found.pop("bad_words")  # its words are a list
    return found | {"c4": {"dialect": "datatrove"}}


def batch_of(texts: list[str]) -> pa.RecordBatch:
    keys = [hashlib.blake2b(text.encode(), digest_size=16).digest() for text in texts]
    columns = {f.name: pa.nulls(len(texts), f.type) for f in DOCUMENT}
    columns |= {"text": pa.array(texts, pa.large_string()), "key": pa.array(keys, DOCUMENT.field("key").type)}
    return pa.RecordBatch.from_pydict(columns, DOCUMENT)


def told(outcome: Outcome, row: int) -> list[Any]:
    """All that a stage says of one document."""
    drops = [(d.rule, d.threshold) for d in outcome.drops if row in d.rows]
    details = [None if texts[row] is None else texts[row] for _, texts in sorted(outcome.details.items())]
    numbers = [values[row].item() for _, values in sorted(outcome.signals.items())]
    edits = [(e.rule, float(e.values[list(e.rows).index(row)])) for e in outcome.edits if row in e.rows]
    return [drops, details, repr(numbers), edits, outcome.batch.column("text")[row].as_py()]


HOSTILE = [
    "",
    " ",
    "word",
    "\0",
    "\0 \0\n\0",
    "\ufeff\u200b\u200d\u2060",
    "\u202eright to left\u202c שלום עולם مرحبا بالعالم",
    "👩‍👩‍👧‍👦🇩🇪 ❤️‍🔥 " * 9,
    "\u2028\u2029\x85\x0b\x0c\x1c\x1d\x1e\r\r\n\n\r",
    "a\u0301\u0301\u0301 ﷽ ǆ ß İ ſ Σς" * 3,
    "\U0010ffff\ue000\ufffe",
    "{" * 50 + "<" * 50 + "[" * 50,
    "...…. . .??!!'\"" * 20,
    "# " * 300,
    "- • * ● ‣\n" * 40,
    "lorem ipsum javascript terms of use http://a.b/c?d=e#f a@b.cd [1] [edit] 3 likes\n" * 5,
    "中文没有空格的句子。" * 30 + "\n" + "日本語の文章、です。" * 30,
]


@pytest.fixture(scope="module", params=[None, *WORDS], ids=str)
def stage(request) -> RuleStage:
    return every_stage() if request.param is None else every_stage(**other_words(request.param))


def test_hostile_texts(stage):
    outcome = stage(batch_of(HOSTILE))
    assert all(len(values) == len(HOSTILE) for values in outcome.signals.values())
    assert stage(batch_of([])).batch.num_rows == 0


@pytest.mark.parametrize("unit", ["a", "a ", "\n", "中", "- x\n"])
def test_ten_megabytes_of_one_thing(stage, unit):
    text = unit * (10_000_000 // len(unit.encode()))
    outcome = stage(batch_of(["before", text, "after"]))
    assert told(outcome, 0) == told(stage(batch_of(["before"])), 0)
    assert told(outcome, 2) == told(stage(batch_of(["after"])), 0)


PIECES = [
    *HOSTILE[2:],
    "the",
    "and",
    "of",
    "mountain",
    "a b",
    "Read more",
    "2021",
    " ",
    "  ",
    "\n",
    "\n\n",
    "\t",
    ". ",
    "! ",
]


@given(
    st.lists(st.lists(st.sampled_from(PIECES) | st.text(max_size=8), max_size=30).map("".join), max_size=7), st.data()
)
@settings(max_examples=60)
def test_a_document_is_measured_alone(stage, texts, data):
    """Neither its neighbours nor the size of the batch change what is said of a document."""
    whole = stage(batch_of(texts))
    size = data.draw(st.integers(1, max(1, len(texts))))
    for start in range(0, len(texts), size):
        part = stage(batch_of(texts[start : start + size]))
        for row in range(part.batch.num_rows):
            assert told(part, row) == told(whole, start + row)
    whole.batch.validate(full=True)  # what is cut is still UTF-8


def sample(count: int = 300) -> list[str]:
    rng = random.Random(11)
    return ["".join(rng.choices([*PIECES, " ", " ", "\n"], k=rng.randrange(60))) for _ in range(count)]


def digest(outcome: Outcome) -> str:
    found = hashlib.sha256()
    for row in range(outcome.batch.num_rows):
        found.update(json.dumps(told(outcome, row)).encode())
    return found.hexdigest()


def test_threads_change_nothing(stage):
    batch = batch_of(sample())
    expected = digest(stage(batch))
    stages = [every_stage(), every_stage(**other_words("spacy")), stage]
    alone = [digest(each(batch)) for each in stages]
    with ThreadPoolExecutor(3) as pool:
        for _ in range(3):
            assert [digest(outcome) for outcome in pool.map(lambda each: each(batch), stages)] == alone
    assert alone[-1] == expected


def test_hash_seeds_change_nothing():
    code = "from test_every_rule import *\nprint(digest(every_stage(**other_words('spacy'))(batch_of(sample(120)))))"
    here = str(Path(__file__).parent)
    outputs = set()
    for seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": here}
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
        outputs.add(done.stdout)
    assert outputs == {digest(every_stage(**other_words("spacy"))(batch_of(sample(120)))) + "\n"}


def prose(count: int = 60) -> list[str]:
    """Texts that many rules let pass."""
    rng, texts = random.Random(5), []
    words = "the river and mill that grinds wheat have to be kept with a sharp eye of their own miller who never sleeps"
    for _ in range(count):
        sentences = []
        for _ in range(rng.randrange(3, 30)):
            chosen = [
                f"{rng.choice(words.split())}{rng.choice(['', '', 'ing', 'er', str(rng.randrange(9))])}"
                for _ in range(11)
            ]
            sentences.append(f"{' '.join(chosen).capitalize()}.")
        texts.append("\n".join(sentences))
    return texts


def test_the_order_of_all_rules_changes_no_signal_and_no_kept_document():
    names = [rule.name for rule in RULES if rule.name not in MODELS]
    batch, results = batch_of(sample() + prose()), []
    for order in (names, names[::-1], random.Random(2).sample(names, len(names))):
        stage = every_stage(order=order)
        outcome = stage(batch)
        dropped = {int(row) for drop in outcome.drops for row in drop.rows}
        kept = [row for row in range(batch.num_rows) if row not in dropped]
        texts = outcome.batch.column("text").take(kept).to_pylist()
        signals = {name: repr(values.tolist()) for name, values in sorted(outcome.signals.items())}
        results.append((kept, texts, signals))
    assert results[0] == results[1] == results[2]
    assert 5 < len(results[0][0]) < batch.num_rows


def test_an_inactive_document_is_left_out():
    """A rule measures only active rows, and measures them as if the others were not there."""
    from gristmill.filters.measures.texts import Texts

    texts = sample(40)
    active = np.arange(len(texts)) % 3 == 0
    for rule in every_stage().rules:
        some, alone = Texts(batch_of(texts)), Texts(batch_of([t for t, a in zip(texts, active, strict=True) if a]))
        some.active = active
        measured, expected = rule.measure(some), rule.measure(alone)
        for name, values in expected.signals.items():
            np.testing.assert_array_equal(np.asarray(measured.signals[name])[active], values, err_msg=name)
