"""Drawing tokens, growing text, streaming it, and the commands that do so from a checkpoint alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import ranks
import torch
from gristmill.console import RequestError
from gristmill.trainer.generation.chat import chat
from gristmill.trainer.generation.generate import Writer, as_text, continue_tokens, open_writer
from gristmill.trainer.generation.sampling import Sampler, Sampling, probabilities
from gristmill.trainer.model.config import ModelConfig
from gristmill.trainer.model.decoder import Decoder, initialise
from gristmill.trainer.precision import choose
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

CPU = choose("fp64", torch.device("cpu"))
GREEDY = Sampling(temperature=0)


@pytest.fixture(scope="module")
def trained(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has learned something, in a directory whose corpus is gone."""
    tokens = Path(shutil.copytree(corpus, tmp_path_factory.mktemp("gone") / "tokens"))
    config = {
        "data": {"tokens": str(tokens), "length": 32},
        "model": {"dim": 48, "layers": 2, "heads": 4, "kv_heads": 2},
        "optimizer": {"lr": 1e-2},
        "schedule": {"steps": 60, "warmup": 10},
        "batch": {"sequences": 16},
        "samples": {"every": 30, "prompts": ["the mill", "日本"], "tokens": 6},
        "threads": 1,
    }
    folder = ranks.run(config, tmp_path_factory.mktemp("trained"))
    shutil.rmtree(tokens)
    return folder


@pytest.fixture(scope="module")
def writer(trained: Path) -> Writer:
    return open_writer(trained)[0]


def toy(length: int = 12) -> Decoder:
    model = Decoder(ModelConfig(dim=16, layers=2, heads=2, vocabulary=50, length=length)).double()
    initialise(model, 0)
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(8)  # opinions strong enough to differ
    return model


# -- drawing -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "how",
    [
        Sampling(),
        Sampling(temperature=0.5),
        Sampling(temperature=2.0, top_k=4),
        Sampling(top_p=0.7),
        Sampling(temperature=1.3, top_k=6, top_p=0.9),
    ],
)
def test_draws_follow_the_distribution(how: Sampling) -> None:
    logits = torch.tensor([2.0, 1.5, 1.0, 0.5, 0.0, -0.5, -1.0, -4.0])
    # by hand: scale, keep the k likeliest, keep the likeliest that are needed to hold p, make it sum to one
    p = np.exp(logits.numpy() / how.temperature)
    p[how.top_k or 8 :] = 0
    p /= p.sum()
    if how.top_p is not None:
        p[int(np.searchsorted(p.cumsum(), how.top_p)) + 1 :] = 0
        p /= p.sum()
    shuffled = torch.randperm(8, generator=torch.Generator().manual_seed(1))
    expected = p[shuffled.numpy()]
    assert probabilities(logits[shuffled], how).numpy() == pytest.approx(expected, abs=1e-6)
    sampler, n = Sampler(how, seed=3), 4000
    drawn = np.bincount([sampler(logits[shuffled]) for _ in range(n)], minlength=8)
    assert drawn[expected == 0].sum() == 0
    some = expected > 0
    chi2 = (((drawn - n * expected) ** 2)[some] / (n * expected[some])).sum()
    assert chi2 < 25  # seven degrees of freedom at most: less than one in a thousand


@given(
    # three places: logits that differ by less have one probability, and either may be called the likeliest
    st.lists(st.floats(-20, 20).map(lambda x: round(x, 3)), min_size=1, max_size=30),
    st.floats(0, 3),
    st.none() | st.integers(1, 40),
    st.none() | st.floats(1e-6, 1),
)
@settings(max_examples=150, deadline=None)
def test_any_setting_gives_a_distribution_that_keeps_the_likeliest(
    numbers: list[float], temperature: float, top_k: int | None, top_p: float | None
) -> None:
    logits = torch.tensor(numbers, dtype=torch.float64)
    if 0 < temperature < 1e-3:
        temperature = 0
    p = probabilities(logits, Sampling(temperature, top_k, top_p))
    assert float(p.sum()) == pytest.approx(1)
    assert float(p[logits == logits.max()].sum()) > 0
    assert int((p > 0).sum()) <= (top_k or len(numbers))


def test_greedy_takes_the_likeliest_and_seeds_repeat() -> None:
    logits = torch.randn(100, generator=torch.Generator().manual_seed(0))
    assert Sampler(GREEDY, 0)(logits) == int(logits.argmax())
    one, two, other = Sampler(Sampling(), 7), Sampler(Sampling(), 7), Sampler(Sampling(), 8)
    draws = [one(logits) for _ in range(50)]
    assert draws == [two(logits) for _ in range(50)]
    assert draws != [other(logits) for _ in range(50)]


@pytest.mark.parametrize("wrong", [{"temperature": -1}, {"temperature": float("nan")}, {"top_k": 0}, {"top_p": 1.5}])
def test_impossible_settings_are_refused(wrong: dict) -> None:
    with pytest.raises(RequestError, match="expected"):
        Sampling(**wrong)


def test_weights_that_are_not_finite_are_told_apart_from_a_defect() -> None:
    with pytest.raises(RequestError, match="not finite"):
        Sampler(Sampling(), 0)(torch.tensor([1.0, float("nan")]))


# -- growing -----------------------------------------------------------------------------------------------------------


def test_greedy_text_is_what_full_passes_would_say() -> None:
    model, prompt = toy(length=12), [3, 14, 15]
    ours = list(continue_tokens(model, prompt, 9, Sampler(GREEDY, 0), None, CPU))
    ids = list(prompt)
    with torch.no_grad():
        for _ in range(9):
            ids.append(int(model(torch.tensor([ids]))[0, -1, :50].argmax()))
    assert ours == ids[3:]


def test_text_longer_than_the_context_goes_on_from_the_newest_half() -> None:
    model, prompt = toy(length=8), list(range(20))
    ours = list(continue_tokens(model, prompt, 14, Sampler(GREEDY, 0), None, CPU))
    ids, start = list(prompt), 16  # where the window begins: the newest half of eight
    with torch.no_grad():
        for _ in range(14):
            if len(ids) - start > 8:
                start = len(ids) - 4
            ids.append(int(model(torch.tensor([ids[start:]]))[0, -1, :50].argmax()))
    assert ours == ids[20:]


def test_it_stops_at_the_end_of_text_and_draws_no_id_that_is_none() -> None:
    model = toy(length=12)
    unstopped = list(continue_tokens(model, [1], 30, Sampler(Sampling(temperature=3.0), 0), None, CPU))
    assert max(unstopped) < 50  # of 64 rows
    end = unstopped[10]
    stopped = list(continue_tokens(model, [1], 30, Sampler(Sampling(temperature=3.0), 0), end, CPU))
    assert stopped == unstopped[: unstopped.index(end)]


@given(st.text(max_size=60))
@settings(max_examples=100, deadline=None)
def test_pieces_put_together_are_the_text(text: str) -> None:
    tokenizer = _byte_level()
    ids = tokenizer.encode(text).ids
    pieces = list(as_text(tokenizer, iter(ids)))
    assert "".join(pieces) == tokenizer.decode(ids)
    if "\N{REPLACEMENT CHARACTER}" not in text:
        assert not any("\N{REPLACEMENT CHARACTER}" in piece for piece in pieces)


def _byte_level() -> Tokenizer:
    from tokenizers import decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def test_a_special_token_in_the_prompt_is_text(writer: Writer) -> None:
    ids = writer.encode("a <|endoftext|> b")
    assert ids[0] == writer.end_of_text
    assert writer.end_of_text not in ids[1:]
    assert writer.tokenizer.decode(ids[1:], skip_special_tokens=False) == "a <|endoftext|> b"


# -- commands ----------------------------------------------------------------------------------------------------------


def _gristmill(*arguments: str, input: str = "") -> subprocess.CompletedProcess:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-m", "gristmill", *arguments]
    return subprocess.run(command, input=input, capture_output=True, text=True, encoding="utf-8", env=environment)


def test_generate_from_a_checkpoint_in_a_process_of_its_own(trained: Path, tmp_path: Path) -> None:
    alone = Path(shutil.copytree(trained / "checkpoints" / "step-00000060", tmp_path / "alone"))
    done = _gristmill("generate", str(alone), "--prompt", "the mill", "--tokens", "12", "--temperature", "0")
    assert done.returncode == 0, done.stderr
    writer, _ = open_writer(trained)
    expected = "the mill" + "".join(writer.stream("the mill", 12, Sampler(GREEDY, 0))) + "\n"
    assert done.stdout == expected
    assert len(done.stdout) > len("the mill\n")


def test_generate_names_what_is_wrong(tmp_path: Path) -> None:
    done = _gristmill("generate", str(tmp_path / "absent"), "--prompt", "x")
    assert done.returncode == 2
    assert done.stderr.startswith("gristmill: ")
    assert "no such folder" in done.stderr


def test_chat_says_what_the_model_is_and_goes_on_with_the_text(trained: Path) -> None:
    done = _gristmill("chat", str(trained), "--tokens", "5", "--temperature", "0", input="the mill grinds\nthe water\n")
    assert done.returncode == 0, done.stderr
    assert "only pre-trained" in done.stderr
    assert done.stdout.count("\n") == 2


def test_a_chat_remembers_until_the_document_ends(writer: Writer) -> None:
    seen: list[list[int]] = []

    class Scripted(Writer):
        def __init__(self) -> None:
            super().__init__(writer.model, writer.tokenizer, writer.end_of_text, writer.precision)

        def write(self, prompt: list[int], count: int, sampler: Sampler):
            seen.append(list(prompt))
            yield from self.encode(" so")[1:] * (count if len(seen) == 1 else 0)

    count = len(writer.encode(" so")) - 1
    shown, told = [], []
    chat(Scripted(), "pretrain", ["one\n", "two\n", "three\n"], count, Sampler(GREEDY, 0), shown.append, told.append)
    texts = [writer.tokenizer.decode(ids[1:]) for ids in seen]
    assert texts[0] == "one\n"
    assert texts[1].startswith("one\n so")
    assert texts[1].endswith("\ntwo\n")
    assert texts[2] == "three\n"  # the second answer ended its document
    assert "only pre-trained" in told[0]


def test_samples_before_during_and_after(trained: Path) -> None:
    files = sorted(path.name for path in (trained / "samples").iterdir())
    assert files == ["step-00000000.txt", "step-00000030.txt", "step-00000060.txt"]
    first, last = ((trained / "samples" / name).read_text(encoding="utf-8") for name in (files[0], files[-1]))
    assert first.startswith("the mill")
    assert "日本" in first
    assert first != last
