"""Writes a Llama model folder as one GGUF file in Q8_0, the format of llama.cpp.

As a program: `python -m doctune.inference.gguf_file MODEL_FOLDER FILE`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from doctune.errors import ModelError

GGUF_FILE = "model.gguf"


def write_gguf(source: Path, path: Path, tokenizer: Any = None) -> None:
    """Writes the file: matrices in Q8_0, norms in float32, with tokenizer and chat template.

    Args:
        tokenizer: In place of the folder's own.

    Raises:
        ModelError: The model is not a Llama, or its tokenizer is not byte-level BPE.
    """
    import gguf

    config = json.loads((source / "config.json").read_text())
    vocabulary = json.loads((source / "tokenizer.json").read_text())
    if not _is_known(config, vocabulary):
        raise ModelError(
            f"GGUF export supports Llama models with a BPE tokenizer, not {config['model_type']} "
            f"with {vocabulary['model']['type']}: use llama.cpp's converter for this model."
        )
    writer = gguf.GGUFWriter(str(path), "llama")
    _add_configuration(writer, config)
    _add_tokenizer(writer, tokenizer or _tokenizer(source), vocabulary, config)
    _add_weights(writer, source, config)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def can_be_gguf(source: Path) -> bool:
    """Returns whether `write_gguf` knows the model of a folder: its shape, and its tokenizer's."""
    paths = [source / "config.json", source / "tokenizer.json"]
    if not all(path.is_file() for path in paths):
        return False
    config, vocabulary = (json.loads(path.read_text()) for path in paths)
    # What is quantized already is served as it is.
    return _is_known(config, vocabulary) and "quantization_config" not in config


def _is_known(config: dict[str, Any], vocabulary: dict[str, Any]) -> bool:
    return bool(config["model_type"] == "llama" and vocabulary["model"]["type"] == "BPE")


def _add_configuration(writer: Any, config: dict[str, Any]) -> None:
    import gguf

    heads = config["num_attention_heads"]
    rope = config.get("rope_parameters") or {}
    writer.add_name("doctune")
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config.get("num_key_value_heads", heads))
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(rope.get("rope_theta", config.get("rope_theta", 10000.0)))
    writer.add_rope_dimension_count(config.get("head_dim") or config["hidden_size"] // heads)
    writer.add_vocab_size(config["vocab_size"])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


def _tokenizer(source: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(source, local_files_only=True)


def _add_tokenizer(
    writer: Any, tokenizer: Any, vocabulary: dict[str, Any], config: dict[str, Any]
) -> None:
    import gguf

    special = set(tokenizer.all_special_ids)
    names = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    names += [f"<unused_{index}>" for index in range(len(names), config["vocab_size"])]
    kinds = [
        gguf.TokenType.CONTROL if index in special else gguf.TokenType.NORMAL
        for index in range(len(names))
    ]
    splits = json.dumps(vocabulary.get("pre_tokenizer") or {})
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm" if '"Digits"' in splits else "gpt-2")
    writer.add_token_list(names)
    writer.add_token_types(kinds)
    merges = vocabulary["model"]["merges"]
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in merges])
    for name in ("bos", "eos", "unk", "pad"):
        token = getattr(tokenizer, f"{name}_token_id")
        if token is not None:
            getattr(writer, f"add_{name}_token_id")(token)
    writer.add_add_bos_token(False)
    if tokenizer.chat_template:
        writer.add_chat_template(tokenizer.chat_template)


def _add_weights(writer: Any, source: Path, config: dict[str, Any]) -> None:
    import gguf
    import torch
    from gguf.quants import quantize
    from safetensors import safe_open

    heads = config["num_attention_heads"]
    turned = {"q_proj": heads, "k_proj": config.get("num_key_value_heads", heads)}
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config["num_hidden_layers"])
    for file in sorted(source.glob("*.safetensors")):
        with safe_open(file, framework="pt") as weights:
            for name in list(weights.keys()):
                tensor = weights.get_tensor(name).to(torch.float32)
                for part, count in turned.items():
                    if f".{part}." in name:
                        tensor = _pair_rotations(tensor, count)
                values = tensor.numpy()
                target = names.get_name(name, try_suffixes=(".weight", ".bias"))
                kind = gguf.GGMLQuantizationType.F32
                if values.ndim == 2 and values.shape[1] % 32 == 0:
                    kind = gguf.GGMLQuantizationType.Q8_0
                    values = quantize(values, kind)
                writer.add_tensor(target, values, raw_dtype=kind)


def _pair_rotations(weight: Any, heads: int) -> Any:
    """Permutes a head's rows for GGUF's rotary embedding, which pairs neighbours, not halves."""
    rows = weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:])
    return rows.swapaxes(1, 2).reshape(weight.shape)


def main(arguments: list[str]) -> int:
    """Writes the file; returns the exit code."""
    source, path = map(Path, arguments)
    try:
        write_gguf(source, path)
    except ModelError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
