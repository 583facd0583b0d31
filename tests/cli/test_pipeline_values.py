"""The parameters of a run, from configuration and command line."""

from pathlib import Path

import pytest

from doctune.cli import pipeline_values
from doctune.configuration.settings import load_vertex_settings
from doctune.vertex.specs import read_signature
from tests.e2e.conftest import ROOT


@pytest.mark.parametrize(("pdfs", "name"), [("manuals/Nimbrel 7", "nimbrel-7"), ("", "samples")])
def test_uploaded_pdfs_name_the_model_by_their_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pdfs: str, name: str
) -> None:
    """They lie under their digest, which changes with every PDF."""
    from kfp import compiler

    from pipelines.retrain import retrain

    compiler.Compiler().compile(retrain, str(tmp_path / "retrain.yaml"))
    monkeypatch.setenv("DOCTUNE_CONFIG", str(ROOT / "config"))
    monkeypatch.setattr(
        pipeline_values, "reachable_pdfs", lambda *_, **__: ("gs://b/pdfs/760652d61f", "760652d61f")
    )

    values = pipeline_values.run_parameters(
        read_signature(tmp_path / "retrain.yaml"), load_vertex_settings(), pdfs=pdfs
    )

    assert (values["model_name"], values["pdfs"]) == (name, "gs://b/pdfs/760652d61f")
