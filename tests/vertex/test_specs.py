"""A compiled pipeline's signature, and parameters that do not fit it."""

from pathlib import Path

import pytest

from doctune.errors import StorageError, UsageError
from doctune.vertex.specs import (
    Parameter,
    PipelineSignature,
    check_parameters,
    parse_parameter,
    read_signature,
)
from tests.vertex.conftest import BUCKET


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline with a parameter of each type, compiled by kfp itself."""
    from kfp import compiler, dsl

    @dsl.container_component
    def show(text: str):
        return dsl.ContainerSpec(image="example.com/show:1", command=["echo", text])

    @dsl.pipeline(name="every-type")
    def every_type(
        text: str,
        count: int,
        rate: float = 0.5,
        fast: bool = False,
        names: list = [],  # noqa: B006
        options: dict = {},  # noqa: B006
    ):
        show(text=text)

    path = tmp_path_factory.mktemp("spec") / "every_type.yaml"
    compiler.Compiler().compile(every_type, str(path))
    return path


@pytest.fixture(scope="module")
def signature(spec: Path) -> PipelineSignature:
    return read_signature(spec)


def test_the_signature_is_that_of_the_pipeline(signature: PipelineSignature) -> None:
    assert signature.pipeline == "every-type"
    assert signature.parameters == {
        "text": Parameter("text", "STRING", True, None),
        "count": Parameter("count", "NUMBER_INTEGER", True, None),
        "rate": Parameter("rate", "NUMBER_DOUBLE", False, 0.5),
        "fast": Parameter("fast", "BOOLEAN", False, False),
        "names": Parameter("names", "LIST", False, []),
        "options": Parameter("options", "STRUCT", False, {}),
    }


def test_values_that_fit_are_passed_on(signature: PipelineSignature) -> None:
    values = {"text": "a", "count": 3.0, "rate": 1, "fast": True, "names": ["b"], "options": {}}
    checked = check_parameters(signature, values)
    assert checked == values
    assert isinstance(checked["count"], int)


def test_all_problems_are_named_at_once(signature: PipelineSignature) -> None:
    values = {"txt": "a", "count": 1.5, "rate": True, "fast": "yes", "names": "b", "options": []}
    with pytest.raises(UsageError) as caught:
        check_parameters(signature, values)
    assert str(caught.value) == (
        "parameters of every-type: txt is unknown (did you mean text?); "
        "count must be a whole number; it is 1.5; rate must be a number; it is True; "
        "fast must be true or false; it is 'yes'; names must be a list; it is 'b'; "
        "options must be an object; it is []; missing: text."
    )


def test_a_name_like_none_lists_those_that_are_known(signature: PipelineSignature) -> None:
    with pytest.raises(UsageError, match="known: count, fast, names, options, rate, text"):
        check_parameters(signature, {"text": "a", "count": 1, "zzzz": 1})


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("text", "12", "12"),
        ("count", "12", 12),
        ("rate", "1e-3", 0.001),
        ("fast", "true", True),
        ("names", '["a", "b"]', ["a", "b"]),
        ("options", '{"a": 1}', {"a": 1}),
    ],
)
def test_a_command_lines_text_becomes_the_parameters_type(
    signature: PipelineSignature, name: str, text: str, value: object
) -> None:
    assert parse_parameter(signature, name, text) == value


@pytest.mark.parametrize(("name", "text"), [("count", "many"), ("fast", "1"), ("rates", "1")])
def test_a_text_that_does_not_fit_is_refused(
    signature: PipelineSignature, name: str, text: str
) -> None:
    with pytest.raises(UsageError, match=f"parameters of every-type: {name}"):
        parse_parameter(signature, name, text)


@pytest.mark.parametrize("text", ["", "just: text", "- a", "{", "root: {}"])
def test_what_is_no_compiled_pipeline_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "spec.yaml").write_text(text)
    with pytest.raises(UsageError, match="is not a compiled pipeline"):
        read_signature(tmp_path / "spec.yaml")
    with pytest.raises(UsageError, match="is missing"):
        read_signature(tmp_path / "missing.yaml")


def test_a_web_address_that_is_no_template_is_refused() -> None:
    with pytest.raises(UsageError, match="is not a pipeline template"):
        read_signature("https://example.com/spec.yaml")


@pytest.mark.usefixtures("vertex")
def test_a_spec_may_lie_in_cloud_storage(
    spec: Path, signature: PipelineSignature, unique: str
) -> None:
    from doctune.vertex import upload_folder

    upload_folder(spec.parent, f"{BUCKET}/{unique}")
    assert read_signature(f"{BUCKET}/{unique}/every_type.yaml") == signature
    with pytest.raises(StorageError, match="could not read"):
        read_signature(f"{BUCKET}/{unique}/missing.yaml")
