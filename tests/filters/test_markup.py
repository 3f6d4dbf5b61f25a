"""Code, markup, boilerplate and dummy text against regular expressions; and where ordinary pages stand."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import math
import random
import re
import sysconfig
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import zstandard
from gristmill.document import DOCUMENT
from gristmill.filters.measures.texts import Texts
from gristmill.filters.quality.boilerplate import PHRASES, Boilerplate, LoremIpsum
from gristmill.filters.quality.markup import Code, Markup
from gristmill.filters.rules import RuleStage
from gristmill.filters.stage import first_verdicts
from hypothesis import given, settings
from hypothesis import strategies as st

FAMILIES = (Code, Markup, LoremIpsum, Boilerplate)

OPENER = re.compile(
    rb"#include[ <]|#define |#ifn?def |#endif|#!/|<\?(php|xml)|//|/\*|\*/|(else|try|finally):|else ?\{|try \{|\} ?else"
    rb"|>>> |console\.log\("
)
KEYWORD = re.compile(
    rb"(def|class|function|fn|func|return|var|let|const|struct|enum|if|for|while|switch|catch|elif|except|with|public"
    rb"|private|protected|static|void|int|float|double|char|bool|unsigned) |(return|if|for|while)\(|else if"
)
OPERATOR = re.compile(rb" (=|==|=>|\+=|-=|:=) |!=|&&|\|\||->|::|\+\+;|--;|\(\);|\$\{")
TAG = rb"<[A-Za-z/!?][^<>]{0,997}>|&(?:#[0-9]{1,29}|#[xX][0-9a-fA-F]{1,28}|[A-Za-z][A-Za-z0-9]{0,29});"
MARK = rb"\]\([^()\x09-\x0d ]{0,997}\)|\[\[|\]\]|\{\{|\}\}|\{\||\|\}|'{2,}|={2,}|\*{2,}|_{2,}|`+|~{2,}|^#{1,6} |^\|"
MARKUP = re.compile(rb"(?P<tag>%s)|(?P<mark>%s)" % (TAG, MARK), re.MULTILINE)


def batch_of(texts: list[str]) -> pa.RecordBatch:
    n = len(texts)
    columns = {f.name: pa.nulls(n, f.type) for f in DOCUMENT}
    columns["key"] = pa.array([i.to_bytes(16, "big") for i in range(n)], DOCUMENT.field("key").type)
    columns["text"] = pa.array(texts, pa.large_string())
    return pa.RecordBatch.from_pydict(columns, DOCUMENT)


def measured(texts: list[str]) -> dict[str, list]:
    signals, shared = {}, Texts(batch_of(texts))
    for family in FAMILIES:
        signals |= family(family.Settings()).measure(shared).signals
    return {name: values.tolist() for name, values in signals.items()}


def is_code(line: bytes) -> bool:
    if OPENER.match(line) or OPERATOR.search(line) or line.endswith((b"{", b"}", b"};", b");", b"},", b"];", b"*/")):
        return True
    return bool(KEYWORD.match(line) and (re.search(rb"[={}]", line) or line.endswith((b"(", b"):"))))


def slowly(text: str) -> dict[str, float]:
    def share(a, b):
        return a / b if b else math.nan

    lines = [line.strip() for line in text.splitlines() if line.strip()]
    markup = list(MARKUP.finditer(text.encode()))
    tags, marks = (sum(len((m[name] or b"").decode()) for m in markup) for name in ("tag", "mark"))
    notices = sum(any(phrase in line.lower() for phrase in PHRASES) for line in lines)
    return {
        "code_lines": share(sum(is_code(line.encode()) for line in lines), len(lines)),
        "code_signs": share(sum(c in "{}[]()<>=;_\\|&^~$@" for c in text), len(text)),
        "tags": share(tags, len(text)),
        "marks": share(marks, len(text)),
        "occurrences": text.lower().count("lorem ipsum"),
        "lines": len(lines),
        "lines_with_phrase": notices,
        "boilerplate_lines": share(notices, len(lines)),
    }


def check(texts: list[str]) -> dict[str, list]:
    signals = measured(texts)
    for i, text in enumerate(texts):
        for name, value in slowly(text).items():
            found = signals[name][i]
            assert found == value or (math.isnan(value) and math.isnan(found)), (name, found, value, text)
    return signals


PIECES = [
    *"abc.,;:<>()[]{}|=*_`~'#&/!?-+\\$^@",
    "<a href='x'>",
    "</p>",
    "<!-- é -->",
    "<" + "b" * 997 + ">",
    "<" + "b" * 998 + ">",
]
PIECES += [
    "&amp;",
    "&#39;",
    "&#x2F;",
    "&",
    "&a" + "b" * 29 + ";",
    "&a" + "b" * 30 + ";",
    "](http://é/a)",
    "](a b)",
    "](",
    "[[",
    "]]",
    "{|",
]
PIECES += [
    "## ",
    "####### ",
    "|}",
    "''",
    "'''",
    "def f(",
    "class ",
    "return ",
    "import os",
    "if x:",
    "for (",
    "else:",
    "#include <a>",
    "//",
    "*/",
]
PIECES += [
    " = ",
    " == ",
    "!=",
    "&&",
    "->",
    "::",
    "();",
    "};",
    "},",
    "];",
    ");",
    "lorem ipsum",
    "Lorem Ipsum",
    "Privacy Policy",
    "sign in to",
    "é",
    "日",
]
PIECES += [
    "The mill grinds.",
    "](" + "u" * 997 + ")",
    "](" + "u" * 998 + ")",
    "int ",
    "public static void",
    ">>> ",
    "\0",
    "\u2028",
    "\x85",
]
GAPS = [" "] * 4 + ["\n"] * 3 + [""] * 8 + ["\r\n", "\t", "\xa0"]


def hostile(rng: random.Random) -> str:
    return "".join(rng.choice(PIECES) + rng.choice(GAPS) for _ in range(rng.randrange(30)))


def test_equals_the_expressions_on_hostile_texts():
    rng = random.Random(1)
    signals = check([hostile(rng) for _ in range(3000)])
    for name, values in signals.items():
        assert len(set(values)) > 2, f"{name} is always the same"


@given(st.lists(st.text() | st.text(st.sampled_from("<>a/&#;x[](){}|=*'` \n_")), max_size=5))
@settings(max_examples=200)
def test_equals_the_expressions_on_any_text(texts):
    check(texts)


def rows(path: Path):
    with (zstandard.open if path.suffix == ".zst" else gzip.open)(path, "rb") as raw:
        yield from map(json.loads, io.TextIOWrapper(raw, encoding="utf-8"))


def dropped(family, texts: list[str]) -> float:
    outcome = RuleStage("quality", [family(family.Settings())])(batch_of(texts))
    return sum(len(drop.rows) for drop in first_verdicts(outcome)) / len(texts)


def test_prose_stays_and_what_is_no_prose_goes(shared_data):
    prose = [
        str(row["text"])[:20_000]
        for row in itertools.islice(rows(shared_data / "quality" / "c4-sample.01.jsonl.gz"), 200)
    ]
    for name in ("classic-books-part1.jsonl.zst", "us-presidents-part1.jsonl.gz"):
        prose += [row["text"][:20_000] for row in itertools.islice(rows(shared_data / "text-en" / name), 40)]
    check(prose[:40])
    assert {family.name: dropped(family, prose) for family in FAMILIES} == dict.fromkeys(
        ("code", "markup", "lorem_ipsum", "boilerplate"), 0
    )
    folder = Path(sysconfig.get_paths()["stdlib"])
    code = [
        (folder / name).read_text(encoding="utf-8")
        for name in ("ast.py", "heapq.py", "shutil.py", "typing.py", "bisect.py")
    ]
    signals = measured(code)
    assert np.median(signals["code_lines"]) > 5 * np.median(measured(prose)["code_lines"])
    pages = "".join(f"<div class='row'><a href='/page/{i}'>Mill {i}</a><br/></div>\n" for i in range(50))
    script = "\n".join(f"function f{i}(a) {{\n  var x = a + {i};\n  return x;\n}}" for i in range(20))
    assert dropped(Markup, [pages]) == dropped(Code, [script]) == 1


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("return to the mill; it is late;", False),
        ("from the river, with a wheel;", False),
        ("if (and only if) the stones sing, he stops.", False),
        ("return x = y", True),
        ("def grind(corn):", True),
        ("x = grind(corn)", True),
        ("while (true) {", True),
        ("// a remark", True),
        ("== History ==", False),
        ("Class struggle = history?", True),  # an assignment, as far as one line can tell
    ],
)
def test_code_by_hand(line, code):
    assert measured([line])["code_lines"] == [float(code)]


def test_markup_by_hand():
    text = "<b>Mill</b> &amp; '''stone''' [[river|water]] [wheel](http://a.b)"
    signals = measured([text])
    assert signals["tags"] == [(3 + 4 + 5) / len(text)]
    assert signals["marks"] == [(6 + 4 + len("](http://a.b)")) / len(text)]


def test_phrases_of_another_language():
    rule = Boilerplate(Boilerplate.Settings(phrases=("datenschutz", "")))
    signals = rule.measure(Texts(batch_of(["DATENSCHUTZ hier\nMühle\n\nzum Datenschutz"]))).signals
    assert signals["boilerplate_lines"].tolist() == [2 / 3]


def test_ten_million_characters_and_inactive_rows():
    texts = Texts(batch_of(["<a" * 5_000_000, "](" * 5_000_000, "&a" * 5_000_000, "= " * 5_000_000, "lorem ipsum x"]))
    texts.active[0] = False
    for family in FAMILIES:
        measured = family(family.Settings()).measure(texts).signals
    assert Markup(Markup.Settings()).measure(texts).signals["tags"][1:].tolist() == [0] * 4
    assert measured["lines"][1:].tolist() == [1] * 4
