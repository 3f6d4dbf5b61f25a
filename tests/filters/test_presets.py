"""The recipes that ship: each says what it reproduces and where it departs, and keeps and drops real pages."""

from __future__ import annotations

import gzip
import io
import itertools
import json
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
import zstandard
from gristmill.document import DOCUMENT
from gristmill.filters.quality.settings import quality_stage
from gristmill.filters.stage import first_verdicts
from gristmill.pipelines.recipe import load_recipe

RECIPES = Path(__file__).parents[2] / "pipelines" / "recipes"
PRESETS = ("c4", "dolma", "fineweb", "fineweb-2", "gopher", "refinedweb")
UDHR = """
arb:ar bul:bg ces:cs cmn_hans:zh dan:da deu:de ell_monotonic:el eng:en fin:fi fra:fr heb:he hin:hi hun:hu ind:id ita:it
jpn:ja kor:ko nld:nl nob:no pes_1:fa pol:pl por_BR:pt ron:ro rus:ru spa:es swe:sv tur:tr ukr:uk vie:vi
"""
LANGUAGES = dict(pair.split(":") for pair in UDHR.split())  # of the Declaration's translations -> of fineweb-2


def batch_of(texts: list[str], languages: list[str]) -> pa.RecordBatch:
    columns = {f.name: pa.nulls(len(texts), f.type) for f in DOCUMENT}
    columns |= {"text": pa.array(texts, pa.large_string()), "language": pa.array(languages, pa.string())}
    return pa.RecordBatch.from_pydict(columns, DOCUMENT)


def verdicts(preset: str, texts: list[str], languages: list[str]) -> list[str | None]:
    """The first rule that drops each text, None where it stays."""
    found: list[str | None] = [None] * len(texts)
    stage = quality_stage(load_recipe(preset).quality)
    for drop in first_verdicts(stage(batch_of(texts, languages))):
        for row in drop.rows.tolist():
            found[row] = drop.rule
    return found


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_says_what_it_reproduces_and_where_it_departs(preset):
    head = (RECIPES / f"{preset}.yaml").read_text(encoding="utf-8").split("\ninput:")[0]
    assert "Reproduced:" in head
    assert "Departs:" in head
    assert f"gristmill run {preset} " in head


@pytest.fixture(scope="module")
def pages(shared_data) -> list[str]:
    texts = []
    for path in sorted((shared_data / "quality").glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            texts += [str(json.loads(line).get("text") or "") for line in itertools.islice(lines, 40)]
    return texts


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_keeps_and_drops_real_pages(preset, pages):
    found = Counter(verdicts(preset, pages, ["en"] * len(pages)))
    assert found[None] > len(pages) / 10, found
    assert len(found) >= 3, found


@pytest.fixture(scope="module")
def declarations(shared_data) -> dict[str, str]:
    with open(shared_data / "multilingual" / "udhr2-part1.jsonl.zst", "rb") as file:
        stream = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), encoding="utf-8")
        rows = [json.loads(line) for line in stream]
    return {LANGUAGES[row["udhr_code"]]: row["text"] for row in rows if row["udhr_code"] in LANGUAGES}


def test_fineweb_2_keeps_each_language(declarations):
    recipe = load_recipe("fineweb-2")
    assert sorted(declarations) == sorted(recipe.language.keep)
    found = verdicts("fineweb-2", list(declarations.values()), list(declarations))
    assert dict(zip(declarations, found, strict=True)) == dict.fromkeys(declarations)


def test_fineweb_2_asks_each_language_for_its_own_words(declarations):
    """A text of another language under a language's name: the stop words give it away, but between near relatives."""
    spaced = [language for language in declarations if language not in ("ja", "zh")]
    missed = Counter()
    for own in spaced:
        others = [other for other in spaced if other != own]
        found = verdicts("fineweb-2", [declarations[other] for other in others], [own] * len(others))
        missed.update(language for language, rule in zip(others, found, strict=True) if rule is None)
    pairs = len(spaced) * (len(spaced) - 1)
    assert sum(missed.values()) < 0.2 * pairs, missed
