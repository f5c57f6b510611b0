"""A small decoder-only transformer over bytes."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

NUM_BYTES = 256


class ByteTransformer(nn.Module):
    """Predicts the next byte from up to `context` bytes, pre-norm, with learned positions."""

    def __init__(
        self, width: int, num_layers: int, num_heads: int, context: int, tied_head: bool
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(NUM_BYTES, width)
        self.position = nn.Embedding(context, width)
        self.blocks = nn.ModuleList(_Block(width, num_heads) for _ in range(num_layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, NUM_BYTES, bias=False)
        if tied_head:
            self.head.weight = self.embedding.weight

    def forward(self, text: Tensor) -> Tensor:  # (B, T) int64 -> (B, T, 256)
        x = self.embedding(text) + self.position.weight[: text.shape[1]]  # (B, T, D)
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.head(self.norm(x))
        return logits

    @torch.no_grad()
    def initialise(self, generator: torch.Generator) -> None:
        """Draws all weights from `generator`: as GPT-2, residual outputs scaled by the depth."""
        residual_std = 0.02 / math.sqrt(2 * len(self.blocks))
        for name, parameter in self.named_parameters():
            if parameter.dim() < 2:
                parameter.fill_(1.0 if name.endswith("norm.weight") else 0.0)
            else:
                std = residual_std if name.endswith("out.weight") else 0.02
                parameter.normal_(0.0, std, generator=generator)


class _Block(nn.Module):
    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.attention_norm = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.attention_out = nn.Linear(width, width)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp_in = nn.Linear(width, 4 * width)
        self.mlp_out = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:  # (B, T, D) -> (B, T, D)
        x = x + self._attend(self.attention_norm(x))
        hidden: Tensor = self.mlp_out(functional.gelu(self.mlp_in(self.mlp_norm(x))))
        return x + hidden

    def _attend(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        heads = self.query_key_value(x).view(batch, length, 3, self.num_heads, -1)
        query, key, value = heads.permute(2, 0, 3, 1, 4)  # each (B, heads, T, D / heads)
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        out: Tensor = self.attention_out(mixed.transpose(1, 2).reshape(batch, length, width))
        return out
