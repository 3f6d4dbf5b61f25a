"""Recipes and training configurations: strict YAML over pydantic models.

The idea: a wrong file stops before any work, with one line per mistake that names the path of the key,
what was found and what is allowed. What a stock YAML loader lets pass is refused or mended here: a key written twice,
`no` read as false (YAML 1.1; the language code of Norwegian), `1e-4` read as text, `010` read as 8 and `1:30` as 90.
The price is a loader of our own of some thirty lines.
"""

from __future__ import annotations

import difflib
import importlib
import json
import re
import types
import typing
from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from .console import RequestError


class Settings(BaseModel):
    """Base of every configuration model: unknown keys are errors, values are never coerced, instances are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


M = TypeVar("M", bound=Settings)


def imported(reference: str) -> Any:
    """What `module:attribute` names: code of the user's own. Raises ImportError, whatever is missing."""
    module, _, attribute = reference.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (AttributeError, ValueError) as error:
        raise ImportError(str(error)) from None


class _Loader(yaml.SafeLoader):
    """SafeLoader with the scalars of YAML 1.2 and no duplicate keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key, line = self.construct_object(key_node, deep=True), key_node.start_mark.line + 1
            if not isinstance(key, Hashable):
                raise RequestError(f"{node.start_mark.name}:{line}: a list or a mapping cannot be a key")
            if key in seen:
                raise RequestError(f"{node.start_mark.name}:{line}: the key `{key}` is written twice")
            seen.add(key)
        return super().construct_mapping(node, deep)


_OURS = ("bool", "int", "float", "timestamp")
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rules if tag.rpartition(":")[2] not in _OURS]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z"), list("tTfF")
)
_Loader.add_implicit_resolver(  # no leading zero, which YAML 1.1 takes for octal
    "tag:yaml.org,2002:int", re.compile(r"[-+]?(?:0|[1-9][0-9_]*|0x[0-9a-fA-F_]+)\Z"), list("-+0123456789")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9]+|[0-9][0-9_]*(?=[eE]))(?:[eE][-+]?[0-9]+)?\Z"),
    list("-+.0123456789"),
)


def parse_yaml(text: str, name: str) -> Any:
    """The value of a YAML text; `name` stands in the error. Raises RequestError on bad syntax or a repeated key."""
    try:
        loader = _Loader(text)
        loader.name = name
        return loader.get_single_data()
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise RequestError(f"{name}:{line}: not valid YAML: the character U+{error.character:04X}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{name}:{mark.line + 1}" if mark else name
        raise RequestError(f"{where}: not valid YAML: {getattr(error, 'problem', None) or error}") from None
    except RecursionError:
        raise RequestError(f"{name}: nested too deeply") from None
    except (ValueError, TypeError, AttributeError):  # from PyYAML's constructors of explicit tags
        raise RequestError(f"{name}: not valid YAML: a value does not fit its tag (!!...)") from None


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
    return validate(model, overridden(data, overrides), str(path))


def overridden(data: dict, overrides: Iterable[str]) -> dict:
    """`data` after `path.to.key=value` overrides, in place. Raises RequestError."""
    for override in overrides:
        _override(data, override)
    return data


def find(name: str, shipped: Path) -> Path:
    """The file that `name` names: a path, or a configuration in the folder `shipped` of the package.

    Raises RequestError naming those that ship.
    """
    if Path(name).exists() and not Path(name).is_dir():  # a pipe will do: `gristmill run <(make-recipe)`
        return Path(name)
    known = {path.stem: path for path in sorted(shipped.glob("*.yaml"))}
    if name not in known:
        raise RequestError(f"{name}: no such file, nor a configuration that ships ({', '.join(known)})")
    return known[name]


def validate(model: type[M], data: dict, name: str) -> M:
    """`data` as `model`; see `load` for the errors."""
    try:
        # JSON mode: lists become tuples and text becomes enums, but "3" never becomes 3
        return model.model_validate_json(json.dumps(data))
    except ValidationError as error:
        lines = [f"{name}: {_explain(model, e)}" for e in _telling(model, error.errors())]
    except (TypeError, ValueError, RecursionError):
        lines = [f"{name}: holds a value that JSON has no form for (bytes, a set, a date tag, an alias of itself)"]
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


def _split(model: type[BaseModel], error: dict) -> tuple[list, tuple[str, str] | None]:
    """(the path of an error without the names of unions' branches, (path of the innermost union, its branch))."""
    here: Any = model
    path: list = []
    branch = None
    for part in error["loc"]:
        choices = [a for a in typing.get_args(here) if a is not types.NoneType] if _is_union(here) else []
        if len(choices) > 1:
            branch = (json.dumps(path), part)
            here = next((c for c in choices if getattr(c, "__name__", None) == part), None)
            continue
        path.append(part)
        inner = _models_in(here)
        if not isinstance(part, int):
            here = next((f.annotation for m in inner for name, f in m.model_fields.items() if name == part), None)
        elif len(inner) == 1:
            here = inner[0]
    return path, branch


def _is_union(annotation: Any) -> bool:
    return typing.get_origin(annotation) in (typing.Union, types.UnionType)


def _telling(model: type[BaseModel], errors: list[dict]) -> list[dict]:
    """The errors that tell something: of a union those of the branch that was meant, the one with the fewest strange or
    missing keys; of a list that lacks items none where the items have errors of their own.
    """
    strange: dict[str, dict[str, list[int]]] = {}
    placed = [(error, *_split(model, error)) for error in errors]
    for error, _, branch in placed:
        if branch:
            union, name = branch
            counts = strange.setdefault(union, {}).setdefault(name, [0, 0])
            counts[0] += error["type"] in ("extra_forbidden", "missing")
            counts[1] += 1
    meant = {union: min(branches, key=branches.__getitem__) for union, branches in strange.items()}
    paths = [path for _, path, _ in placed]
    return [
        error
        for error, path, branch in placed
        if (not branch or meant[branch[0]] == branch[1])
        and not (error["type"] == "too_short" and any(p[: len(path)] == path and p != path for p in paths))
    ]


def _explain(model: type[BaseModel], error: dict) -> str:
    """One pydantic error as `path: what was found; what is allowed`."""
    location, branch = _split(model, error)
    path = ".".join(str(part) for part in location) or "the file"
    if error["type"] == "extra_forbidden":
        models = _models_at(model, location[:-1])
        allowed = _fields(models)
        if location[-1] in allowed:  # by another branch of the union
            with_them = _fields([m for m in models if branch and m.__name__ == branch[1]])
            return f"{path}: does not go with the other keys here (allowed with them: {', '.join(with_them)})"
        close = difflib.get_close_matches(str(location[-1]), allowed, 1)
        hint = f"; did you mean `{close[0]}`?" if close else ""
        return f"{path}: unknown key{hint} (allowed: {', '.join(allowed)})"
    if error["type"] == "missing":
        return f"{path}: this key is required"
    if error["type"] == "value_error":
        message = error["msg"].removeprefix("Value error, ")
        return f"{path}: found {_shown(error['input'])}; {message}" if location else message
    if error["type"] == "too_short":
        message = f"at least {error['ctx']['min_length']} of them"
    else:
        message = error["msg"].removeprefix("Input should be ")
    return f"{path}: found {_shown(error['input'])}; expected {message}"


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for argument in typing.get_args(annotation) for m in _models_in(argument)]


def _models_at(model: type[BaseModel], path: list) -> list[type[BaseModel]]:
    """The models that may stand at a path, through optional, union and list types."""
    models: list[type[BaseModel]] = [model]
    for part in path:
        if not isinstance(part, int):
            inner = [f.annotation for m in models for name, f in m.model_fields.items() if name == part]
            models = [m for annotation in inner for m in _models_in(annotation)]
    return models


def _fields(models: list[type[BaseModel]]) -> list[str]:
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
            named = f"{name}.NAME" if _is_mapping(field.annotation) else name  # keys of the user's own choice
            for m in inner:
                walk(m, f"{prefix}{named}.")

    walk(model, "")
    return "\n".join(rows) + "\n"


def _is_mapping(annotation: Any) -> bool:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _is_mapping(arguments[0])
    return origin is dict


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
