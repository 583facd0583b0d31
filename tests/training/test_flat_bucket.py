"""Every stage of training writes onto a bucket that renames no folder."""

from __future__ import annotations

import json
from pathlib import Path

from doctune.publishing import require_whole
from doctune.training import export_model, tune_model, tune_preferences
from doctune.training.preferences import PreferenceOptions
from tests.flat_bucket import flat_bucket
from tests.training.test_tune import options


def test_models_checkpoints_and_exports_are_published_on_a_flat_bucket(
    tiny_model: Path, facts: tuple[Path, Path], tmp_path: Path
) -> None:
    bucket = tmp_path / "gcs" / "bucket"
    pairs = tmp_path / "pairs.jsonl"
    row = {"prompt": "what", "chosen": "amber", "rejected": "nothing"}
    pairs.write_text("".join(json.dumps(row) + "\n" for _ in range(4)))
    with flat_bucket(tmp_path / "gcs"):
        for _ in range(2):  # a step that is run again replaces what it wrote
            tune_model(
                *facts,
                bucket / "model",
                options(
                    tiny_model,
                    max_steps=2,
                    checkpoint_steps=1,
                    checkpoint_dir=str(bucket / "checkpoints"),
                ),
                curves_path=bucket / "curves.html",
            )
        preferences = PreferenceOptions(lora_r=4, max_length=128)
        tune_preferences(pairs, bucket / "model", bucket / "preferred", preferences)
        export_model(bucket / "model", bucket / "export", "safetensors", facts[1])

    for name in ("model", "preferred", "export"):
        require_whole(bucket / name, "train it again")
    assert list((bucket / "checkpoints").rglob("*.safetensors")) == []
