"""The shape of a model: what a training configuration chooses, and what the corpus adds to it.

The idea: a model is rebuilt from this one value and nothing else, so a checkpoint carries it and needs no code, no
preset and no corpus. `ModelShape` is what people write; `ModelConfig` adds what is not theirs to choose.
"""

from __future__ import annotations

from pydantic import Field, model_validator

from ...config import Settings


def padded(n: int, multiple: int = 64) -> int:
    """The least multiple of `multiple` that holds `n`: the widths that matrix kernels like."""
    return -(-n // multiple) * multiple


class ModelShape(Settings):
    """The shape of a causal decoder of the Llama family."""

    dim: int = Field(ge=2, description="width of the residual stream")
    layers: int = Field(ge=1, description="number of blocks, each attention and feed-forward")
    heads: int = Field(ge=1, description="query heads; `dim` must be a multiple of it")
    kv_heads: int | None = Field(
        None, ge=1, description="key and value heads, shared by groups of query heads; null: as many as `heads`"
    )
    ffn: int | None = Field(
        None, ge=1, description="hidden width of the feed-forward; null: 8/3 of `dim`, rounded up to a multiple of 64"
    )
    rope_theta: float = Field(10_000.0, gt=0, description="base of the rotary position frequencies")
    norm_eps: float = Field(1e-5, gt=0, description="added to the mean square inside RMSNorm")
    tied: bool = Field(True, description="the output projection is the embedding, transposed")

    @model_validator(mode="after")
    def _divides(self) -> ModelShape:
        if self.dim % self.heads:
            raise ValueError(f"dim {self.dim} is not a multiple of heads {self.heads}")
        if self.heads % self.key_value_heads:
            raise ValueError(f"heads {self.heads} is not a multiple of kv_heads {self.kv_heads}")
        if self.head_dim % 2:
            raise ValueError(f"dim / heads is {self.head_dim}; rotary positions turn pairs, so it must be even")
        return self

    @property
    def head_dim(self) -> int:
        """Width of one head."""
        return self.dim // self.heads

    @property
    def key_value_heads(self) -> int:
        """Key and value heads, the default filled in."""
        return self.kv_heads or self.heads

    @property
    def hidden(self) -> int:
        """Hidden width of the feed-forward, the default filled in."""
        return self.ffn or padded(round(self.dim * 8 / 3))


class ModelConfig(ModelShape):
    """A shape and the vocabulary and context length it is trained with."""

    vocabulary: int = Field(ge=1, description="token ids that exist: what generation may draw")
    length: int = Field(ge=1, description="tokens of context in training")

    @property
    def rows(self) -> int:
        """Rows of the embedding: the vocabulary, rounded up. Training teaches the surplus ids to be improbable."""
        return padded(self.vocabulary)
