"""What stands for Google's prebuilt containers where the configuration says nothing else.

Training images are environments: their packages are those of the interpreter that doctune runs in.
Prediction images of scikit-learn and XGBoost are a server of the artifact folder's model. Others
are refused with what to install and to write.
"""

from collections.abc import Mapping

_SYSTEMS = ("python", "alpine", "bash", "busybox", "debian", "ubuntu")
_HUBS = ("", "library/", "docker.io/", "docker.io/library/", "mirror.gcr.io/library/")
_SERVER = ["{python}", "-m", "doctune.localvertex.model_server"]

PROGRAMS: Mapping[str, list[str]] = {
    "*docker.pkg.dev/vertex-ai/training/*": [],
    "gcr.io/cloud-aiplatform/training/*": [],
    "*docker.pkg.dev/deeplearning-platform-release/*": [],
    "gcr.io/deeplearning-platform-release/*": [],
    # Public images that are environments: what runs in them is the caller's own command, with the
    # tools of this machine.
    **{f"{prefix}{name}:*": [] for name in _SYSTEMS for prefix in _HUBS},
    "*/ubi?/python-*": [],
    "*/ubi?-minimal:*": [],
    "*tensorflow/tensorflow:*": [],
    "*pytorch/pytorch:*": [],
    "gcr.io/google.com/cloudsdktool/*": [],
    "google/cloud-sdk:*": [],
    "*docker.pkg.dev/vertex-ai/prediction/sklearn-*": [*_SERVER, "sklearn"],
    "*docker.pkg.dev/vertex-ai/prediction/xgboost-*": [*_SERVER, "xgboost"],
    "*docker.pkg.dev/vertex-ai/prediction/pytorch-*": [*_SERVER, "pytorch"],
    "*docker.pkg.dev/vertex-ai/prediction/tf2-*": [*_SERVER, "tensorflow"],
    "gcr.io/cloud-aiplatform/prediction/sklearn-*": [*_SERVER, "sklearn"],
    "gcr.io/cloud-aiplatform/prediction/xgboost-*": [*_SERVER, "xgboost"],
    "gcr.io/cloud-aiplatform/prediction/tf2-*": [*_SERVER, "tensorflow"],
}
