"""The programs that stand for Google's prebuilt prediction containers."""

import joblib
import pytest

from doctune.errors import LocalVertexError
from doctune.localvertex.model_server import load
from doctune.localvertex.prebuilt import PROGRAMS
from doctune.localvertex.programs import resolve_program


class Doubler:
    """A model of scikit-learn's shape."""

    def predict(self, rows):
        return rows[:, 0] * 2


@pytest.fixture
def folder(tmp_path):
    pytest.importorskip("sklearn")
    joblib.dump(Doubler(), tmp_path / "model.joblib")
    return str(tmp_path)


def test_a_pickle_is_loaded_from_a_trusted_folder_only(folder):
    with pytest.raises(LocalVertexError, match=r"is a pickle.*local\.trusted_models"):
        load("sklearn", folder, [])

    assert load("sklearn", folder, [folder])([[1, 0], [4, 0]]) == [2, 8]


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(LocalVertexError, match=r"holds none of model\.joblib, model\.pkl"):
        load("sklearn", str(tmp_path), [str(tmp_path)])


def test_a_saved_model_is_refused_with_what_to_install(tmp_path):
    (tmp_path / "saved_model.pb").touch()
    with pytest.raises(LocalVertexError, match="install tensorflow"):
        load("tensorflow", str(tmp_path), [])


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
