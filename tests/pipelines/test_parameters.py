"""Each setting has one default and one explanation, wherever a user meets it."""

import importlib
import inspect
import json
import pkgutil
import re
from typing import Any

import pytest
from kfp import dsl
from pydantic import BaseModel

import components
import pipelines
import pipelines.steps
from components.build_index import build_index
from components.deploy_model import deploy_model
from components.evaluate_model import evaluate_model
from components.ground_examples import ground_examples
from components.join_documents import join_documents
from components.parse_pdfs import parse_pdfs
from components.pick_trial import pick_trial
from components.prepare_dataset import prepare_dataset
from components.tune_model import tune_model
from doctune.configuration.vertex_sections import EndpointSettings
from doctune.dataset import DatasetOptions
from doctune.documents import ParseOptions
from doctune.evaluation import EvaluationOptions
from doctune.knowledge.options import KnowledgeOptions
from doctune.training import SearchOptions, TrainingOptions
from tests.pipelines.wiring import different_defaults, reached_inputs

# The settings that a component has inputs for.
OPTIONS: list[tuple[Any, type[BaseModel]]] = [
    (parse_pdfs, ParseOptions),
    (join_documents, ParseOptions),
    (prepare_dataset, DatasetOptions),
    (build_index, KnowledgeOptions),
    (ground_examples, DatasetOptions),
    (tune_model, TrainingOptions),
    (evaluate_model, EvaluationOptions),
    (pick_trial, SearchOptions),
    (deploy_model, EndpointSettings),
]
# What other steps have to do is settled at compile time or by the run.
_NOT_SETTINGS = {"advanced", "training", "search"}


def _all_of(package: Any) -> dict[str, Any]:
    found = {}
    for module_info in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{package.__name__}.{module_info.name}")
        if (function := getattr(module, module_info.name, None)) is not None:
            found[module_info.name] = function
    return found


PIPELINES, PARTS, COMPONENTS = map(_all_of, (pipelines, pipelines.steps, components))


def _spec(pipeline: Any) -> dict[str, Any]:
    from google.protobuf import json_format

    return json.loads(json_format.MessageToJson(pipeline.pipeline_spec))


def _defaults(component: Any) -> dict[str, Any]:
    return {
        name: definition.default
        for name, definition in component.component_spec.inputs.items()
        if definition.optional
    }


def _fields_of(component: Any, options: type[BaseModel]) -> list[str]:
    inputs = component.component_spec.inputs
    return [name for name in inputs if name in options.model_fields and name not in _NOT_SETTINGS]


@pytest.mark.parametrize("name", PIPELINES)
def test_a_pipelines_defaults_are_those_of_the_components_that_it_reaches(name: str) -> None:
    assert different_defaults(_spec(PIPELINES[name])) == []


@pytest.mark.parametrize("name", PIPELINES)
def test_every_parameter_of_a_pipeline_reaches_something(name: str) -> None:
    declared = set(PIPELINES[name].component_spec.inputs)
    spec = _spec(PIPELINES[name])
    # A bucket's name is put into a constant, an importer's URI and a condition are no inputs.
    elsewhere = json.dumps([spec["root"]["dag"], spec["components"], spec["deploymentSpec"]])

    reached = {reach.parameter for reach in reached_inputs(spec)}

    assert {name for name in declared - reached if name not in elsewhere} == set()
    assert len(reached) > len(declared) / 2


def test_a_part_leaves_defaults_to_what_calls_it() -> None:
    assert PARTS
    for name, part in PARTS.items():
        assert _defaults(part) == {}, name


@pytest.mark.parametrize("name", PIPELINES)
def test_a_setting_has_one_name_on_the_way(name: str) -> None:
    """Else `advanced` could name one that is also a parameter."""
    settings = {
        component.component_spec.name: set(_fields_of(component, options))
        for component, options in OPTIONS
        if "advanced" in component.component_spec.inputs
    }

    for reach in reached_inputs(_spec(PIPELINES[name])):
        if reach.component_input in settings.get(reach.component, ()):
            assert reach.parameter == reach.component_input


def test_another_default_on_the_way_is_seen() -> None:
    @dsl.component(install_kfp_package=False)
    def step(size: int = 3) -> None:
        pass

    @dsl.pipeline
    def part(width: int) -> None:
        with dsl.ParallelFor([1, 2]):
            step(size=width)

    @dsl.pipeline
    def whole(height: int = 4) -> None:
        part(width=height)

    (line,) = different_defaults(_spec(whole))

    assert line == "height = 4.0, but size of step = 3.0"


@pytest.mark.parametrize(("component", "options"), OPTIONS)
def test_a_components_defaults_are_those_of_the_settings(
    component: Any, options: type[BaseModel]
) -> None:
    defaults = _defaults(component)
    named = {name: defaults[name] for name in _fields_of(component, options) if name in defaults}
    fields = {name: options.model_fields[name].default for name in named}

    assert named == fields


@pytest.mark.parametrize(("component", "options"), OPTIONS)
def test_a_component_explains_a_setting_as_the_settings_do(
    component: Any, options: type[BaseModel]
) -> None:
    explained = _explained(inspect.getdoc(component.python_func) or "")

    for name in _fields_of(component, options):
        assert explained.get(name) == options.model_fields[name].description, name


def test_every_component_with_settings_is_held_to_them() -> None:
    with_settings = {
        name for name, found in COMPONENTS.items() if "advanced" in found.component_spec.inputs
    }

    assert with_settings <= {component.name.replace("-", "_") for component, _ in OPTIONS}


@pytest.mark.parametrize("name", COMPONENTS)
def test_every_component_says_what_it_does(name: str) -> None:
    assert COMPONENTS[name].component_spec.description


def _explained(documentation: str) -> dict[str, str]:
    """Returns the explanation of each argument in a docstring, in one line."""
    _, _, arguments = documentation.partition("Args:\n")
    found = re.findall(r"^    (\w+): (.*(?:\n        .*)*)", arguments, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in found}
