"""Attention over packed examples that computes few masked scores.

A pack is one row of tokens: a common prefix (the chat template's system turn), then the remainder
of each example. Stock SDPA would score every token against every other and mask most of it. Here
the row is rearranged into one matrix per example, with the prefix in front and padded to the
longest, so the cost is the square of an example's length, not of the row's. The rest of the network
computes the prefix once per row instead of once per example, which is exact under causal attention.

On CPUs the attention itself is four matrix products and a softmax, since PyTorch's fused kernel
takes three times as long there for examples of some hundred tokens (forward and backward, measured
with 2.13). On GPUs it is that kernel: padding follows the example, where causal attention ignores
it without a mask, and without a mask PyTorch can use FlashAttention. Only architectures with plain
causal attention are supported; see `suits`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch

NAME = "doctune_packed"

# Plain causal softmax attention, in which positions enter through `position_ids` alone.
_PLAIN = {"llama", "qwen2", "qwen3", "mistral", "smollm3", "gpt2", "granite", "olmo2", "phi3"}


def suits(config: Any, max_length: int) -> bool:
    """Returns whether this attention computes what an architecture's own would in training."""
    window = getattr(config, "sliding_window", None)
    dropout = getattr(config, "attention_dropout", 0.0) or getattr(config, "attn_pdrop", 0.0)
    return config.model_type in _PLAIN and not dropout and (window is None or window >= max_length)


def register() -> None:
    """Registers the attention with transformers under `NAME`."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, _attend)


def leave_uncompiled() -> None:
    """Excludes the attention from torch.compile, which would recompile it for each layout."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, torch.compiler.disable(_attend))


@dataclass(frozen=True)
class _Layout:
    """Index maps between a row and the matrices of its examples; all indices are flat."""

    prefix: int
    examples: int
    longest: int  # tokens of the longest example, with the prefix
    rows: (
        torch.Tensor
    )  # [examples * longest]: row index of each matrix entry; arbitrary for padding
    places: torch.Tensor  # [tokens]: (first) matrix entry of each token of the row


@lru_cache(maxsize=8)
def _layout(lengths: tuple[int, ...], device: str) -> _Layout:
    prefix, *own = lengths
    longest = prefix + max(own)
    rows = torch.zeros(len(own), longest, dtype=torch.long)
    rows[:, :prefix] = torch.arange(prefix)
    places = [torch.arange(prefix)]
    start = prefix
    for index, length in enumerate(own):
        rows[index, prefix : prefix + length] = torch.arange(start, start + length)
        first = index * longest + prefix
        places.append(torch.arange(first, first + length))
        start += length
    return _Layout(
        prefix, len(own), longest, rows.flatten().to(device), torch.cat(places).to(device)
    )


@lru_cache(maxsize=8)
def _causal_mask(longest: int) -> torch.Tensor:
    """[longest, longest]: 0 where a token may attend, -inf elsewhere."""
    return torch.full((longest, longest), float("-inf")).triu(1)


class _Current:
    """The current row's layout. Not thread-local: autograd runs a GPU's backward in a thread."""

    layout: _Layout


def set_lengths(lengths: Sequence[int], device: str) -> None:
    """Sets the layout of the next rows: length of the prefix (0 for none), then of each example.

    It must not change before the backward pass, which may recompute the attention.
    """
    _Current.layout = _layout(tuple(lengths), device)


def _attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Attends within a row [1, heads, tokens, size]; returns [1, tokens, heads, size]."""
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    attend = _PackedAttention.apply if query.device.type == "cpu" else attend_fused
    return attend(query[0], key[0], value[0], scale, _Current.layout)[None], None


def attend_fused(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float, layout: _Layout
) -> torch.Tensor:
    """[heads, tokens, size] to [tokens, heads, size], by PyTorch's fused kernel."""
    # One batched call: many small kernel launches would leave the GPU idle.
    together = _Spread.apply(torch.cat([query, key, value]), layout)
    q, k, v = together.split([query.shape[0], key.shape[0], value.shape[0]], dim=1)
    states = torch.nn.functional.scaled_dot_product_attention(
        q, k, v, is_causal=True, scale=scale, enable_gqa=True
    )
    return states.transpose(1, 2).flatten(0, 1).index_select(0, layout.places)


class _Spread(torch.autograd.Function):
    """[heads, tokens, size] to [examples, heads, longest, size]."""

    @staticmethod
    def forward(ctx: Any, states: torch.Tensor, layout: _Layout) -> torch.Tensor:
        ctx.layout = layout
        return _spread_keys(states, layout).transpose(0, 1)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        return _sum_keys(gradients[0].transpose(0, 1), ctx.layout), None


class _PackedAttention(torch.autograd.Function):
    """[heads, tokens, size] to [tokens, heads, size]; heads that share keys share a matrix."""

    @staticmethod
    def forward(
        ctx: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        scale: float,
        layout: _Layout,
    ) -> torch.Tensor:
        heads, groups = query.shape[0], key.shape[0]
        q = _spread_queries(query * scale, layout, groups)
        k, v = _spread_keys(key, layout), _spread_keys(value, layout)
        scores = q @ k.mT
        each = scores.view(-1, layout.longest, layout.longest)
        each += _causal_mask(layout.longest).to(scores.dtype)
        weights = torch.softmax(scores, dim=-1)
        ctx.save_for_backward(q, k, v, weights)
        ctx.scale, ctx.layout, ctx.heads, ctx.groups = scale, layout, heads, groups
        return _gather_queries(weights @ v, layout, heads, groups).transpose(0, 1)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        q, k, v, weights = ctx.saved_tensors
        layout, heads, groups = ctx.layout, ctx.heads, ctx.groups
        dout = _spread_queries(gradients[0].transpose(0, 1), layout, groups, only_first=True)
        dvalue = weights.mT @ dout
        dscores = torch._softmax_backward_data(dout @ v.mT, weights, -1, weights.dtype)
        dquery = _gather_queries(dscores @ k, layout, heads, groups).mul_(ctx.scale)
        return dquery, _sum_keys(dscores.mT @ q, layout), _sum_keys(dvalue, layout), None, None


def _spread_queries(
    states: torch.Tensor, layout: _Layout, groups: int, *, only_first: bool = False
) -> torch.Tensor:
    """[heads, tokens, size] to [groups, examples, heads/groups * longest, size].

    Args:
        only_first: For gradients: zeros for all but the first copy of each token.
    """
    heads, _, size = states.shape
    places = layout.examples * layout.longest
    if only_first:
        spread = states.new_zeros(heads, places, size)
        spread[:, layout.places] = states
    else:
        spread = states.index_select(1, layout.rows)
    split = spread.view(groups, heads // groups, layout.examples, layout.longest, size)
    return split.transpose(1, 2).reshape(groups, layout.examples, -1, size)


def _gather_queries(states: torch.Tensor, layout: _Layout, heads: int, groups: int) -> torch.Tensor:
    """The inverse of `_spread_queries`; takes the first copy of each token."""
    size = states.shape[-1]
    split = states.view(groups, layout.examples, heads // groups, layout.longest, size)
    return split.transpose(1, 2).reshape(heads, -1, size).index_select(1, layout.places)


def _spread_keys(states: torch.Tensor, layout: _Layout) -> torch.Tensor:
    """[groups, tokens, size] to [groups, examples, longest, size]."""
    groups, _, size = states.shape
    spread = states.index_select(1, layout.rows)
    return spread.view(groups, layout.examples, layout.longest, size)


def _sum_keys(gradient: torch.Tensor, layout: _Layout) -> torch.Tensor:
    """The gradient of `_spread_keys`: the prefix's is the sum over the examples."""
    groups, _, _, size = gradient.shape
    summed = gradient.reshape(groups, -1, size).index_select(1, layout.places)
    if layout.prefix:
        summed[:, : layout.prefix] = gradient[:, :, : layout.prefix].sum(dim=1)
    return summed
