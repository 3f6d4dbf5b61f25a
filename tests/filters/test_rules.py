"""A stage of rules: verdicts from signals alone, cuts at the end, the order changing names and never what is kept."""

from __future__ import annotations

import itertools
import json
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pytest
from gristmill.config import Settings, validate
from gristmill.console import RequestError
from gristmill.document import DOCUMENT
from gristmill.filters.measures.texts import Texts
from gristmill.filters.quality.settings import QualitySettings, quality_stage
from gristmill.filters.rule import Cuts, Limit, Measured, Rule, ratio
from gristmill.filters.rules import RuleStage, decide
from gristmill.filters.stage import Outcome, first_verdicts
from gristmill.pipelines.recipe import Recipe
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field


def batch_of(texts: list[str], languages: list[str | None] | None = None) -> pa.RecordBatch:
    n = len(texts)
    columns = {f.name: pa.nulls(n, f.type) for f in DOCUMENT}
    columns["key"] = pa.array([i.to_bytes(16, "big") for i in range(n)], DOCUMENT.field("key").type)
    columns["text"] = pa.array(texts, pa.large_string())
    columns["language"] = pa.array(languages or [None] * n, pa.string())
    return pa.RecordBatch.from_pydict(columns, DOCUMENT)


class ManyQuestions(Rule):
    """Pages that are lists of questions."""

    name = "many_questions"

    class Settings(Settings):
        """One threshold."""

        max_question_marks: float | None = Field(0.2, ge=0, description="Question marks a character")
        min_characters: int = Field(0, ge=0, description="Characters")

    limits = (Limit("max_question_marks", "question_marks"), Limit("min_characters", "characters"))

    def measure(self, texts: Texts) -> Measured:
        marks = texts.occurrences("?")
        details = [json.dumps({"marks": int(n)}) for n in marks]
        numbers = {"question_marks": ratio(marks, texts.characters()), "characters": texts.characters()}
        return Measured(numbers, {"max_question_marks": details})


class NoStars(Rule):
    """Takes every star out, and drops what has many."""

    name = "no_stars"
    edits: ClassVar = {"stars": "stars"}

    class Settings(Settings):
        """One threshold."""

        max_stars: int | None = Field(5, ge=0, description="Stars")
        fill: int = 0

    limits = (Limit("max_stars", "stars"),)

    def measure(self, texts: Texts) -> Measured:
        asked.append(texts.active.copy())
        rows, starts = [], []
        for row, text in enumerate(texts.column("text").to_pylist()):
            for at, byte in enumerate(text.encode()):
                if byte == ord("*"):
                    rows.append(row)
                    starts.append(at)
        start = np.array(starts, np.int64)
        fill = np.full(len(rows), self.settings.fill, np.uint8)
        cuts = Cuts("stars", np.array(rows, np.int64), start, start + 1, fill)
        return Measured({"stars": texts.occurrences("*")}, cuts=(cuts,))


asked: list[np.ndarray] = []  # which rows were active when NoStars measured


def stage(*rules: Rule, **more: Any) -> RuleStage:
    return RuleStage("quality", rules, **more)


def questions(**settings: Any) -> ManyQuestions:
    return ManyQuestions(ManyQuestions.Settings(**settings))


def stars(**settings: Any) -> NoStars:
    return NoStars(NoStars.Settings(**settings))


TEXTS = ["plain text", "a*b*c", "???", "?*?*?*?*?*?*", "", "*" * 9, "é*é"]


def verdicts(outcome: Outcome) -> dict[int, str]:
    return {int(row): drop.rule for drop in first_verdicts(outcome) for row in drop.rows}


def test_signals_drops_details_and_cuts():
    outcome = stage(questions(), stars())(batch_of(TEXTS))
    assert verdicts(outcome) == {2: "many_questions_max_question_marks", 3: "many_questions_max_question_marks"} | {
        5: "no_stars_max_stars"
    }
    first = outcome.drops[0]
    assert first.rows.tolist() == [2, 3]
    assert first.values.tolist() == [1.0, 0.5]
    assert first.threshold == 0.2
    assert first.detail == ['{"marks": 3}', '{"marks": 6}']
    assert [outcome.batch.column("text")[i].as_py() for i in (0, 1, 4, 6)] == ["plain text", "abc", "", "éé"]
    (edit,) = outcome.edits
    assert (edit.rule, edit.rows.tolist(), edit.values.tolist()) == ("no_stars_stars", [1, 6], [2.0, 1.0])
    numbers = outcome.signals
    assert np.isnan(numbers["many_questions_question_marks"][4]), "a share of nothing is not measured"
    assert np.isnan(numbers["no_stars_stars"][[2, 3]]).all(), "what was dropped is measured no further"
    left = numbers["quality_characters"]
    assert left[[0, 1, 4, 6]].tolist() == [10, 3, 0, 2]
    assert np.isnan(left[[2, 3, 5]]).all()


def test_a_dropped_document_costs_later_rules_nothing():
    asked.clear()
    stage(questions(), stars())(batch_of(TEXTS))
    (active,) = asked
    assert active.tolist() == [True, True, False, False, True, True, True]


def test_all_signals_measures_everything_and_decides_the_same():
    some, every = (stage(questions(), stars(), all_signals=all)(batch_of(TEXTS)) for all in (False, True))
    assert verdicts(some) == verdicts(every)
    assert not np.isnan(every.signals["no_stars_stars"]).any()
    for name, values in some.signals.items():
        known = ~np.isnan(values)
        np.testing.assert_array_equal(values[known], every.signals[name][known])
    kept = sorted(set(range(len(TEXTS))) - set(verdicts(some)))
    assert some.batch.column("text").take(kept).equals(every.batch.column("text").take(kept))
    assert [e.rows.tolist() for e in some.edits] == [e.rows.tolist() for e in every.edits]
    assert not np.isnan(every.signals["quality_characters"]).any()


def test_the_order_of_rules_changes_no_signal_and_no_kept_document():
    rules = [questions(min_characters=3), stars(fill=ord("-")), questions(max_question_marks=None)]
    rules[2].prefix = "again"
    results = []
    for order in itertools.permutations(rules):
        outcome = stage(*order, all_signals=True)(batch_of(TEXTS))
        kept = sorted(set(range(len(TEXTS))) - set(verdicts(outcome)))
        texts = outcome.batch.column("text").take(kept).to_pylist()
        results.append((kept, texts, {k: v.tolist() for k, v in sorted(outcome.signals.items())}))
    assert all(str(result) == str(results[0]) for result in results)
    names = {verdicts(stage(*order)(batch_of(["???******"]))).get(0) for order in itertools.permutations(rules)}
    assert len(names) > 1, "the order decides which rule is named"


@given(st.lists(st.text("ab*?é\n", max_size=12), max_size=8), st.integers(1, 8))
def test_batches_do_not_matter(texts, size):
    def told(outcome: Outcome, start: int) -> list:
        drops = [(start + row, rule) for row, rule in verdicts(outcome).items()]
        return [*drops, *outcome.batch.column("text").to_pylist(), *map(str, outcome.signals["no_stars_stars"])]

    whole = batch_of(texts)
    rules = stage(questions(), stars(max_stars=2), all_signals=True)
    parts = [told(rules(whole.slice(i, size)), i) for i in range(0, len(texts), size)]
    assert sorted(map(str, itertools.chain(*parts))) == sorted(map(str, told(rules(whole), 0) if texts else []))


def test_verdicts_follow_from_signals():
    rule = questions(min_characters=5)
    outcome = stage(rule, all_signals=True)(batch_of(TEXTS))
    alive = np.ones(len(TEXTS), bool)
    again = {int(r): c.rule for c, rows in decide(rule.checks(), outcome.signals, alive) for r in rows}
    assert again == verdicts(outcome)
    assert alive.all(), "the mask of the caller stays as it was"


def test_thresholds_by_language():
    english, german = (questions(max_question_marks=share) for share in (0.1, 0.9))
    rules = RuleStage("quality", [english, stars()], {"de": [german, None], "fr": [None, stars()]})
    outcome = rules(batch_of(["a??", "a??", "a??*", "a"], ["en", "de", "fr", None]))
    assert verdicts(outcome) == {0: "many_questions_max_question_marks"}
    assert np.isnan(outcome.signals["no_stars_stars"][1])
    assert outcome.batch.column("text")[2].as_py() == "a??"


def test_costs_are_counted_by_rule():
    rules = stage(questions(), stars())
    rules(batch_of(TEXTS))
    assert {name: (cost.measured, cost.dropped) for name, cost in rules.costs.items()} == {
        "many_questions": (7, 2),
        "no_stars": (5, 1),
    }
    assert all(cost.seconds > 0 for cost in rules.costs.values())


# -- in a recipe -----------------------------------------------------------------------------------------------------


def recipe(quality: Any) -> Recipe:
    return validate(Recipe, {"input": {"paths": ["x"]}, "output": "out", "quality": quality}, "recipe.yaml")


def test_rules_run_in_the_order_of_the_recipe():
    for order in (["gopher_quality", "gopher_repetition"], ["gopher_repetition", "gopher_quality"]):
        settings = recipe({name: {} for name in order}).quality
        assert quality_stage(settings).names == order
        again = QualitySettings.model_validate_json(json.dumps(settings.model_dump(mode="json"), sort_keys=True))
        assert quality_stage(again).names == order, "and it survives JSON with sorted keys"


def test_a_rule_of_the_users_own(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(
        "from pydantic import Field\n"
        "from gristmill.config import Settings\n"
        "from gristmill.filters.rule import Limit, Measured, Rule\n"
        "class Loud(Rule):\n"
        "    name = 'loud'\n"
        "    class Settings(Settings):\n"
        "        max_marks: int = Field(1, ge=0)\n"
        "    limits = (Limit('max_marks', 'marks'),)\n"
        "    def measure(self, texts):\n"
        "        return Measured({'marks': texts.occurrences('!')})\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    settings = recipe({"own": {"mine:Loud": {"max_marks": 2}}, "gopher_quality": {"min_words": 1}}).quality
    outcome = quality_stage(settings)(batch_of(["wow!!!", "the words that we have"]))
    assert verdicts(outcome) == {0: "loud_max_marks"}
    with pytest.raises(RequestError, match=r"own\.mine:Loud\.max_mark: Extra inputs"):
        recipe({"own": {"mine:Loud": {"max_mark": 2}}})
    with pytest.raises(RequestError, match=r"own\.mine:Quiet: cannot be imported"):
        recipe({"own": {"mine:Quiet": {}}})
    with pytest.raises(RequestError, match=r"own\.json:JSONDecoder: not a class derived from"):
        recipe({"own": {"json:JSONDecoder": {}}})


def test_a_language_has_what_differs():
    settings = recipe(
        {
            "gopher_quality": {"min_words": 3, "min_stop_words": 1},
            "gopher_repetition": {},
            "languages": {"de": {"gopher_quality": {"stop_words": ["der", "und"]}, "gopher_repetition": None}},
        }
    ).quality
    rules = quality_stage(settings)
    german = rules.for_language("de")
    assert german[0].settings.stop_words == ("der", "und")
    assert german[0].settings.min_words == 3
    assert german[1] is None
    assert rules.for_language("en") == rules.rules
    texts = ["der Hund und die Katze", "the dog and the cat"]
    assert verdicts(rules(batch_of(texts, ["de", "de"])))[1] == "gopher_min_stop_words"


@pytest.mark.parametrize(
    ("quality", "said"),
    [
        ({"gopher_qualty": {}}, "quality.gopher_qualty: unknown key; did you mean `gopher_quality`?"),
        ({"gopher_quality": {"min_words": "x"}}, "quality.gopher_quality.min_words"),
        ({"gopher_quality": {}, "languages": {"de": {"c5": {}}}}, "languages.de.c5: no rule of this recipe"),
        ({"gopher_quality": {}, "languages": {"de": {"gopher_quality": {"min_words": "x"}}}}, "min_words"),
        ({"gopher_quality": {}, "order": ["gopher_repetition"]}, "order: expected each of gopher_quality once"),
    ],
    ids=["unknown rule", "wrong type", "language of no rule", "wrong type by language", "order"],
)
def test_a_wrong_recipe_is_told(quality, said):
    with pytest.raises(RequestError) as told:
        recipe(quality)
    assert said in str(told.value)
