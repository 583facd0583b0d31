"""Sentence vectors of questions and single words, computed by numpy.

Importing torch and transformers takes seconds and padding a batch of words to a question's length
takes most of a search's time. Here a BERT encoder's weights are read as they are, and all texts of
a call go through each layer as one matrix, without padding: each weight is read once a call. The
vectors are those of `sentence_encoder.encode` up to rounding (a test holds it). Encoders of another
architecture are left to that function.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from doctune.inference.sentence_encoder import MAX_TOKENS, Floats, encode

_BATCH_TOKENS = 512  # more are left to torch, which uses every core
_REMEMBERED = 256
_FIRST_LAYER = "encoder.layer.0.attention.self.query.weight"


def encode_short(texts: Sequence[str], folder: Path) -> Floats:
    """Returns one row of length 1 a text, like `encode`; meant for one to a dozen short texts."""
    encoder = _load(folder)
    if encoder is None:
        return encode(texts, folder)
    ids = encoder.token_ids(texts)
    if sum(map(len, ids)) > _BATCH_TOKENS:
        return encode(texts, folder)
    return encoder.vectors(ids)


class ShortTexts:
    """Encodes short texts and remembers the last ones: a search asks for the same ones again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: OrderedDict[str, Floats] = OrderedDict()

    def vectors(self, texts: Sequence[str]) -> Floats:
        """Returns one row of length 1 a text; new ones are encoded together."""
        found = {text: self._known.get(text) for text in texts}
        new = [text for text, vector in found.items() if vector is None]
        if new:
            for text, vector in zip(new, encode_short(new, self._folder), strict=True):
                found[text] = self._known[text] = vector
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return np.array([found[text] for text in texts], dtype=np.float32)


class _BertEncoder:
    """A BERT encoder with mean pooling."""

    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        from safetensors.numpy import load_file
        from tokenizers import Tokenizer

        self._weights: dict[str, Floats] = load_file(folder / "model.safetensors")
        self._layers = [self._layer(number) for number in range(int(config["num_hidden_layers"]))]
        self._heads = int(config["num_attention_heads"])
        self._epsilon = float(config["layer_norm_eps"])
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(MAX_TOKENS)

    def _layer(self, number: int) -> dict[str, Floats]:
        """Takes a layer out of the weights, with query, key and value as one matrix.

        Matrices are turned round: a few rows times a matrix that lies in the order of its use is a
        third faster.
        """
        prefix = f"encoder.layer.{number}."
        names = [name for name in self._weights if name.startswith(prefix)]
        own = {name.removeprefix(prefix): self._weights.pop(name) for name in names}
        for kind in ("weight", "bias"):
            parts = [own.pop(f"attention.self.{one}.{kind}") for one in ("query", "key", "value")]
            own[f"qkv.{kind}"] = np.concatenate(parts)
        return {name: np.ascontiguousarray(value.T) for name, value in own.items()}

    def token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Returns the tokens of each text."""
        return [one.ids for one in self._tokenizer.encode_batch(list(texts))]

    def vectors(self, ids: Sequence[Sequence[int]]) -> Floats:
        """Returns one row of length 1 a text, the mean over its tokens' states."""
        ends = np.cumsum([len(one) for one in ids])
        texts = [slice(end - len(one), end) for one, end in zip(ids, ends, strict=True)]
        weights = self._weights
        states = weights["embeddings.word_embeddings.weight"][np.concatenate(ids)]
        places = np.concatenate([np.arange(len(one)) for one in ids])
        states += weights["embeddings.position_embeddings.weight"][places]
        states += weights["embeddings.token_type_embeddings.weight"][0]
        states = self._normalised(states, weights, "embeddings.LayerNorm")
        for layer in self._layers:
            states = self._through(layer, states, texts)
        pooled = np.stack([states[text].mean(axis=0) for text in texts])
        lengths = np.linalg.norm(pooled, axis=1, keepdims=True)
        return np.asarray(pooled / np.maximum(lengths, 1e-12), dtype=np.float32)

    def _through(self, layer: dict[str, Floats], states: Floats, texts: list[slice]) -> Floats:
        projected = _dense(states, layer, "qkv")
        mixed = np.empty_like(states)
        for text in texts:
            mixed[text] = self._attended(projected[text])
        mixed = _dense(mixed, layer, "attention.output.dense") + states
        mixed = self._normalised(mixed, layer, "attention.output.LayerNorm")
        wide = _gelu(_dense(mixed, layer, "intermediate.dense"))
        return self._normalised(
            _dense(wide, layer, "output.dense") + mixed, layer, "output.LayerNorm"
        )

    def _attended(self, projected: Floats) -> Floats:
        """Returns what each token of one text takes from the others."""
        count = len(projected)
        parts = projected.reshape(count, 3, self._heads, -1).transpose(1, 2, 0, 3)
        query, key, value = parts
        scores = query @ key.transpose(0, 2, 1) / np.float32(np.sqrt(query.shape[-1]))
        shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
        shares /= shares.sum(axis=-1, keepdims=True)
        attended: Floats = (shares @ value).transpose(1, 0, 2).reshape(count, -1)
        return attended

    def _normalised(self, states: Floats, weights: dict[str, Floats], name: str) -> Floats:
        states = states - states.mean(axis=1, keepdims=True)
        variance = np.einsum("ij,ij->i", states, states)[:, None] / states.shape[1]
        states /= np.sqrt(variance + np.float32(self._epsilon))
        states *= weights[f"{name}.weight"]
        states += weights[f"{name}.bias"]
        return states


def _dense(states: Floats, weights: dict[str, Floats], name: str) -> Floats:
    made: Floats = states @ weights[f"{name}.weight"]
    made += weights[f"{name}.bias"]
    return made


def _gelu(values: Floats) -> Floats:
    """GELU with the error function by Abramowitz and Stegun, 7.1.26: off by at most 1.5e-7."""
    scaled = np.abs(values) * np.float32(np.sqrt(0.5))
    part = 1 / (1 + np.float32(0.3275911) * scaled)
    series = np.full_like(part, 1.061405429)
    for factor in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        series = series * part + np.float32(factor)
    error = 1 - series * part * np.exp(-scaled * scaled)
    made: Floats = 0.5 * values * (1 + np.copysign(error, values))
    return made


@lru_cache(maxsize=2)
def _load(folder: Path) -> _BertEncoder | None:
    """Returns the encoder in a folder; None where its architecture is another."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    plain = (
        config.get("model_type") == "bert"
        and config.get("hidden_act") == "gelu"
        and config.get("position_embedding_type", "absolute") == "absolute"
        and (folder / "tokenizer.json").is_file()
    )
    return _BertEncoder(folder, config) if plain and _is_bare(folder) else None


def _is_bare(folder: Path) -> bool:
    """Whether the weights have the names of a BERT model without a head, in single precision."""
    from safetensors import safe_open

    with safe_open(folder / "model.safetensors", "np") as weights:
        names = weights.keys()
        return _FIRST_LAYER in names and weights.get_slice(_FIRST_LAYER).get_dtype() == "F32"
