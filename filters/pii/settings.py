"""How personal data are found and what takes their place: the section `scrub` of a recipe.

The threshold. Presidio scores an e-mail address, card number or IBAN that passes its check 1.0, an IP address 0.6, a
social security number with separators 0.5, a phone number 0.4, nine bare digits 0.05 and a bare `::` 0.1; a context
word near it adds 0.35, to at least 0.4. The default of 0.4 takes whatever has the whole form of its kind, and bare
digits only where a word such as "ssn" stands beside them.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import Literal

import regex
from phonenumbers import SUPPORTED_REGIONS
from pydantic import Field, field_validator, model_validator

from ...config import Settings
from .actions import Action
from .catalogue import DEFAULT_KINDS, KINDS, NAME_KINDS
from .checks import validator
from .exceptions import EXCEPTIONS, ExceptionName
from .finding import Kind
from .names import NamesSettings, model_files
from .replacements import FAKED, REGIONS
from .secret import KEYED, fingerprint_of, read_key


class DropAbove(Settings):
    """Documents that are made of personal data: lists of members, dumps of tables."""

    density: float = Field(gt=0, description="Findings in the text, a thousand characters of it; more drop it.")


class Pattern(Settings):
    """A kind of personal data that a pattern describes: numbers of members, of employees, of cases."""

    kind: Kind = Field(
        pattern=r"^[A-Z]+(?:_[A-Z]+)*$", description="Its name, as `MEMBER_NUMBER`; its tag is `<MEMBER_NUMBER>`."
    )
    pattern: str = Field(min_length=1, description="Regular expression, in the syntax of Python's package regex.")
    ignore_case: bool = Field(default=False, description="Whether capitals and small letters are the same to it.")
    score: float = Field(default=0.4, gt=0, le=1, description="Of what matches it and has no validator.")
    context: tuple[str, ...] = Field(
        default=(), description="Words that raise the score by 0.35, at least to 0.4, where one is near before a match."
    )
    validator: str | None = Field(
        default=None,
        description="Who says whether a match is one (then its score is 1) or none: `luhn`, `mod_97`, `verhoeff`, or a "
        "function of yours as `module:name`, from text to true, false, or None if it cannot tell.",
    )

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        try:
            compiled = regex.compile(pattern)
        except regex.error as error:
            raise ValueError(f"not a regular expression: {error}") from None
        if compiled.search(""):
            raise ValueError("matches the empty text")
        return pattern

    @field_validator("validator")
    @classmethod
    def _is_there(cls, name: str | None) -> str | None:
        if name is not None:
            validator(name)
        return name


class ScrubSettings(Settings):
    """How personal data are found and what takes their place."""

    kinds: tuple[Kind, ...] = Field(
        default=DEFAULT_KINDS,
        min_length=1,
        description="The kinds to look for, by Presidio's names; `gristmill scrub kinds` lists them.",
    )
    recognizers: Literal["all", "presidio"] = Field(
        default="all",
        description="`presidio`: exactly what Presidio's recognisers find. `all`: ours beside them, and no finding of "
        "Presidio's that is something else (an order number, a date) or whose form alone says nothing.",
    )
    min_score: float = Field(
        default=0.4,
        ge=0,
        le=1,
        description="Findings with a lower score stay. Presidio gives a phone number 0.4, an IP address 0.6, an e-mail "
        "address or a card number that passes its check 1.0; nine bare digits reach 0.4 only beside a word like `ssn`.",
    )
    phone_regions: tuple[str, ...] = Field(
        default=REGIONS, description="Countries whose national form Presidio's phone numbers may have; + is anybody's."
    )
    patterns: tuple[Pattern, ...] = Field(default=(), description="Further kinds, each described by a pattern.")
    names: NamesSettings | None = Field(
        default=None, description="Names of people, places, organisations, by a model; null looks for none."
    )
    action: Action = Field(
        default="tag",
        description="What takes the place of a finding: `tag` its kind (`<EMAIL>`); `fake` another value of its form "
        "that is nobody's, or a hash where its kind has no fakes; `hash` its kind and 16 letters; `mask` a star for "
        "each letter and digit; `remove` nothing. With `fake` and `hash` the same value gets the same replacement "
        "everywhere, by a secret key.",
    )
    actions: dict[Kind, Action] = Field(default={}, description="Kinds for which something else is done.")
    key_file: str | None = Field(default=None, description="Path of the file with the key of `fake` and `hash`.")
    key_env: str | None = Field(default=None, description="Or the environment variable that holds it, on every worker.")
    exceptions: tuple[ExceptionName, ...] = Field(
        default=EXCEPTIONS,
        description="What is nobody's and stays: `documentation` (example.com, 192.0.2.0/24, 555-01xx), `versions` "
        "(numbers of four parts that are called a version), `private` (10.0.0.1, ::1), `no_reply` (noreply@).",
    )
    drop_above: DropAbove | None = Field(default=None, description="Documents that hold too much; null keeps them all.")

    @field_validator("kinds")
    @classmethod
    def _are_known(cls, kinds: tuple[Kind, ...]) -> tuple[Kind, ...]:
        for kind in kinds:
            if kind in NAME_KINDS:
                raise ValueError(f"{kind} is found by a model: say scrub.names.model, and its kinds there")
            if kind not in KINDS:
                near = get_close_matches(kind, KINDS, 1, 0)
                raise ValueError(f"there is no kind {kind}; did you mean {near[0]}?")
        return kinds

    @field_validator("phone_regions")
    @classmethod
    def _are_regions(cls, regions: tuple[str, ...]) -> tuple[str, ...]:
        strange = sorted(set(regions) - SUPPORTED_REGIONS)
        if strange:
            raise ValueError(f"no region {', '.join(strange)}; regions are named as US, GB, DE")
        return regions

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> ScrubSettings:
        strange = sorted(set(self.actions) - {*KINDS, *self.all_kinds})
        if strange:
            raise ValueError(f"actions: there is no kind {', '.join(strange)}")
        faked = [kind for kind, action in self.actions.items() if action == "fake" and kind not in FAKED]
        if faked:
            raise ValueError(f"there are no fakes of {', '.join(faked)}")
        done = {self.action_of(kind) for kind in self.all_kinds}
        if done & set(KEYED) and (self.key_file is None) == (self.key_env is None):
            raise ValueError(
                f"{' and '.join(sorted(done & set(KEYED)))} need a secret key: give either key_file or key_env"
            )
        return self

    @property
    def all_kinds(self) -> tuple[Kind, ...]:
        """Whatever is looked for: by Presidio's and our recognisers, by patterns, by a model of names."""
        names = self.names.kinds if self.names is not None else ()
        return tuple(dict.fromkeys((*self.kinds, *(p.kind for p in self.patterns), *names)))

    def action_of(self, kind: Kind) -> Action:
        """What is done to findings of a kind."""
        if kind not in self.actions and self.action == "fake" and kind not in FAKED:
            return "hash"
        return self.actions.get(kind, self.action)

    @property
    def keyed(self) -> bool:
        """Whether anything is done that needs the secret key."""
        return any(self.action_of(kind) in KEYED for kind in self.all_kinds)

    def files(self) -> tuple[str, ...]:
        """Paths of the files of the model of names. Raises RequestError where it is not there."""
        return model_files(self.names.model) if self.names is not None else ()

    def key(self) -> bytes | None:
        """The secret key, read anew; None where none is needed. Raises RequestError."""
        return read_key(self.key_file, self.key_env) if self.keyed else None


NO_EXCEPTIONS = ScrubSettings(exceptions=())


def fingerprint(settings: ScrubSettings | None) -> str | None:
    """12 hexadecimal digits that tell the keys of two runs apart; None where none is needed. Raises RequestError."""
    key = settings.key() if settings is not None else None
    return None if key is None else fingerprint_of(key)
