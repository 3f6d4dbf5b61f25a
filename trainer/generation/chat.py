"""A conversation in the terminal, a line at a time.

What a model can hold up its end of depends on what it was taught, which its checkpoint says. A model that was only
pre-trained knows no turns and no instructions: it goes on with the text. It is told so at the start, and each line is
put after what stands there already, until the model ends the document.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator

from .generate import Writer, as_text
from .sampling import Sampler

NOTICE = {
    "pretrain": "This model was only pre-trained: it follows no instructions, it goes on with your text.",
}


def chat(
    writer: Writer,
    stage: str,
    lines: Iterable[str],
    count: int,
    sampler: Sampler,
    show: Callable[[str], None],
    notify: Callable[[str], None],
) -> None:
    """Go on with each of `lines`, up to `count` tokens each; text goes to `show` in pieces, remarks to `notify`."""
    notify(NOTICE[stage])
    context = writer.encode("")
    for line in lines:
        context += writer.encode(line)[1:]
        written: list[int] = []
        tokens = _noted(writer.write(context, count, sampler), written)
        for piece in as_text(writer.tokenizer, tokens):
            show(piece)
        show("\n")
        if len(written) < count:
            notify("(the document ends here; the next line begins another)")
            context = writer.encode("")
        else:
            context += written + writer.encode("\n")[1:]


def _noted(tokens: Iterable[int], into: list[int]) -> Iterator[int]:
    """The same tokens, each also put into a list as it passes."""
    for token in tokens:
        into.append(token)
        yield token


def typed() -> Iterator[str]:
    """Lines from stdin to its end; at a terminal each is asked for."""
    while True:
        if sys.stdin.isatty():
            print("> ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        if not line:
            return
        yield line
