"""The README's reference is generated from the models; `make reference` (this file, run) writes it anew."""

from __future__ import annotations

import re
from pathlib import Path

from gristmill.config import reference
from gristmill.pipelines.recipe import Recipe
from gristmill.trainer.settings import TrainSettings

README = Path(__file__).resolve().parent.parent / "README.md"


def rendered(text: str) -> str:
    """The README with its reference tables made anew."""
    for name, model in (("recipe", Recipe), ("train", TrainSettings)):
        block = f"<!-- reference: {name} -->\n{reference(model)}<!-- end -->"
        pattern = rf"<!-- reference: {name} -->\n.*?<!-- end -->"
        text, found = re.subn(pattern, lambda _, block=block: block, text, flags=re.DOTALL)
        assert found == 1, f"README.md has no reference of {name}"
    return text


def test_reference_is_generated_from_the_models():
    text = README.read_text(encoding="utf-8")
    assert text == rendered(text), "run `make reference`"


if __name__ == "__main__":
    README.write_text(rendered(README.read_text(encoding="utf-8")), encoding="utf-8")
