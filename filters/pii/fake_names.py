"""Names in place of names: which writings are the same name, and the invented name that stands where one stood.

An invented name is put together from syllables that make nobody's name (a test looks them up among the names of
Faker's locales), so it is known for a fake by its form alone, as the other fakes are (`replacements.py`). With 256
first and 4,096 last names, two people who are named in full get the same one about once in a million.

What is consistent is the name as it is written. "Jane Roe", "JANE ROE" and "Jane Roe's" are one; "Roe", "Ms. Roe" and
"Roe, Jane" are others: who is meant by half a name is a guess, and a wrong guess would make one person of two.
"""

from __future__ import annotations

import re
import unicodedata

FIRST = (
    ("Bax", "Dez", "Fov", "Gaz", "Hux", "Jev", "Kiz", "Lox", "Moz", "Nuv", "Piv", "Rez", "Sux", "Tav", "Vuz", "Zev"),
    ("abi", "adu", "afe", "agu", "alv", "amo", "apu", "ark", "ebo", "edu", "efa", "ego", "elk", "emu", "epi", "erm"),
)
LAST = (
    ("Bro", "Cla", "Dre", "Fru", "Gra", "Kle", "Kro", "Pla", "Pre", "Ska", "Ste", "Stu", "Tre", "Tro", "Vla", "Zwe"),
    ("bix", "dev", "fam", "goz", "juk", "lov", "mup", "nax", "piz", "rud", "sef", "tov", "vag", "wix", "zel", "zur"),
    ("ado", "alk", "amp", "ard", "eft", "end", "erk", "ilt", "imp", "ogg", "old", "orp", "und", "urn", "ust", "utt"),
)
"""The syllables of first and last names, place by place."""

_POSSESSIVE = re.compile(r"['’][sS]\Z")


def normalised_name(value: str) -> str:
    """The name without what differs from writing to writing: case, white space, form of Unicode, a possessive 's."""
    value = " ".join(unicodedata.normalize("NFKC", value).split())
    return (_POSSESSIVE.sub("", value) or value).casefold()


def fake_name(number: int, value: str) -> str:
    """The invented name that a number not below 0 draws, written as `value` is.

    One word stays one word, more become two; capitals stay capitals, and 's stays at the end.
    """
    value = value.strip()
    ending = _POSSESSIVE.search(value)
    words = value[: ending.start() if ending else None].split()
    name = ""
    for syllables in (FIRST, LAST) if len(words) > 1 else (LAST,):
        name += " " if name else ""
        for choices in syllables:
            number, choice = divmod(number, len(choices))
            name += choices[choice]
    if value.isupper() and any(len(word.strip(".")) > 1 for word in words):  # initials are capitals by themselves
        name = name.upper()
    return name + (ending.group() if ending else "")


def _pattern() -> re.Pattern[str]:
    initials = "".join(sorted({syllable[0] for syllable in (*FIRST[0], *LAST[0])}))  # most places are done with here
    forms = []
    for written in (str, str.upper):
        first, last = ("".join(f"(?:{'|'.join(map(written, s))})" for s in syllables) for syllables in (FIRST, LAST))
        forms.append(f"(?:{first} )?{last}")
    return re.compile(rf"(?=[{initials}])(?<!\w)(?:{'|'.join(forms)})(?:['’][sS])?(?!\w)")


FAKE_NAME = _pattern()
"""Whatever `fake_name` gives, where it stands as a word."""
