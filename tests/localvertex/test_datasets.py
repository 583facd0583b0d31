"""Managed data sets and pools of machines, as the SDK uses them."""

import json
from itertools import chain

import pytest
from google.api_core import exceptions

from doctune.localvertex.api.errors import ApiError
from doctune.localvertex.dataset_records import SPLITS, read_records, split_records
from tests.localvertex.conftest import IMAGE, PARENT, TRAINING_IMAGE
from tests.localvertex.wire import call, finished

TRANSPORTS = ("grpc",)
ROWS = ["name,legs,ml_use"] + [f"animal-{n},{n % 4},{use}" for n, use in enumerate(["test"] * 20)]


@pytest.fixture
def write(local):
    def write_one(name, text):
        path = local.status.state_dir / "storage" / "demo-bucket" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return f"gs://demo-bucket/{name}"

    return write_one


@pytest.fixture
def read(local):
    def read_one(uri):
        path = local.status.state_dir / "storage" / uri.removeprefix("gs://")
        return path.read_text().removesuffix("\n").split("\n")

    return read_one


def test_a_table_is_created_found_changed_exported_and_deleted(aip, write, read, unique):
    uri = write(f"{unique}/animals.csv", "\n".join(ROWS) + "\n")
    dataset = aip.TabularDataset.create(display_name=unique, gcs_source=uri, labels={"a": "b"})
    assert sorted(dataset.column_names) == ["legs", "ml_use", "name"]
    assert dataset.gca_resource.metadata_artifact.startswith("projects/")
    dataset.update(display_name=f"{unique}-new", labels={"c": "d"})
    (listed,) = aip.TabularDataset.list(filter=f'display_name="{unique}-new"')
    assert listed.resource_name == dataset.resource_name
    assert listed.labels["c"] == "d"
    assert aip.TextDataset.list(filter=f'display_name="{unique}-new"') == []

    (exported,) = dataset.export_data(f"gs://demo-bucket/{unique}/out")
    assert read(exported) == ROWS
    dataset.delete()
    with pytest.raises(exceptions.NotFound):
        aip.TabularDataset(dataset.resource_name)


def test_texts_and_images_are_imported_with_their_labels(aip, local, write, read, unique):
    lines = [
        {
            "textContent": f"text {number}\u2028",
            "classificationAnnotation": {"displayName": "good"},
            "dataItemResourceLabels": {"aiplatform.googleapis.com/ml_use": "test"},
        }
        for number in range(3)
    ]
    uri = write(
        f"{unique}/texts.jsonl",
        "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines),
    )
    texts = aip.TextDataset.create(
        display_name=unique,
        gcs_source=uri,
        import_schema_uri=aip.schema.dataset.ioformat.text.single_label_classification,
    )
    assert aip.TextDataset(texts.resource_name).gca_resource.data_item_count == 3
    items = call(local, f"{texts.resource_name}/dataItems")["dataItems"]
    assert {item["payload"]["textContent"] for item in items} == {
        line["textContent"] for line in lines
    }
    (annotation,) = call(local, f"{items[0]['name']}/annotations")["annotations"]
    assert annotation["payload"] == {"displayName": "good"}
    (exported,) = texts.export_data(f"gs://demo-bucket/{unique}/out")
    assert [json.loads(line) for line in read(exported)] == lines

    images = aip.ImageDataset.create(display_name=unique)
    pictures = write(f"{unique}/i.csv", "training,gs://b/1.jpg,cat\ngs://b/2.jpg,dog\n")
    for _ in range(2):  # the same items a second time are no further ones
        images.import_data(
            gcs_source=pictures,
            import_schema_uri=aip.schema.dataset.ioformat.image.single_label_classification,
        )
    images = aip.ImageDataset(images.resource_name)
    assert images.gca_resource.data_item_count == 2


@pytest.mark.parametrize(
    ("uri", "problem"),
    [
        ("gs://demo-bucket/nowhere.jsonl", "nowhere.jsonl"),
        ("gs://demo-bucket/bad-import.jsonl", "line 1: not JSON"),
    ],
)
def test_an_import_that_fails_says_so_and_imports_nothing(local, write, uri, problem):
    write("bad-import.jsonl", "{\n")
    body = {
        "displayName": "texts",
        "metadataSchemaUri": "gs://google-cloud-aiplatform/schema/dataset/metadata/text_1.0.0.yaml",
        "metadata": {},
    }
    name = finished(local, call(local, f"{PARENT}/datasets", body))["response"]["name"]
    schema = "gs://x/ioformat/text_classification_single_label_io_format_1.0.0.yaml"
    config = {"gcsSource": {"uris": [uri]}, "importSchemaUri": schema}

    ended = finished(local, call(local, f"{name}:import", {"importConfigs": [config]}))

    assert problem in ended["error"]["message"]
    assert "dataItemCount" not in call(local, name)


def test_a_training_job_gets_the_three_parts_of_its_data_set(aip, tmp_path, write, read, unique):
    uri = write(f"{unique}/numbers.csv", "n\n" + "".join(f"{n}\n" for n in range(20)))
    dataset = aip.TabularDataset.create(display_name=unique, gcs_source=uri)
    job = aip.CustomContainerTrainingJob(display_name=unique, container_uri=TRAINING_IMAGE)

    job.run(
        dataset=dataset,
        base_output_dir=f"gs://demo-bucket/{unique}",
        args=["--report", str(tmp_path)],
        machine_type="n1-standard-4",
        training_fraction_split=0.5,
        validation_fraction_split=0.25,
        test_fraction_split=0.25,
    )

    seen = json.loads((tmp_path / "workerpool0-0.json").read_text())["environment"]
    assert seen["AIP_DATA_FORMAT"] == "csv"
    parts = {}
    for part in ("TRAINING", "VALIDATION", "TEST"):
        uri = seen[f"AIP_{part}_DATA_URI"].replace("*", "00001-of-00001")
        header, *parts[part] = read(uri)
        assert header == "n"
    assert {name: len(rows) for name, rows in parts.items()} == {
        "TRAINING": 10,
        "VALIDATION": 5,
        "TEST": 5,
    }
    assert sorted(chain(*parts.values()), key=int) == [str(n) for n in range(20)]


def test_a_training_job_on_a_table_in_bigquery_fails_and_says_why(aip, unique):
    dataset = aip.TabularDataset.create(display_name=unique, bq_source="bq://demo.animals.all")
    job = aip.CustomContainerTrainingJob(display_name=unique, container_uri=TRAINING_IMAGE)
    with pytest.raises(RuntimeError, match=r"bq://demo\.animals\.all: localvertex has no BigQuery"):
        job.run(dataset=dataset, base_output_dir=f"gs://demo-bucket/{unique}")


def test_what_goes_to_bigquery_is_refused_with_its_host(run_inside):
    done = run_inside(
        "from google.cloud import bigquery\n"
        "bigquery.Client(project='demo-project').query('SELECT 1', retry=None, timeout=20)"
    )
    assert done.returncode != 0
    assert "localvertex does not stand for bigquery.googleapis.com: name an emulator" in done.stderr


def test_a_pool_is_shared_by_deployed_models_and_kept_while_one_is_there(aip, unique):
    pool = aip.DeploymentResourcePool.create(
        deployment_resource_pool_id=unique, machine_type="n1-standard-4"
    )
    assert [p.name for p in aip.DeploymentResourcePool.list() if p.name == unique] == [unique]
    model = aip.Model.upload(
        display_name=unique,
        serving_container_image_uri=IMAGE,
        serving_container_predict_route="/predict",
        serving_container_health_route="/health",
    )
    endpoint = aip.Endpoint.create(display_name=unique)
    endpoint.deploy(model, deployment_resource_pool=pool)
    ((deployed,),) = pool.query_deployed_models()
    assert deployed.endpoint == endpoint.resource_name
    with pytest.raises(exceptions.FailedPrecondition, match="still has deployed models"):
        pool.delete()
    endpoint.delete(force=True)
    pool.delete()
    assert unique not in [p.name for p in aip.DeploymentResourcePool.list()]


def test_a_row_that_names_no_object_is_refused_with_its_line():
    with pytest.raises(ApiError, match=r"a\.csv, line 2: 'cat' is not a gs:// URI"):
        read_records("gs://b/a.csv", b"gs://b/1.jpg,dog\ncat\n", "x/image_class_1.0.0.yaml", {})


def test_rows_are_split_by_their_own_use_first_and_by_shares_then():
    uses = ["test", "validation", *[""] * 8]
    divided = split_records(range(10), uses, {})
    assert divided["test"][0] == 0
    assert divided["validation"][0] == 1
    assert sorted(chain(*divided.values())) == list(range(10))
    assert len(divided["training"]) >= 6

    label = "labels.aiplatform.googleapis.com/ml_use"
    by_filter = {f"{name}_filter": f"{label}={name}" for name in SPLITS}
    divided = split_records(range(10), uses, {"filter_split": by_filter})
    assert divided == {"training": [], "validation": [1], "test": [0]}


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"fraction_split": {"training_fraction": 0.9, "test_fraction": 0.9}}, "1 at most"),
        ({"timestamp_split": {"key": "t"}}, "no timestamp_split"),
        ({"filter_split": {"training_filter": "name=a"}}, "filters such as"),
    ],
)
def test_other_ways_to_split_are_refused(config, problem):
    with pytest.raises(ApiError, match=problem):
        split_records([1], [""], config)
