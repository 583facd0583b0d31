"""The programs that stand for Google's prebuilt prediction containers."""

import json
import zipfile

import joblib
import pytest
import torch

from doctune.errors import LocalVertexError
from doctune.localvertex.model_server import load
from doctune.localvertex.prebuilt import PROGRAMS
from doctune.localvertex.programs import resolve_program


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    from sklearn.linear_model import LinearRegression

    folder = tmp_path_factory.mktemp("model")
    doubler = LinearRegression(fit_intercept=False).fit([[1.0, 0.0], [0.0, 1.0]], [2.0, 0.0])
    joblib.dump(doubler, folder / "model.joblib")
    return str(folder)


def test_a_pickle_is_loaded_from_a_trusted_folder_only(folder):
    with pytest.raises(LocalVertexError, match=r"is a pickle.*local\.trusted_models"):
        load("sklearn", folder, [])

    predict = load("sklearn", folder, [folder])
    assert predict({"instances": [[1, 0], [4, 0]]}) == pytest.approx([2, 8])


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(LocalVertexError, match=r"holds none of model\.joblib, model\.pkl"):
        load("sklearn", str(tmp_path), [str(tmp_path)])


def test_a_saved_model_without_tensorflow_names_the_package(tmp_path):
    (tmp_path / "saved_model.pb").touch()
    with pytest.raises(LocalVertexError, match="pip install tensorflow"):
        load("tensorflow", str(tmp_path), [str(tmp_path)])


class Doubler(torch.nn.Module):
    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return rows * 2


def test_torch_script_is_served_from_a_file_and_from_an_archive(tmp_path):
    torch.jit.script(Doubler()).save(str(tmp_path / "model.pt"))
    with pytest.raises(LocalVertexError, match=r"is a program.*local\.trusted_models"):
        load("pytorch", str(tmp_path), [])
    predict = load("pytorch", str(tmp_path), [str(tmp_path)])
    assert predict({"instances": [[1.0], {"data": [4.0]}]}) == [[2.0], [8.0]]

    archived = write_archive(tmp_path, tmp_path / "model.pt", handler="image_classifier")
    predict = load("pytorch", archived, [archived])
    assert predict({"instances": [[3.0]]}) == [[6.0]]


def test_an_archive_with_a_handler_of_its_own_is_refused(tmp_path):
    (tmp_path / "weights.pt").write_bytes(b"x")
    archived = write_archive(tmp_path, tmp_path / "weights.pt", handler="mine.py")
    with pytest.raises(LocalVertexError, match=r"the handler mine\.py.*install torchserve"):
        load("pytorch", archived, [archived])


def test_weights_alone_are_refused_with_how_to_save_a_model(tmp_path):
    torch.save({"a": torch.zeros(1)}, tmp_path / "model.pt")
    with pytest.raises(LocalVertexError, match=r"no TorchScript.*torch\.jit\.script"):
        load("pytorch", str(tmp_path), [str(tmp_path)])


def write_archive(folder, model, handler):
    (folder / "archive").mkdir(exist_ok=True)
    about = {"modelName": "model", "serializedFile": model.name, "handler": handler}
    with zipfile.ZipFile(folder / "archive" / "model.mar", "w") as archive:
        archive.write(model, model.name)
        archive.writestr("MAR-INF/MANIFEST.json", json.dumps({"model": about}))
    return str(folder / "archive")


@pytest.mark.parametrize(
    "image",
    [
        "us-docker.pkg.dev/vertex-ai/prediction/sklearn-cpu.1-3:latest",
        "europe-docker.pkg.dev/vertex-ai/prediction/xgboost-cpu.1-7:latest",
        "us-docker.pkg.dev/vertex-ai/prediction/tf2-cpu.2-12:latest",
    ],
)
def test_googles_prediction_images_have_a_program(image):
    assert resolve_program(image, PROGRAMS)[1:3] == ["-m", "doctune.localvertex.model_server"]


def test_googles_training_images_are_environments():
    image = "us-docker.pkg.dev/vertex-ai/training/scikit-learn-cpu.0-23:latest"
    assert resolve_program(image, PROGRAMS, command=["python", "a.py"]) == ["python", "a.py"]
