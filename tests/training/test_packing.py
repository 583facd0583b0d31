"""Packed examples give what each gives alone, in every layout that is computed."""

from __future__ import annotations

import copy
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from doctune.training import TrainingOptions, packed_attention
from doctune.training.batches import Curriculum, Phase, cut_into_packs
from doctune.training.examples import Example
from doctune.training.machine import Machine
from doctune.training.network import AnswerNetwork, load_network
from tests.training.conftest import tiny_configurations

MACHINE = Machine(device="cpu", dtype=torch.float32, threads=1, description="test")


def examples(prefix: int = 5) -> list[Example]:
    """Five examples of 9 to 30 tokens that begin with the same `prefix` tokens."""
    draw = torch.Generator().manual_seed(3)
    shared = torch.randint(3, 259, (prefix,), generator=draw).tolist()
    made = []
    for length in (9, 30, 14, 22, 17):
        own = torch.randint(3, 259, (length - prefix,), generator=draw).tolist()
        made.append(Example(shared + own, [index >= length - 4 for index in range(length)]))
    return made


def network(model: Any, **settings: Any) -> AnswerNetwork:
    made = AnswerNetwork(model, TrainingOptions(lora_r=4, **settings), MACHINE)
    with torch.no_grad():
        for index, weight in enumerate(made.weights):  # an adapter that does something
            draw = torch.Generator().manual_seed(index)
            weight.copy_(torch.randn(weight.shape, generator=draw) * 0.05)
    return made


def alone(reference: Any, example: Example) -> torch.Tensor:
    """Logits of one example, by transformers with nothing of ours in the way."""
    return reference(input_ids=torch.tensor([example.input_ids])).logits[0]


@pytest.mark.parametrize("name", ["llama", "qwen2", "qwen3", "gemma3", "mistral", "gpt2"])
def test_logits_packed_are_those_alone(name: str) -> None:
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    model: Any = AutoModelForCausalLM.from_config(tiny_configurations()[name]).eval()
    reference = copy.deepcopy(model)
    packed = network(model)
    with torch.no_grad():
        for weight in packed.weights:
            weight.zero_()
    packed.model.eval()
    batch = examples()
    pack = packed.pack(batch)
    everything = torch.arange(pack.input_ids.shape[1])
    with torch.no_grad():
        logits = packed.logits(pack, everything)
        prefix, *own = pack.lengths
        start = prefix
        for example, length in zip(batch, own, strict=True):
            expected = alone(reference, example)
            found = logits[start : start + length]
            assert torch.allclose(found, expected[prefix:], atol=1e-5)
            assert torch.allclose(logits[:prefix], expected[:prefix], atol=1e-5)
            start += length
    assert packed.shares_prefix == (name in ("llama", "qwen2", "qwen3"))
    assert prefix == (4 if packed.shares_prefix else 0)  # the fifth predicts a taught token


def test_loss_and_gradients_packed_are_those_of_peft_alone(tiny_model: Path) -> None:
    packed = network(load_network(tiny_model, torch.float32))
    plain = network(load_network(tiny_model, torch.float32))
    from peft.tuners.lora import Linear

    for layer in plain.model.modules():
        if isinstance(layer, Linear):
            del layer.forward  # back to PEFT's own
    plain.model.get_base_model().set_attn_implementation("sdpa")
    plain.shares_prefix = False

    batch = examples()
    together = packed.loss(packed.pack(batch))
    together.backward()
    apart = sum(plain.loss(plain.pack([example])) for example in batch)
    apart.backward()  # type: ignore[union-attr]
    assert torch.allclose(together, torch.as_tensor(apart), rtol=1e-6)
    for weight, other in zip(packed.weights, plain.weights, strict=True):
        assert torch.allclose(weight.grad, other.grad, atol=1e-5)


@pytest.mark.parametrize("lengths", [(4, 5, 20, 11), (0, 7), (0, 3, 9), (6, 1, 1)])
def test_attention_of_gpus_gives_what_that_of_cpus_does(lengths: tuple[int, ...]) -> None:
    layout = packed_attention._layout(lengths, "cpu")
    draw = torch.Generator().manual_seed(2)
    states = [torch.randn(heads, sum(lengths), 8, generator=draw) for heads in (6, 2, 2)]
    upstream = torch.randn(sum(lengths), 6, 8, generator=draw)
    found = []
    for attend in (packed_attention._PackedAttention.apply, packed_attention.attend_fused):
        inputs = [state.clone().requires_grad_() for state in states]
        output = attend(*inputs, 0.3, layout)
        output.backward(upstream)
        found.append([output.detach(), *(state.grad for state in inputs)])
    for expected, fused in zip(*found, strict=True):
        assert torch.allclose(fused, expected, atol=1e-5)


def test_gradient_checkpointing_changes_no_gradient(tiny_model: Path) -> None:
    gradients = []
    for checkpointing in (False, True):
        made = network(
            load_network(tiny_model, torch.float32), gradient_checkpointing=checkpointing
        )
        made.loss(made.pack(examples())).backward()
        gradients.append([weight.grad for weight in made.weights])
    for first, second in zip(*gradients, strict=True):
        assert torch.allclose(first, second, atol=1e-6)


def test_activations_can_be_computed_again_in_a_thread_of_autograds_own(tiny_model: Path) -> None:
    made = network(load_network(tiny_model, torch.float32), gradient_checkpointing=True)
    loss = made.loss(made.pack(examples()))
    with ThreadPoolExecutor(1) as thread:  # for a GPU autograd has one
        thread.submit(loss.backward).result(60)
    assert all(weight.grad is not None for weight in made.weights)


def test_head_runs_for_taught_tokens_only(tiny_model: Path) -> None:
    made = network(load_network(tiny_model, torch.float32))
    rows = []
    head = made.model.get_base_model().lm_head
    head.register_forward_hook(lambda module, inputs, output: rows.append(output.shape[-2]))
    made.loss(made.pack(examples()))
    assert rows == [4 * 5]


def test_a_single_example_has_no_prefix_and_a_taught_token_is_never_shared(
    tiny_model: Path,
) -> None:
    made = network(load_network(tiny_model, torch.float32))
    one = examples()[0]
    assert made.pack([one]).lengths == (0, 9)
    twice = made.pack([one, one])
    assert twice.lengths == (4, 5, 5)
    single = made.loss(made.pack([one])).item()
    assert made.loss(twice).item() == pytest.approx(2 * single, rel=1e-5)


def test_packs_hold_each_example_once_within_their_bound() -> None:
    batch = examples()
    packs = cut_into_packs(batch, 40)
    flat = [id(example) for pack in packs for example in pack]
    assert sorted(flat) == sorted(id(example) for example in batch)
    assert all(sum(len(e.input_ids) for e in pack) <= 40 for pack in packs)


def test_each_epoch_gives_each_example_once_in_another_order() -> None:
    many = [Example([index, 1], [False, True]) for index in range(23)]
    curriculum = Curriculum([Phase(examples=many, epochs=2)], batch_size=5, seed=1, max_steps=None)
    orders = []
    for epoch in range(2):
        places = range(epoch * 23, epoch * 23 + 23, 5)
        orders.append([e.input_ids[0] for seen in places for e in curriculum.batch(seen)])
    assert curriculum.sizes() == [5, 5, 5, 5, 3] * 2
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(23))
    assert orders[0] != orders[1]


@pytest.mark.parametrize("epochs", [1, 2, 0.5, 2.5])
@pytest.mark.parametrize("other", [1, 3, 8, 16, 64])
def test_a_change_of_batch_size_on_the_way_shows_each_example_as_often(
    epochs: float, other: int
) -> None:
    many = [Example([index, 1], [False, True]) for index in range(40)]
    raw = [Example([100 + index, 1], [False, True]) for index in range(7)]
    before, after = (
        Curriculum(
            [Phase(examples=raw, epochs=1), Phase(examples=many, epochs=epochs)],
            batch_size=size,
            seed=1,
            max_steps=None,
        )
        for size in (4, other)
    )
    for stop in range(len(before.sizes())):
        seen, shown = 0, Counter[int]()
        for number in range(10**4):
            curriculum = before if number < stop else after
            if not curriculum.sizes(seen):
                break
            batch = curriculum.batch(seen)
            assert len(batch) == curriculum.sizes(seen)[0] > 0
            seen += len(batch)
            shown.update(example.input_ids[0] for example in batch)
        assert all(shown[100 + index] == 1 for index in range(7))
        counts = [shown[index] for index in range(40)]
        assert max(counts) - min(counts) <= 1
        if epochs == int(epochs):
            assert set(counts) == {int(epochs)}
