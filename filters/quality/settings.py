"""The part of a recipe that names rules: which ones, in which order, with which thresholds, for which language."""

from __future__ import annotations

from typing import Any

from pydantic import Field, ValidationError, create_model, model_validator

from ...config import Settings, imported
from ..rule import Rule
from ..rules import RuleStage
from . import RULES


class _Rules(Settings):
    """What the fields of the rules are added to."""

    own: dict[str, dict[str, Any]] = Field(
        {}, description="Rules of your own: `module:Class` and its settings. The module is imported, so trust it"
    )
    languages: dict[str, dict[str, dict[str, Any] | None]] = Field(
        {}, description="By language, rule and setting: what differs from the above; null leaves a rule out"
    )
    order: tuple[str, ...] = Field((), description="Names of the rules in order; by default as they stand in the file")

    @model_validator(mode="before")
    @classmethod
    def _in_order(cls, data: Any) -> Any:
        if isinstance(data, dict):
            named: list[str] = []
            for key, value in data.items():
                if key == "own" and isinstance(value, dict):
                    named += value
                elif key not in _Rules.model_fields and value is not None:
                    named.append(key)
            order = data.get("order") or ()
            if isinstance(order, (list, tuple)):  # a rule switched off leaves it, a new one goes to its end
                off = {key for key, value in data.items() if value is None}
                order = [n for n in order if n not in off] + [n for n in named if n not in order]
            data = data | {"order": order}
        return _tuples(data)  # what passed a validator is no longer JSON, and lists would be refused

    @model_validator(mode="after")
    def _whole(self) -> _Rules:
        named = {rule.name for rule in RULES if getattr(self, rule.name, None) is not None} | set(self.own)
        if sorted(self.order) != sorted(named):
            raise ValueError(f"order: expected each of {', '.join(sorted(named))} once, found {', '.join(self.order)}")
        for name in self.own:
            _build(self._kind(name), self.own[name], f"own.{name}")
        for language, changes in self.languages.items():
            if unknown := sorted(set(changes) - named):
                raise ValueError(f"languages.{language}.{unknown[0]}: no rule of this recipe ({', '.join(self.order)})")
            self._rules(language)
        return self

    def _kind(self, name: str) -> type[Rule]:
        """The class of a rule. Raises ValueError where a rule of the user's own cannot be imported."""
        known = {rule.name: rule for rule in RULES}
        if name in known:
            return known[name]
        try:
            found = imported(name)
        except ImportError as error:
            raise ValueError(f"own.{name}: cannot be imported: {error}") from None
        if not (isinstance(found, type) and issubclass(found, Rule)):
            raise ValueError(f"own.{name}: not a class derived from gristmill.filters.rule.Rule")
        return found

    def _rules(self, language: str | None = None) -> list[Rule | None]:
        changes = self.languages.get(language or "", {})
        rules: list[Rule | None] = []
        for name in self.order:
            value = self.own[name] if name in self.own else getattr(self, name).model_dump(mode="json")
            if name in changes and changes[name] is None:
                rules.append(None)
                continue
            where = f"languages.{language}.{name}" if name in changes else name
            rules.append(_build(self._kind(name), value | (changes.get(name) or {}), where))
        return rules


def _tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _build(kind: type[Rule], value: dict[str, Any], where: str) -> Rule:
    try:
        return kind(kind.Settings.model_validate(_tuples(value)))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join([where, *map(str, first["loc"])])
        raise ValueError(f"{place}: {first['msg']}") from None


QualitySettings = create_model(
    "QualitySettings",
    __base__=_Rules,
    __doc__="Rules of quality, in the order in which they stand.",
    **{
        rule.name: (rule.Settings | None, Field(None, description=(rule.__doc__ or "").strip().split("\n")[0]))
        for rule in RULES
    },
)


def quality_stage(settings: _Rules) -> RuleStage:
    """The stage `quality` of a recipe."""
    languages = {language: settings._rules(language) for language in settings.languages}
    return RuleStage("quality", settings._rules(), languages)
