"""Tiny random Llama models with a real tokenizer and chat template, and test sets for them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from doctune.publishing import write_manifest

CHAT_TEMPLATE = (
    "{% for message in messages %}<|start|>{{ message['role'] }}\n"
    "{{ message['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)

_TEXT = (
    "the a of in valve pump filter pressure water engine opens closes turns holds oil red green "
    "seal bolt litre minute when what how many which for to is are with before after check clean"
)
_WORDS = _TEXT.split()
_TRAINING_STEPS, _LEARNT = 400, 0.01
_END, _PAD = "<|end|>", "<|pad|>"


def write_model(folder: Path, *, seed: int, hidden_size: int = 32, vocabulary: int = 400) -> Path:
    """Writes a random model of about 20,000 weights with a byte-level tokenizer."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = make_tokenizer(vocabulary)
    torch.manual_seed(seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=hidden_size,
            intermediate_size=2 * hidden_size,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=512,
            initializer_range=0.2,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_tokenizer(vocabulary: int = 400) -> Any:
    """Returns a byte-level BPE tokenizer with the chat template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=["<|start|>", _END, _PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator([_TEXT] * 4, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=raw,
        eos_token=_END,
        pad_token=_PAD,
        chat_template=CHAT_TEMPLATE,
    )


def write_tuned(folder: Path, base: Path, *, seed: int) -> Path:
    """Writes what `tune_model` leaves: `model/` and `training.json`."""
    write_model(folder / "model", seed=seed)
    training = {"base_model": str(base), "base_model_digest": "0" * 64}
    (folder / "training.json").write_text(json.dumps(training), encoding="utf-8")
    write_manifest(folder)
    return folder


def write_trained(folder: Path, base: Path, pairs: Sequence[tuple[str, str]]) -> Path:
    """Writes a model like `write_tuned` that was trained to give these answers, seconds' worth."""
    import torch
    from transformers import LlamaForCausalLM

    write_tuned(folder, base, seed=5)
    write_model(folder / "model", seed=5, hidden_size=64)
    tokenizer = make_tokenizer()
    model = LlamaForCausalLM.from_pretrained(folder / "model").train()
    rows = []
    for question, answer in pairs:
        turns = [{"role": "user", "content": question}]
        start = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        ids = tokenizer(f"{start}{answer}{_END}", add_special_tokens=False)["input_ids"]
        asked = len(tokenizer(start, add_special_tokens=False)["input_ids"])
        rows.append((ids, [-100] * asked + ids[asked:]))
    width = max(len(ids) for ids, _ in rows)
    ids = torch.tensor([ids + [tokenizer.pad_token_id] * (width - len(ids)) for ids, _ in rows])
    labels = torch.tensor([line + [-100] * (width - len(line)) for _, line in rows])
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3)
    for _ in range(_TRAINING_STEPS):
        loss = model(input_ids=ids, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if float(loss) < _LEARNT:
            break
    model.eval().save_pretrained(folder / "model")
    write_manifest(folder)
    return folder


def make_row(number: int) -> dict[str, Any]:
    """Returns one example of a test set."""
    word, other = _WORDS[number % len(_WORDS)], _WORDS[(7 * number + 3) % len(_WORDS)]
    return {
        "messages": [
            {"role": "user", "content": f"What does part {number} of the {word} do?"},
            {
                "role": "assistant",
                "content": f"Part {number} opens the {other} " * (number % 3 + 1),
            },
        ],
        "source": {
            "doc_id": f"{number % 4:064x}",
            "file": f"manual-{number % 4}.pdf",
            "pages": [1],
        },
        "kind": ("section", "table", "definition")[number % 3],
        "passage": f"The manual says that part {number} opens the {other} of the {word}.",
    }


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """Writes a JSONL file."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path
