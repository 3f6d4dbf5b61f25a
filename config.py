"""Recipes and training configurations: strict YAML over pydantic models.

The idea: a wrong file stops before any work, with one line per mistake that names the path of the key,
what was found and what is allowed. Three things a stock YAML loader lets pass are refused or mended here:
a key written twice, `no` read as false (YAML 1.1; the language code of Norwegian), and `1e-4` read as text.
The price is a loader of our own of some twenty lines.
"""

from __future__ import annotations

import difflib
import json
import re
import types
import typing
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from .console import RequestError


class Settings(BaseModel):
    """Base of every configuration model: unknown keys are errors, values are never coerced, instances are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


M = TypeVar("M", bound=Settings)


class _Loader(yaml.SafeLoader):
    """SafeLoader with the scalars of YAML 1.2 and no duplicate keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                line = key_node.start_mark.line + 1
                raise RequestError(f"{node.start_mark.name}:{line}: the key `{key}` is written twice")
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rules if tag.rpartition(":")[2] not in ("bool", "float", "timestamp")]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z"), list("tTfF")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9]+|[0-9][0-9_]*(?=[eE]))(?:[eE][-+]?[0-9]+)?\Z"),
    list("-+.0123456789"),
)


def parse_yaml(text: str, name: str) -> Any:
    """The value of a YAML text; `name` stands in the error. Raises RequestError on bad syntax or a repeated key."""
    loader = _Loader(text)
    loader.name = name
    try:
        return loader.get_single_data()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{name}:{mark.line + 1}" if mark else name
        raise RequestError(f"{where}: not valid YAML: {getattr(error, 'problem', None) or error}") from None
    finally:
        loader.dispose()


def load(model: type[M], path: str | Path, overrides: Iterable[str] = ()) -> M:
    """Read a YAML file into `model`, after `--set path.to.key=value` overrides (values are YAML).

    Raises RequestError naming, for every mistake, the path of the key, what was found and what is allowed.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise RequestError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"{path}: cannot be read: {error}") from None
    data = parse_yaml(text, str(path))
    if not isinstance(data, dict):
        raise RequestError(f"{path}: expected a mapping of keys, found {_shown(data)}")
    for override in overrides:
        _override(data, override)
    return validate(model, data, str(path))


def validate(model: type[M], data: dict, name: str) -> M:
    """`data` as `model`; see `load` for the errors."""
    try:
        # JSON mode: lists become tuples and text becomes enums, but "3" never becomes 3
        return model.model_validate_json(json.dumps(data))
    except ValidationError as error:
        lines = [f"{name}: {_explain(model, e)}" for e in error.errors()]
    except TypeError as error:
        lines = [f"{name}: {error}"]
    raise RequestError("\n".join(dict.fromkeys(lines)))


def _override(data: dict, override: str) -> None:
    path, equals, value = override.partition("=")
    if not equals or not path:
        raise RequestError(f"--set {override}: expected path.to.key=value")
    *parents, last = path.split(".")
    node = data
    for part in parents:
        if node.get(part) is None:
            node[part] = {}
        node = node[part]
        if not isinstance(node, dict):
            raise RequestError(f"--set {override}: `{part}` is not a mapping of keys")
    node[last] = parse_yaml(value, f"--set {path}")


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else text[:77] + "..."


def _explain(model: type[BaseModel], error: dict) -> str:
    """One pydantic error as `path: what was found; what is allowed`."""
    location = [part for part in error["loc"] if not (isinstance(part, str) and part.startswith("function-"))]
    path = ".".join(str(part) for part in location) or "the file"
    if error["type"] == "extra_forbidden":
        allowed = _fields_at(model, location[:-1])
        close = difflib.get_close_matches(str(location[-1]), allowed, 1)
        hint = f"; did you mean `{close[0]}`?" if close else ""
        return f"{path}: unknown key{hint} (allowed: {', '.join(allowed)})"
    if error["type"] == "missing":
        return f"{path}: this key is required"
    message = error["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    verb = "" if error["type"] == "value_error" else "expected "
    return f"{path}: found {_shown(error['input'])}; {verb}{message}"


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for argument in typing.get_args(annotation) for m in _models_in(argument)]


def _fields_at(model: type[BaseModel], location: list) -> list[str]:
    """The keys allowed at a path, through optional, union and list types."""
    models: list[type[BaseModel]] = [model]
    for part in location:
        if isinstance(part, int):
            continue
        inner = [f.annotation for m in models for name, f in m.model_fields.items() if name == part]
        if inner:  # a part that is no field is the name of a union's branch
            models = [m for annotation in inner for m in _models_in(annotation)]
        else:
            models = [m for m in models if m.__name__ == part] or models
    return sorted({name for m in models for name in m.model_fields})


def schema(model: type[BaseModel]) -> str:
    """The published JSON Schema of a configuration, as text."""
    return json.dumps(model.model_json_schema(), indent=2, sort_keys=True) + "\n"


def reference(model: type[BaseModel]) -> str:
    """A Markdown table of every key: path, type, default, meaning. The README's reference is made of it."""
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]

    def walk(part: type[BaseModel], prefix: str) -> None:
        for name, field in part.model_fields.items():
            inner = _models_in(field.annotation)
            default = "required" if field.is_required() else _default(field.get_default(call_default_factory=True))
            kind = _type_name(field.annotation)
            rows.append(f"| `{prefix}{name}` | {kind} | {default} | {field.description or ''} |")
            for m in inner:
                walk(m, f"{prefix}{name}.")

    walk(model, "")
    return "\n".join(rows) + "\n"


def _default(value: Any) -> str:
    if isinstance(value, BaseModel):
        return "see below"
    if isinstance(value, tuple):
        value = list(value)
    return f"`{_shown(value)}`"


def _type_name(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is types.NoneType:
        return "null"
    if origin is typing.Literal:
        return ", ".join(f"`{a}`" for a in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_type_name(a) for a in arguments)
    if origin is typing.Annotated:
        return _type_name(arguments[0])
    if origin in (tuple, list):
        return f"list of {_type_name(arguments[0])}"
    if origin is dict:
        return f"map to {_type_name(arguments[1])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "keys below"
    return {str: "text", int: "integer", float: "number", bool: "true or false"}.get(annotation, str(annotation))
