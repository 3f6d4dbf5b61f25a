"""Recipes and training configurations: a mistake is told in one line that names the key, what was found, what fits."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal

import jsonschema
import pytest
from gristmill import config
from gristmill.config import Settings, load, parse_yaml, reference, schema, validate
from gristmill.console import RequestError
from gristmill.pipelines.recipe import Recipe
from gristmill.trainer.settings import TrainSettings
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, model_validator

MINIMAL = "input: {paths: [a.jsonl]}\noutput: out\n"
SHIPPED = sorted((Path(config.__file__).parent / "pipelines" / "recipes").glob("*.yaml"))
TRAINING = sorted((Path(config.__file__).parent / "trainer" / "recipes").glob("*.yaml"))


class Square(Settings):
    side: float = Field(gt=0, description="Length")


class Circle(Settings):
    radius: float = Field(gt=0, description="Half of the width")
    centre: tuple[float, float] = Field((0, 0), description="Where")


class Drawing(Settings):
    shape: Square | Circle = Field(description="What")
    colour: Literal["red", "blue"] = Field("red", description="How")
    codes: tuple[str, ...] = Field((), description="Languages")
    shapes: tuple[Circle, ...] = Field((), description="More")
    share: Annotated[float, Field(ge=0, le=1)] | None = Field(None, description="Part")
    rows: int = Field(1, ge=1, description="Count")
    flag: bool = Field(False, description="Whether")

    @model_validator(mode="after")
    def _fits(self) -> Drawing:
        if self.flag and self.rows > 9:
            raise ValueError("rows: at most 9 with flag")
        return self


def errors(text: str, model: type[Settings] = Drawing, *overrides: str) -> list[str]:
    """The lines of the error of a file that holds `text`, without its name."""
    path = Path(errors.folder, "drawing.yaml")
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RequestError) as raised:
        load(model, path, overrides)
    assert raised.value.code == 2
    return [line.replace(f"{path}: ", "").replace(str(path), "FILE") for line in str(raised.value).splitlines()]


@pytest.fixture(autouse=True)
def _folder(tmp_path):
    errors.folder = tmp_path


# -- mistakes --------------------------------------------------------------------------------------------------------


def test_misspelt_key():
    (line,) = errors(MINIMAL + "qualty: null\n", Recipe)
    assert line.startswith("qualty: unknown key; did you mean `quality`? (allowed: address, all_signals, ")


def test_misspelt_key_inside():
    (line,) = errors("shapes:\n- {radius: 1}\n- {radius: 1, center: [0, 0]}\nshape: {side: 1}\n")
    assert line == "shapes.1.center: unknown key; did you mean `centre`? (allowed: centre, radius)"


def test_missing_key():
    assert errors("colour: red\n") == ["shape: this key is required"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("rows: '3'", 'rows: found "3"; expected a valid integer'),
        ("rows: 3.5", "rows: found 3.5; expected a valid integer"),
        ("rows: true", "rows: found true; expected a valid integer"),
        ("rows: 0", "rows: found 0; expected greater than or equal to 1"),
        ("rows:", "rows: found null; expected a valid integer"),
        ("rows: 010", 'rows: found "010"; expected a valid integer'),
        ("rows: 1:30", 'rows: found "1:30"; expected a valid integer'),
        ("share: 1.5", "share: found 1.5; expected less than or equal to 1"),
        ("share: !!float .nan", "share: found NaN; expected a finite number"),
        ("colour: green", "colour: found \"green\"; expected 'red' or 'blue'"),
        ("codes: en", 'codes: found "en"; expected a valid array'),
        ("codes: [en, 1]", "codes.1: found 1; expected a valid string"),
        ("flag: yes", 'flag: found "yes"; expected a valid boolean'),
        ("flag: 1", "flag: found 1; expected a valid boolean"),
        ("flag: true\nrows: 10", "rows: at most 9 with flag"),
    ],
)
def test_wrong_values(text, line):
    assert errors(f"shape: {{side: 1}}\n{text}\n") == [line]


def test_several_at_once():
    found = errors("shape: {side: 0}\nrows: x\ncolour: green\ncodes: [1]\nnew: 1\n")
    assert [line.split(":")[0] for line in found] == ["shape.side", "colour", "codes.0", "rows", "new"]


def test_of_alternatives_only_the_one_that_was_meant():
    assert errors("shape: {radius: -1}\n") == ["shape.radius: found -1; expected greater than 0"]
    assert errors("shape: {sid: 1}\n") == [
        "shape.side: this key is required",
        "shape.sid: unknown key; did you mean `side`? (allowed: centre, radius, side)",
    ]
    (line,) = errors("shape: {radius: 1, side: 1}\n")
    assert re.fullmatch(r"shape.(side|radius): does not go with the other keys here \(allowed with them: .*\)", line)


def test_no_file_no_mapping_no_text(tmp_path):
    for text in ("", "- a\n", "text\n"):
        assert errors(text)[0].startswith("expected a mapping of keys, found ")
    for path, message in ((tmp_path / "none.yaml", "no such file"), (tmp_path, "cannot be read: ")):
        with pytest.raises(RequestError, match=message):
            load(Drawing, path)
    Path(tmp_path, "latin.yaml").write_bytes(b"colour: \xe9\n")
    with pytest.raises(RequestError, match="cannot be read"):
        load(Drawing, tmp_path / "latin.yaml")


@pytest.mark.parametrize(
    "text",
    [
        "colour: red\ncolour: blue\n",
        "shape:\n  side: 1\n  side: 2\n",
        "shapes: [{radius: 1, radius: 2}]\n",
        "'colour': red\ncolour: blue\n",
    ],
)
def test_a_key_written_twice(text):
    (line,) = errors(text)
    assert re.fullmatch(r"FILE:\d: the key `(colour|side|radius)` is written twice", line)


@pytest.mark.parametrize(
    "text",
    [
        "colour: [red\n",
        "colour: *nothing\n",
        "colour: red\n---\ncolour: blue\n",
        "colour: \x00\n",
        "colour: !!int red\n",
        "colour: !!timestamp red\n",
        "colour: !!binary cmVk\n",
        "colour: !!set {red}\n",
        "colour: !!python/object/apply:os.system [true]\n",
        "codes: &loop [*loop]\n",
        "shape: &loop {side: *loop}\n",
        "? [a, b]\n: c\n",
        "? {a: b}\n: c\n",
        "codes: " + "[" * 3000 + "]" * 3000 + "\n",
    ],
)
def test_hostile_yaml_is_a_wrong_request(text):
    """Never a traceback, never an object of a tag's choice."""
    assert len(errors(text)) >= 1


@given(st.text(alphabet=st.sampled_from("ab:-[]{}&*!|>'\"%@`,?#\n 019.e~<="), max_size=30))
def test_any_text_is_a_value_or_a_wrong_request(text):
    with suppress(RequestError):
        parse_yaml(text, "text")


def test_scalars_of_yaml_1_2():
    text = "[no, NO, off, yes, true, 1e-4, 1e3, .5, 1.5, 2024-01-02, 12:30:45, 0o7, 017, 0x1f, 1_000, -3, ~, null]"
    assert parse_yaml(text, "text") == [
        *("no", "NO", "off", "yes", True, 1e-4, 1000.0, 0.5, 1.5, "2024-01-02", "12:30:45", "0o7", "017", 31, 1000),
        *(-3, None, None),
    ]


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers())
def test_numbers_as_python_writes_them(number, whole):
    assert parse_yaml(repr(number), "text") == number
    assert type(parse_yaml(repr(number), "text")) is float
    assert parse_yaml(str(whole), "text") == whole


# -- overrides -------------------------------------------------------------------------------------------------------


def drawing(*overrides: str) -> Drawing:
    path = Path(errors.folder, "drawing.yaml")
    path.write_text("shape: {side: 1}\nshare: null\n", encoding="utf-8")
    return load(Drawing, path, overrides)


def test_overrides():
    found = drawing(
        "rows=3", "codes=[en, no]", "shape={radius: 1e-4}", "shape.centre=[1.5, 2]", "share=0.5", "flag=true"
    )
    assert found.rows == 3
    assert found.codes == ("en", "no")
    assert found.shape == Circle(radius=1e-4, centre=(1.5, 2.0))
    assert found.share == 0.5
    assert found.flag


def test_the_last_override_counts_and_a_null_becomes_a_mapping():
    assert drawing("rows=3", "rows=4").rows == 4
    path = Path(errors.folder, "recipe.yaml")
    path.write_text(MINIMAL + "quality: null\n")
    assert load(Recipe, path, ["quality.gopher_quality.min_words=7"]).quality.gopher_quality.min_words == 7
    assert load(Recipe, path, ["quality="]).quality is None


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("rows", "--set rows: expected path.to.key=value"),
        ("=3", "--set =3: expected path.to.key=value"),
        ("colour.dark=1", "--set colour.dark=1: `colour` is not a mapping of keys"),
        ("codes.0=en", "--set codes.0=en: `codes` is not a mapping of keys"),
        ("rows=[1", "--set rows:1: not valid YAML: expected ',' or ']', but got '<stream end>'"),
        ("row=1", "row: unknown key; did you mean `rows`? (allowed: codes, colour, flag, rows, shape, shapes, share)"),
        ("rows=many", 'rows: found "many"; expected a valid integer'),
        ("a..b=1", "a: unknown key (allowed: codes, colour, flag, rows, shape, shapes, share)"),
    ],
)
def test_wrong_overrides(override, line):
    assert errors("shape: {side: 1}\ncolour: red\ncodes: [en]\n", Drawing, override) == [line]


# -- what is published -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [Recipe, TrainSettings], ids=lambda m: m.__name__)
def test_the_json_schema_is_one(model):
    text = json.loads(schema(model))
    jsonschema.Draft202012Validator.check_schema(text)
    assert text["additionalProperties"] is False


@pytest.mark.parametrize(
    ("model", "path"), [*((Recipe, p) for p in SHIPPED), *((TrainSettings, p) for p in TRAINING)], ids=str
)
def test_shipped_files_fit_schema_and_model(model, path):
    value = parse_yaml(path.read_text(), path.name)
    if model is TrainSettings:
        value["data"].setdefault("tokens", "run/tokens")  # which a shipped file cannot know
    validator = jsonschema.Draft202012Validator(json.loads(schema(model)))
    assert [e.message for e in validator.iter_errors(value)] == []
    assert list(validator.iter_errors({**value, "no_such_key": 1}))
    loaded = validate(model, value, path.name)
    assert validate(model, json.loads(loaded.model_dump_json()), "again") == loaded


def keys(model: type[BaseModel], prefix: str = "") -> set[str]:
    """Every key of a model, from its JSON Schema: an account that config.reference does not share."""
    whole = json.loads(schema(model))

    def walk(node: dict, path: str) -> set[str]:
        if "$ref" in node:
            node = whole["$defs"][node["$ref"].rpartition("/")[2]]
        found = set()
        for name, child in node.get("properties", {}).items():
            found |= {path + name} | walk(child, f"{path}{name}.")
        if isinstance(node.get("additionalProperties"), dict):
            found |= walk(node["additionalProperties"], f"{path}NAME.")
        for choice in (*node.get("anyOf", ()), *node.get("oneOf", ()), *node.get("prefixItems", ())):
            found |= walk(choice, path)
        return found | (walk(node["items"], path) if isinstance(node.get("items"), dict) else set())

    return walk(whole, prefix)


@pytest.mark.parametrize("model", [Recipe, TrainSettings, Drawing], ids=lambda m: m.__name__)
def test_the_reference_lists_every_key(model):
    rows = [line.split(" | ") for line in reference(model).splitlines()[2:]]
    assert all(len(row) == 4 for row in rows), rows
    named = [row[0].removeprefix("| ").strip("`") for row in rows]
    assert len(named) == len(set(named))
    assert set(named) == keys(model)
    for row in rows:
        assert row[3].removesuffix(" |").strip(), f"{row[0]} has no meaning"


def test_settings_are_frozen_and_strict():
    square = Square(side=1.0)
    with pytest.raises(ValueError):
        square.side = 2.0
    with pytest.raises(ValueError):
        Square(side="1")
