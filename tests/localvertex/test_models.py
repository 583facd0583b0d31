import pytest
from google.api_core import exceptions

from tests.localvertex.conftest import IMAGE, PARENT


def upload(aip, **changes):
    values = {"display_name": "notes", "serving_container_image_uri": IMAGE}
    return aip.Model.upload(**(values | changes))


def test_upload_reads_back_what_was_given(aip):
    model = upload(
        aip,
        display_name="handbook",
        description="What it knows",
        artifact_uri="gs://demo-bucket/model",
        labels={"run": "r1"},
        version_aliases=["candidate"],
        serving_container_predict_route="/predict",
        serving_container_health_route="/health",
        serving_container_environment_variables={"A": "1"},
        serving_container_ports=[8080],
    )
    again = aip.Model(model.resource_name)
    assert again.resource_name.startswith(f"{PARENT}/models/")
    assert (again.display_name, again.description) == ("handbook", "What it knows")
    assert again.labels == {"run": "r1"}
    assert again.uri == "gs://demo-bucket/model"
    assert again.version_id == "1"
    assert sorted(again.version_aliases) == ["candidate", "default"]
    assert again.container_spec.predict_route == "/predict"
    assert again.container_spec.ports[0].container_port == 8080
    assert again.create_time is not None
    assert again.version_create_time is not None
    kinds = aip.gapic.Model.DeploymentResourcesType
    ways = [kinds.DEDICATED_RESOURCES, kinds.SHARED_RESOURCES]
    assert list(again.supported_deployment_resources_types) == ways


def test_upload_under_a_chosen_id(aip, unique):
    chosen = f"chosen-{unique}"
    model = upload(aip, model_id=chosen)
    assert model.name == chosen
    with pytest.raises(exceptions.Conflict):
        upload(aip, model_id=chosen)


def test_versions_count_up_and_the_default_stays(aip):
    first = upload(aip)
    second = upload(aip, parent_model=first.resource_name, is_default_version=False)
    assert second.version_id == "2"
    assert aip.Model(first.resource_name).version_id == "1"
    third = upload(aip, parent_model=first.resource_name, is_default_version=True)
    assert aip.Model(first.resource_name).version_id == third.version_id == "3"
    versions = first.versioning_registry.list_versions()
    assert [version.version_id for version in versions] == ["1", "2", "3"]


def test_an_alias_moves_to_its_newest_holder(aip):
    first = upload(aip, version_aliases=["champion"])
    upload(
        aip,
        parent_model=first.resource_name,
        version_aliases=["champion"],
        is_default_version=False,
    )
    assert aip.Model(f"{first.resource_name}@champion").version_id == "2"
    assert list(aip.Model(f"{first.resource_name}@1").version_aliases) == ["default"]


def test_aliases_are_added_and_removed_through_the_registry(aip):
    model = upload(aip)
    registry = model.versioning_registry
    registry.add_version_aliases(["blue", "green"], version="1")
    registry.remove_version_aliases(["blue"], version="1")
    assert sorted(registry.get_version_info("1").version_aliases) == ["default", "green"]


def test_the_default_alias_cannot_be_removed(aip):
    registry = upload(aip).versioning_registry
    with pytest.raises(exceptions.BadRequest, match="default"):
        registry.remove_version_aliases(["default"], version="1")


def test_an_unknown_version_is_not_found(aip):
    model = upload(aip)
    with pytest.raises(exceptions.NotFound, match="@9"):
        aip.Model(f"{model.resource_name}@9")


def test_update_changes_what_the_mask_names_only(aip):
    model = upload(aip, labels={"a": "1"}, description="before")
    model.update(display_name="renamed", labels={"b": "2"})
    again = aip.Model(model.resource_name)
    assert (again.display_name, again.labels) == ("renamed", {"b": "2"})
    assert again.description == "before"
    assert again.update_time > again.create_time


def test_models_are_listed_by_name_and_label(aip, unique):
    a = upload(aip, display_name=f"listed-a-{unique}", labels={"team": unique})
    b = upload(aip, display_name=f"listed-b-{unique}", labels={"team": unique})
    upload(aip, parent_model=b.resource_name, labels={"team": unique})
    by_name = aip.Model.list(filter=f'display_name="listed-a-{unique}"')
    assert [model.resource_name for model in by_name] == [a.resource_name]
    by_label = aip.Model.list(filter=f"labels.team={unique}", order_by="create_time")
    assert [model.resource_name for model in by_label] == [a.resource_name, b.resource_name]
    newest = aip.Model.list(filter=f"labels.team={unique}", order_by="create_time desc")
    assert [model.resource_name for model in newest] == [b.resource_name, a.resource_name]


def test_a_filter_on_an_unknown_field_is_refused(aip):
    with pytest.raises(exceptions.BadRequest, match="colour"):
        aip.Model.list(filter='colour="red"')


def test_a_bad_label_is_refused(aip):
    with pytest.raises(exceptions.BadRequest, match="Invalid label"):
        upload(aip, labels={"UPPER": "x"})


def test_a_deleted_version_is_gone_and_the_default_is_kept(aip):
    model = upload(aip)
    upload(aip, parent_model=model.resource_name, is_default_version=False)
    registry = model.versioning_registry
    with pytest.raises(exceptions.BadRequest, match="default version"):
        registry.delete_version("1")
    registry.delete_version("2")
    assert [version.version_id for version in registry.list_versions()] == ["1"]


def test_a_deleted_model_is_gone(aip):
    model = upload(aip)
    model.delete()
    with pytest.raises(exceptions.NotFound):
        aip.Model(model.resource_name)


def test_evaluations_are_imported_listed_and_read(aip):
    model = upload(aip)
    service = model.api_client
    metrics = {"perplexity": 12.5, "rouge_l": 0.42}
    imported = service.import_model_evaluation(
        parent=f"{model.resource_name}@1",
        model_evaluation=aip.gapic.ModelEvaluation(
            display_name="held-out", metrics_schema_uri="gs://schema.yaml", metrics=metrics
        ),
    )
    (found,) = model.list_model_evaluations()
    assert found.resource_name == imported.name
    assert dict(found.metrics) == metrics
    assert model.get_model_evaluation(found.name).resource_name == imported.name


def test_evaluations_belong_to_one_version(aip):
    model = upload(aip)
    second = upload(aip, parent_model=model.resource_name, is_default_version=False)
    model.api_client.import_model_evaluation(
        parent=f"{model.resource_name}@1", model_evaluation=aip.gapic.ModelEvaluation()
    )
    assert len(aip.Model(f"{model.resource_name}@1").list_model_evaluations()) == 1
    assert second.list_model_evaluations() == []


def test_a_copy_says_where_it_came_from(aip):
    model = upload(aip, artifact_uri="gs://demo-bucket/copied")
    copied = model.copy(destination_location="us-central1", destination_model_id=None)
    assert copied.name != model.name
    assert copied.uri == "gs://demo-bucket/copied"
    assert copied.gca_resource.original_model_info.model == f"{model.resource_name}@1"


def test_lists_are_paged(aip, unique):
    for _ in range(3):
        upload(aip, labels={"paged": unique})
    client = aip.Model._empty_constructor().api_client
    request = {
        "parent": PARENT,
        "page_size": 2,
        "filter": f"labels.paged={unique}",
    }
    pages = [[model.name for model in page.models] for page in client.list_models(request).pages]
    assert [len(page) for page in pages] == [2, 1]
    assert len({name for page in pages for name in page}) == 3
    with pytest.raises(exceptions.BadRequest, match="page_token"):
        list(client.list_models({**request, "page_token": "nonsense"}))
