"""What a model refuses is said in one line."""

from pathlib import Path

import pytest
from pydantic import BaseModel, Field, ValidationError, model_validator

from doctune.validation import first_problem


class _Inner(BaseModel):
    size: int = Field(ge=1)


class _Outer(BaseModel):
    parts: list[_Inner]
    name: str = ""

    @model_validator(mode="after")
    def _named(self) -> "_Outer":
        if self.name == "secret":
            raise ValueError("this name is not allowed")
        return self


@pytest.mark.parametrize(
    ("values", "whole", "says"),
    [
        ({"parts": [{"size": 0}]}, "", "parts.0.size: Input should be greater than or equal to 1"),
        ({}, "the file", "parts: Field required"),
        ({"parts": [], "name": "secret"}, "", "this name is not allowed"),
        ({"parts": [], "name": "secret"}, "the file", "the file: this name is not allowed"),
    ],
)
def test_the_first_problem_names_its_field(values: object, whole: str, says: str) -> None:
    with pytest.raises(ValidationError) as caught:
        _Outer.model_validate(values)

    assert first_problem(caught.value, whole) == says


def test_it_is_put_in_words_in_one_place() -> None:
    """`gateway/bodies.py` reads the field's name besides, for its own part of the answer."""
    import doctune

    root = Path(doctune.__file__).parent
    files = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if ".errors(" in line and line.rstrip().endswith("[0]")
    }
    assert files == {"validation.py", "gateway/bodies.py"}
