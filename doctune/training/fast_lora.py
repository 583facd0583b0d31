"""A faster forward and backward pass for PEFT's LoRA layers: same parameters, same result.

A LoRA layer is y = x W' + s (x A') B'. PEFT computes the second term in float32 and adds it in
separate operations, each of which reads and writes whole activations. Here the term is accumulated
into the result of the first product, in the precision of the frozen weights; so is the gradient of
the input. The frozen weight gets no gradient. The adapter and its gradients stay in float32.
"""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch


class _LoraLinear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        lora_a: torch.Tensor,
        lora_b: torch.Tensor,
        scaling: float,
    ) -> torch.Tensor:
        rows = x.reshape(-1, x.shape[-1])
        a, b = lora_a.to(x.dtype), lora_b.to(x.dtype)
        low = rows @ a.t()
        y = torch.nn.functional.linear(rows, weight, bias).addmm_(low, b.t(), alpha=scaling)
        ctx.save_for_backward(rows, low, weight, a, b)
        ctx.scaling, ctx.shape, ctx.adapter_dtype = scaling, x.shape, lora_a.dtype
        return y.view(*x.shape[:-1], y.shape[-1])

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        rows, low, weight, a, b = ctx.saved_tensors
        dy = gradients[0].reshape(-1, gradients[0].shape[-1])
        dlow = (dy @ b).mul_(ctx.scaling)
        da = (dlow.t() @ rows).to(ctx.adapter_dtype)
        db = (dy.t() @ low).to(ctx.adapter_dtype).mul_(ctx.scaling)
        dx = None
        if ctx.needs_input_grad[0]:
            dx = (dy @ weight).addmm_(dlow, a).view(ctx.shape)
        return dx, None, None, da, db, None


def use_fast_lora(network: Any) -> int:
    """Replaces the forward pass of each plain LoRA layer of a PEFT model; returns their number.

    Only linear layers with one plain adapter without dropout are replaced.
    """
    from peft.tuners.lora import Linear

    count = 0
    for layer in network.modules():
        if type(layer) is not Linear or type(layer.base_layer) is not torch.nn.Linear:
            continue
        dropout = layer.lora_dropout["default"]
        if isinstance(dropout, torch.nn.Dropout) or layer.lora_variant:
            continue
        replaced: Any = layer
        replaced.forward = MethodType(_forward, layer)
        count += 1
    return count


def _forward(layer: Any, x: torch.Tensor) -> torch.Tensor:
    base = layer.base_layer
    return _LoraLinear.apply(
        x,
        base.weight,
        base.bias,
        layer.lora_A["default"].weight,
        layer.lora_B["default"].weight,
        layer.scaling["default"],
    )
