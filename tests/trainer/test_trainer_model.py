"""The decoder against an independent writing-out of the Llama equations in NumPy, in float64; cache; first weights."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from gristmill.config import validate
from gristmill.console import RequestError
from gristmill.trainer.model.attention import Cache, attend
from gristmill.trainer.model.config import ModelConfig, ModelShape
from gristmill.trainer.model.decoder import Decoder, initialise
from gristmill.trainer.model.size import flops_per_token, parameters
from gristmill.trainer.objectives.causal import IGNORED, CausalObjective, counted

SHAPES = {
    "one kv head a query head": {"heads": 4, "kv_heads": None},
    "grouped": {"heads": 4, "kv_heads": 2},
    "multi-query, untied": {
        "heads": 4,
        "kv_heads": 1,
        "tied": False,
        "rope_theta": 500.0,
        "norm_eps": 1e-3,
    },
}


def model_of(**shape: object) -> Decoder:
    config = ModelConfig(**{"dim": 32, "layers": 3, "vocabulary": 70, "length": 24, "ffn": 40} | shape)
    model = Decoder(config).double()
    initialise(model, 5)
    with torch.no_grad():  # gains that are not all one, and weights large enough for attention to choose
        draw = torch.Generator().manual_seed(6)
        for p in model.parameters():
            p.add_(torch.randn(p.shape, generator=draw, dtype=torch.float64) * 0.15)
    return model


def llama(model: Decoder, tokens: np.ndarray) -> np.ndarray:
    """Logits (B, T, V) by the equations, a position, a head and a pair of numbers at a time."""
    c = model.config
    w = {name: p.detach().numpy() for name, p in model.named_parameters()}
    d, groups = c.head_dim, c.heads // c.key_value_heads

    def norm(x: np.ndarray, gain: np.ndarray) -> np.ndarray:
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + c.norm_eps) * gain

    def turned(x: np.ndarray, t: int) -> np.ndarray:
        out = x.copy()
        for i in range(d // 2):
            angle = t / c.rope_theta ** (2 * i / d)
            a, b = x[i], x[i + d // 2]
            out[i], out[i + d // 2] = a * np.cos(angle) - b * np.sin(angle), a * np.sin(angle) + b * np.cos(angle)
        return out

    result = []
    for row in tokens:
        x = w["embedding.weight"][row]
        for layer in range(c.layers):
            at = f"blocks.{layer}."
            h = norm(x, w[at + "attention_norm.weight"])
            q, k, v = (h @ w[at + f"attention.{name}.weight"].T for name in ("query", "key", "value"))
            y = np.zeros((len(row), c.heads * d))
            for head in range(c.heads):
                mine, theirs = slice(head * d, head * d + d), slice(head // groups * d, head // groups * d + d)
                for t in range(len(row)):
                    scores = np.array(
                        [turned(q[t, mine], t) @ turned(k[s, theirs], s) / math.sqrt(d) for s in range(t + 1)]
                    )
                    p = np.exp(scores - scores.max())
                    y[t, mine] = (p / p.sum()) @ v[: t + 1, theirs]
            x = x + y @ w[at + "attention.output.weight"].T
            h = norm(x, w[at + "feedforward_norm.weight"])
            gate = h @ w[at + "feedforward.gate.weight"].T
            hidden = gate / (1 + np.exp(-gate)) * (h @ w[at + "feedforward.up.weight"].T)
            x = x + hidden @ w[at + "feedforward.down.weight"].T
        head = w["embedding.weight"] if c.tied else w["head.weight"]
        result.append(norm(x, w["norm.weight"]) @ head.T)
    return np.stack(result)


@pytest.mark.parametrize("name", SHAPES)
def test_logits_are_llamas(name: str) -> None:
    model = model_of(**SHAPES[name])
    tokens = np.random.default_rng(0).integers(0, 70, (2, 13))
    with torch.no_grad():
        ours = model(torch.from_numpy(tokens)).numpy()
    assert np.abs(ours - llama(model, tokens)).max() < 1e-10


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("steps", [[1] * 20, [20], [7, 1, 1, 5, 6], [19, 1]])
def test_cached_reading_is_full_reading(name: str, steps: list[int]) -> None:
    model = model_of(**SHAPES[name])
    tokens = torch.randint(70, (3, 20), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        cache = Cache(model.config, 24)
        parts = [model(part, cache) for part in tokens.split(steps, dim=1)]
        assert (torch.cat(parts, 1) - model(tokens)).abs().max() < 1e-12
    assert cache.length == 20
    with pytest.raises(ValueError, match="holds 24"), torch.no_grad():
        model(tokens[:, :5], cache)


def test_a_token_never_sees_later_ones() -> None:
    model = model_of(kv_heads=2, heads=4)
    tokens = torch.arange(20)[None]
    changed = tokens.clone()
    changed[0, 12:] += 30
    with torch.no_grad():
        a, b = model(tokens), model(changed)
    assert torch.equal(a[0, :12], b[0, :12])
    assert not torch.equal(a[0, 12], b[0, 12])


def test_attention_of_more_queries_than_one_is_masked_at_the_end() -> None:
    draw = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(1, 2, n, 8, generator=draw, dtype=torch.float64) for n in (3, 9, 9))
    whole = torch.nn.functional.pad(q, (0, 0, 6, 0))  # the six queries before these three do not matter
    assert torch.allclose(attend(q, k, v), attend(whole, k, v)[:, :, 6:], atol=1e-14)


def test_first_weights_are_a_function_of_the_seed() -> None:
    config = ModelConfig(dim=64, layers=8, heads=4, vocabulary=500, length=8)
    a, b, c = Decoder(config), Decoder(config).double(), Decoder(config)
    torch.manual_seed(3)  # no other generator has a say
    initialise(a, 1)
    initialise(b, 1)
    initialise(c, 2)
    for x, y, z in zip(a.parameters(), b.parameters(), c.parameters(), strict=True):
        assert torch.equal(x.double(), y)
        assert x.ndim < 2 or not torch.equal(x, z)
    deviations = {name: float(p.detach().std()) for name, p in a.named_parameters() if p.ndim > 1}
    for name, deviation in deviations.items():
        residual = name.endswith(("attention.output.weight", "feedforward.down.weight"))
        assert deviation == pytest.approx(math.sqrt(0.4 / 64) / (4 if residual else 1), rel=0.05), name


def test_size_is_counted_from_structure() -> None:
    tied = Decoder(ModelConfig(dim=64, layers=3, heads=4, kv_heads=2, ffn=96, vocabulary=100, length=16))
    block = 64 * 64 * 2 + 64 * 32 * 2 + 3 * 64 * 96
    assert parameters(tied) == 128 * 64 + 3 * (block + 2 * 64) + 64
    assert flops_per_token(tied, 16) == 6 * (3 * block + 128 * 64) + 12 * 3 * 64 * 16
    untied = Decoder(tied.config.model_copy(update={"tied": False}))
    assert parameters(untied) == parameters(tied) + 128 * 64
    assert flops_per_token(untied, 16) == flops_per_token(tied, 16)


def test_defaults_of_the_shape() -> None:
    shape = ModelShape(dim=768, layers=12, heads=12)
    assert (shape.hidden, shape.key_value_heads, shape.head_dim) == (2048, 12, 64)
    assert ModelConfig(dim=8, layers=1, heads=1, vocabulary=50257, length=8).rows == 50304


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"heads": 5}, "dim 32 is not a multiple of heads 5"),
        ({"kv_heads": 3}, "heads 4 is not a multiple of kv_heads 3"),
        ({"heads": 32, "kv_heads": 1}, "must be even"),
    ],
)
def test_impossible_shapes_are_refused(wrong: dict, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        validate(ModelShape, {"dim": 32, "layers": 1, "heads": 4} | wrong, "test")


def test_loss_is_the_sum_over_the_tokens_that_count() -> None:
    model = model_of(heads=4)
    batch = torch.randint(70, (3, 9), generator=torch.Generator().manual_seed(1))
    batch[1, 6:] = IGNORED
    batch[2, 3] = IGNORED
    assert int(counted(batch)) == 24 - 3 - 1
    with torch.no_grad():
        ours = float(CausalObjective(model)(batch))
        logp = model(batch[:, :-1].clamp(min=0)).log_softmax(-1)
    by_hand = -sum(
        float(logp[i, t, batch[i, t + 1]]) for i in range(3) for t in range(8) if int(batch[i, t + 1]) != IGNORED
    )
    assert ours == pytest.approx(by_hand, abs=1e-10)
