"""Each configuration file that cannot be read is one line that names it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from doctune.configuration.retraining import RETRAINING_CONFIG_FILE, load_retraining
from doctune.configuration.yaml_file import read_yaml_file
from doctune.errors import ConfigurationError
from doctune.experiments.options import EXPERIMENTS_CONFIG_FILE, load_experiment_options
from doctune.gateway.options import GATEWAY_CONFIG_FILE, load_gateway_options

LOADERS: dict[str, Callable[[Path], object]] = {
    RETRAINING_CONFIG_FILE: load_retraining,
    EXPERIMENTS_CONFIG_FILE: load_experiment_options,
    GATEWAY_CONFIG_FILE: lambda folder: load_gateway_options(folder, "handbook"),
}


@pytest.mark.parametrize("name", LOADERS)
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"a: [1,\nb: 2\n", "is not YAML"),
        (b"name: caf\xe9\n", "is not YAML"),
        (b"- one\n- two\n", "holds no keys"),
    ],
)
def test_a_wrong_file_is_one_line_that_names_it(
    tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises(ConfigurationError) as raised:
        LOADERS[name](tmp_path)

    assert reason in str(raised.value)
    assert name in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


def test_an_unknown_key_is_named(tmp_path: Path) -> None:
    (tmp_path / RETRAINING_CONFIG_FILE).write_text("no_such_key: 1\n")

    with pytest.raises(ConfigurationError, match="no_such_key: Extra inputs are not permitted"):
        load_retraining(tmp_path)


def test_a_file_that_cannot_be_opened_is_one_line_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "folder.yaml").mkdir()

    with pytest.raises(ConfigurationError, match=r"folder\.yaml cannot be read: Is a directory\.$"):
        read_yaml_file(tmp_path / "folder.yaml")
