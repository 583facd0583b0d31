"""The settings of a step have one default, wherever a user meets them."""

import inspect
from typing import Any

import pytest
from pydantic import BaseModel

from components.evaluate_model import evaluate_model
from components.join_documents import join_documents
from components.parse_pdfs import parse_pdfs
from components.prepare_dataset import prepare_dataset
from components.tune_model import tune_model
from doctune.dataset import DatasetOptions
from doctune.documents import ParseOptions
from doctune.evaluation import EvaluationOptions
from doctune.training import TrainingOptions
from pipelines.evaluate import evaluate
from pipelines.train_and_deploy import train_and_deploy

STAGES = [
    (parse_pdfs, ParseOptions),
    (join_documents, ParseOptions),
    (prepare_dataset, DatasetOptions),
    (tune_model, TrainingOptions),
    (evaluate_model, EvaluationOptions),
]


def _defaults(component: Any) -> dict[str, Any]:
    return {
        name: definition.default
        for name, definition in component.component_spec.inputs.items()
        if definition.optional
    }


@pytest.mark.parametrize(("component", "options"), STAGES)
def test_a_components_defaults_are_its_stages(component: Any, options: type[BaseModel]) -> None:
    stage = options().model_dump(mode="json")

    shared = {name: value for name, value in _defaults(component).items() if name in stage}

    assert shared == {name: stage[name] for name in shared}


@pytest.mark.parametrize(("component", "options"), STAGES)
def test_the_pipelines_defaults_are_the_components(
    component: Any, options: type[BaseModel]
) -> None:
    pipeline = _defaults(train_and_deploy)
    named = {
        name: value for name, value in _defaults(component).items() if name in options.model_fields
    }

    # A setting is a parameter of both or of neither, so that `advanced` never names one twice.
    assert {name: pipeline.get(name) for name in named} == named


def test_the_evaluation_alone_has_the_defaults_of_its_component() -> None:
    pipeline, component = _defaults(evaluate), _defaults(evaluate_model)
    shared = set(pipeline) & set(component)

    assert shared == {"primary_metric", "min_gain", "max_new_tokens"}
    assert {name: pipeline[name] for name in shared} == {name: component[name] for name in shared}


@pytest.mark.parametrize(("component", "options"), STAGES)
def test_every_parameter_is_documented(component: Any, options: type[BaseModel]) -> None:
    documentation = inspect.getdoc(component.python_func) or ""

    assert "advanced: " in documentation
    assert component.component_spec.description
