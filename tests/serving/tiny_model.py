"""A Llama of a few thousand random weights with a real tokenizer and chat template.

Its answers mean nothing; all else about it is what a tuned model has.
"""

from pathlib import Path

CONTEXT = 128

_CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if loop.index0 > 0 and message.role == 'system' %}"
    "{{ raise_exception('only the first message may be of the system') }}"
    "{% endif %}"
    "<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def write_tiny_model(
    artifact: Path, *, seed: int = 0, chat_template: bool = True, context: int = CONTEXT
) -> Path:
    """Writes `model/` and `training.json` as tune_model does; returns the artifact's folder."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = _tokenizer()
    if chat_template:
        tokenizer.chat_template = _CHAT_TEMPLATE
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=context,
        bos_token_id=tokenizer.convert_tokens_to_ids("<|im_start|>"),
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(artifact / "model")
    tokenizer.save_pretrained(artifact / "model")
    (artifact / "training.json").write_text(f'{{"base_model": "tiny", "seed": {seed}}}\n')
    return artifact


def _tokenizer():
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<|im_start|>", "<|im_end|>", "<|pad|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["the pump has a valve and the valve has a seal"], trainer)
    special = {"eos_token": "<|im_end|>", "pad_token": "<|pad|>"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)


_TOOL_TEMPLATE = (
    "{% if tools %}<|im_start|>system\n{{ tools | tojson }}<|im_end|>\n{% endif %}"
    "{% for message in messages %}"
    "<|im_start|>{{ message.role }}\n{{ message.content }}"
    "{% for call in message.tool_calls or [] %}"
    "<tool_call>{{ call.function | tojson }}</tool_call>"
    "{% endfor %}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def write_tool_caller(artifact: Path, tool: dict, asked: list[dict]) -> Path:
    """Writes a tiny model that calls a tool for one question, and says its result.

    It has learnt these two answers by heart, in about a second.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = _tokenizer()
    tokenizer.chat_template = _TOOL_TEMPLATE
    name = tool["function"]["name"]
    function = {"name": name, "arguments": {"part": "skeen"}}
    call = {"role": "assistant", "content": "", "tool_calls": [{"function": function}]}
    result = {"role": "tool", "content": "4", "name": name}
    whole = [*asked, call, result, {"role": "assistant", "content": "There are 4."}]
    ids = tokenizer.apply_chat_template(whole, tools=[tool], return_dict=True)["input_ids"]
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    rows = torch.tensor([ids])
    for _ in range(150):
        loss = model(input_ids=rows, labels=rows).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if loss.item() < 0.02:
            break
    model.save_pretrained(artifact / "model")
    tokenizer.save_pretrained(artifact / "model")
    return artifact
