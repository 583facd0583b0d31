"""Vectors of short texts by numpy: the same as by torch, which then need not be imported."""

import json
from pathlib import Path

import numpy as np
import pytest

from doctune.inference import short_texts
from doctune.inference.sentence_encoder import encode, encoder_folder
from doctune.inference.short_texts import ShortTexts, encode_short

TEXTS = [
    "How many litres does it give a day?",
    "skeen",
    "Darf ich das Gewebe waschen, wenn es naß ist?",
    "",
    "ever so long " * 40,
]


def test_the_vectors_are_those_of_torch() -> None:
    folder = encoder_folder()
    assert encode_short(TEXTS, folder) == pytest.approx(encode(TEXTS, folder), abs=1e-6)


def test_a_text_has_the_same_vector_alone_and_beside_others() -> None:
    folder = encoder_folder()
    alone = np.concatenate([encode_short([text], folder) for text in TEXTS])
    assert encode_short(TEXTS, folder) == pytest.approx(alone, abs=1e-6)


def test_texts_asked_again_are_not_encoded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ShortTexts(encoder_folder())
    first = texts.vectors(["fog", "skeen"])
    monkeypatch.setattr(short_texts, "encode_short", None)
    assert (texts.vectors(["skeen", "fog"]) == first[::-1]).all()


@pytest.mark.parametrize("config", [{"model_type": "mpnet"}, {"hidden_act": "relu"}])
def test_another_architecture_is_left_to_torch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: dict[str, str]
) -> None:
    known = json.loads((encoder_folder() / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**known, **config}))
    (tmp_path / "tokenizer.json").write_text("{}")
    monkeypatch.setattr(short_texts, "encode", lambda texts, folder: (texts, folder))
    assert encode_short(["fog"], tmp_path) == (["fog"], tmp_path)
