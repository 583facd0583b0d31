"""What steps and jobs install is theirs alone: it never reaches the interpreter's environment."""

import importlib.util
import zipfile

from tests.waiting import wait_for

TRANSPORTS = ("grpc",)
ENVIRONMENT_IMAGE = "us-docker.pkg.dev/demo/images/environment:1"
MACHINE = "n1-standard-4"


def test_a_python_component_runs_as_a_custom_job_with_its_packages(aip, unique, tmp_path):
    from google_cloud_pipeline_components.v1.custom_job import (
        create_custom_training_job_from_component,
    )
    from kfp import compiler, dsl

    wheel = make_wheel(tmp_path, unique)

    @dsl.component(base_image=ENVIRONMENT_IMAGE, packages_to_install=[str(wheel)])
    def train(module: str, model: dsl.Output[dsl.Model]) -> str:
        import importlib
        from pathlib import Path

        Path(model.path).write_text(importlib.import_module(module).WORD)
        return importlib.import_module(module).WORD

    job_component = create_custom_training_job_from_component(
        train, display_name=unique, machine_type=MACHINE
    )

    @dsl.component(base_image="python:3.11", packages_to_install=[str(wheel)])
    def read(model: dsl.Input[dsl.Model], module: str) -> str:
        import importlib
        from pathlib import Path

        return Path(model.path).read_text() + importlib.import_module(module).WORD

    @dsl.pipeline(name="as-custom-job")
    def pipeline(module: str):
        trained = job_component(module=module, project="demo-project", location="us-central1")
        read(model=trained.outputs["model"], module=module)

    spec = tmp_path / "spec.yaml"
    compiler.Compiler().compile(pipeline, str(spec))
    job = aip.PipelineJob(
        display_name=unique,
        job_id=f"job-{unique}",
        template_path=str(spec),
        pipeline_root=f"gs://demo-bucket/{unique}",
        parameter_values={"module": unique},
    )
    job.submit()
    wait_for(lambda: job.state.name.endswith(("SUCCEEDED", "FAILED")), 180)

    assert job.state.name == "PIPELINE_STATE_SUCCEEDED", job.gca_resource.error
    job._sync_gca_resource()
    tasks = {task.task_name: task for task in job.task_details}
    assert tasks["read"].execution.metadata["output:Output"] == "hellohello"
    # What steps install is never in the interpreter's own environment.
    assert importlib.util.find_spec(unique) is None


def test_a_package_that_is_nowhere_fails_the_step_with_pips_words(aip, unique, tmp_path):
    from kfp import compiler, dsl

    @dsl.component(
        base_image="python:3.11", packages_to_install=[f"/nowhere/{unique}-1.0-py3-none-any.whl"]
    )
    def step():
        pass

    @dsl.pipeline(name="missing-package")
    def pipeline():
        step()

    spec = tmp_path / "spec.yaml"
    compiler.Compiler().compile(pipeline, str(spec))
    job = aip.PipelineJob(
        display_name=unique,
        job_id=f"job-{unique}",
        template_path=str(spec),
        pipeline_root=f"gs://demo-bucket/{unique}",
    )
    job.submit()
    wait_for(lambda: job.state.name.endswith(("SUCCEEDED", "FAILED")), 120)

    assert job.state.name == "PIPELINE_STATE_FAILED"
    assert f"/nowhere/{unique}-1.0-py3-none-any.whl" in job.gca_resource.error.message


def make_wheel(folder, module):
    """Makes a package of one module with the word hello in it."""
    path = folder / f"{module}-1.0-py3-none-any.whl"
    info = f"{module}-1.0.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n"
    tags = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{module}.py", "WORD = 'hello'\n")
        archive.writestr(f"{info}/METADATA", metadata)
        archive.writestr(f"{info}/WHEEL", tags)
        archive.writestr(f"{info}/RECORD", "")
    return path
