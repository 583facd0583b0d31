"""Vector Search: indexes, their data files and updates, and neighbours by the SDK."""

import json

import pytest
from google.api_core import exceptions
from google.cloud.aiplatform.matching_engine.matching_engine_index_endpoint import (
    Namespace,
    NumericNamespace,
)

from doctune.localvertex.api.errors import ApiError
from doctune.localvertex.vectors import Vectors, read_datapoints

TRANSPORTS = ("grpc",)
ROWS = [
    {"id": "east", "embedding": [1, 0], "crowding_tag": "x"},
    {"id": "north", "embedding": [0, 1]},
    {
        "id": "far-east",
        "embedding": [3, 0.3],
        "crowding_tag": "x",
        "restricts": [{"namespace": "color", "allow": ["red"]}],
        "numeric_restricts": [{"namespace": "cost", "value_int": 5}],
    },
]


@pytest.fixture(scope="module")
def write(local):
    def write_one(name, text):
        path = local.status.state_dir / "storage" / "demo-bucket" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    return write_one


def create(aip, folder, **changes):
    given = {
        "display_name": folder,
        "contents_delta_uri": f"gs://demo-bucket/{folder}",
        "dimensions": 2,
        "approximate_neighbors_count": 10,
        "distance_measure_type": "DOT_PRODUCT_DISTANCE",
    }
    return aip.MatchingEngineIndex.create_tree_ah_index(**(given | changes))


@pytest.fixture(scope="module")
def searched(aip, write):
    """An index of ROWS, deployed to a public endpoint."""
    write("vectors/data.json", "\n".join(json.dumps(row) for row in ROWS))
    index = create(aip, "vectors", index_update_method="STREAM_UPDATE")
    endpoint = aip.MatchingEngineIndexEndpoint.create(
        display_name="search", public_endpoint_enabled=True
    )
    endpoint.deploy_index(index=index, deployed_index_id="here")
    yield index, endpoint
    endpoint.delete(force=True)
    index.delete()


def ids(found):
    return [[neighbor.id for neighbor in neighbors] for neighbors in found]


def test_neighbours_come_nearest_first_over_the_endpoints_own_host(searched):
    _, endpoint = searched
    assert endpoint.public_endpoint_domain_name.endswith(".vdb.vertexai.goog")
    found = endpoint.find_neighbors(
        deployed_index_id="here", queries=[[1, 0.1], [0, 1]], num_neighbors=2
    )
    assert ids(found) == [["far-east", "east"], ["north", "far-east"]]
    assert found[0][0].distance == pytest.approx(3.03)
    by_id = endpoint.find_neighbors(deployed_index_id="here", embedding_ids=["north"])
    assert ids(by_id)[0][0] == "north"


def test_restricts_and_crowding_narrow_the_neighbours(searched):
    _, endpoint = searched

    def ask(**narrowing):
        found = endpoint.find_neighbors(
            deployed_index_id="here", queries=[[1, 0.1]], num_neighbors=9, **narrowing
        )
        return ids(found)[0]

    assert ask(filter=[Namespace("color", ["red"], [])]) == ["far-east"]
    assert ask(filter=[Namespace("color", [], ["red"])]) == ["east", "north"]
    cost = NumericNamespace(name="cost", value_int=5, op="LESS")
    assert ask(numeric_filter=[cost]) == []
    assert ask(per_crowding_attribute_neighbor_count=1) == ["far-east", "north"]


def test_streamed_points_are_found_read_and_removed(searched):
    index, endpoint = searched
    index.upsert_datapoints(datapoints=[{"datapoint_id": "new", "feature_vector": [0, 9]}])
    found = endpoint.find_neighbors(deployed_index_id="here", queries=[[0, 1]], num_neighbors=1)
    assert ids(found) == [["new"]]
    (point,) = endpoint.read_index_datapoints(deployed_index_id="here", ids=["new"])
    assert list(point.feature_vector) == [0, 9]
    index.remove_datapoints(datapoint_ids=["new"])
    with pytest.raises(exceptions.NotFound, match="new"):
        endpoint.read_index_datapoints(deployed_index_id="here", ids=["new"])
    with pytest.raises(exceptions.BadRequest, match="3 numbers; the index has 2"):
        index.upsert_datapoints(datapoints=[{"datapoint_id": "n", "feature_vector": [1, 2, 3]}])


def test_an_update_adds_deletes_and_overwrites(aip, write, unique):
    write(f"{unique}/a/data.csv", "one,1,0\ntwo,0,1,color=red\n")
    write(f"{unique}/b/data.csv", "three,1,1\n")
    write(f"{unique}/b/delete/gone.txt", "one\n")
    index = create(aip, f"{unique}/a")
    assert index.to_dict()["indexStats"]["vectorsCount"] == "2"
    index.update_embeddings(contents_delta_uri=f"gs://demo-bucket/{unique}/b")
    index.update_metadata(display_name=f"{unique}-new")
    again = aip.MatchingEngineIndex(index.resource_name)
    assert again.display_name == f"{unique}-new"
    assert again.to_dict()["indexStats"]["vectorsCount"] == "2"
    index.update_embeddings(
        contents_delta_uri=f"gs://demo-bucket/{unique}/b", is_complete_overwrite=True
    )
    again = aip.MatchingEngineIndex(index.resource_name)
    assert again.to_dict()["indexStats"]["vectorsCount"] == "1"
    with pytest.raises(exceptions.BadRequest, match="updated in batches"):
        index.remove_datapoints(datapoint_ids=["three"])
    index.delete()


def test_an_index_of_bad_or_missing_files_fails_and_is_not_there(aip, write, unique):
    write(f"{unique}/short/data.json", '{"id": "a", "embedding": [1]}')
    write(f"{unique}/broken/data.json", '{"id": "a", "embedding": [1, 2]}\n{"id": "b"')
    for folder, reason in (("short", "1 numbers"), ("broken", "line 2"), ("none", "Data files")):
        with pytest.raises(exceptions.GoogleAPICallError, match=reason):
            create(aip, f"{unique}/{folder}")
    assert not [i for i in aip.MatchingEngineIndex.list() if unique in i.display_name]


def test_what_is_deployed_is_not_deleted_and_private_networks_are_refused(aip, searched, unique):
    index, endpoint = searched
    with pytest.raises(exceptions.BadRequest, match="still deployed"):
        index.delete()
    endpoint.mutate_deployed_index("here", min_replica_count=1, max_replica_count=3)
    (deployed,) = endpoint.deployed_indexes
    assert deployed.automatic_resources.max_replica_count == 3
    private = aip.MatchingEngineIndexEndpoint.create(
        display_name=unique, network="projects/1/global/networks/n"
    )
    with pytest.raises(exceptions.MethodNotImplemented, match="no private networks"):
        private.deploy_index(index=index, deployed_index_id="here")
    private.delete()


@pytest.mark.parametrize(
    ("config", "nearest", "distance"),
    [
        ({"distanceMeasureType": "SQUARED_L2_DISTANCE"}, "east", 0.01),
        ({"distanceMeasureType": "L1_DISTANCE"}, "east", 0.1),
        ({"distanceMeasureType": "COSINE_DISTANCE"}, "far-east", 0.0),
        ({"featureNormType": "UNIT_L2_NORM"}, "far-east", 1.0),
    ],
)
def test_distances_are_those_that_the_index_names(config, nearest, distance):
    points = read_datapoints("gs://b/a.json", "\n".join(json.dumps(r) for r in ROWS).encode())
    query = {"datapoint": {"feature_vector": [1, 0.1]}, "neighbor_count": 1}
    (found,) = Vectors(points, config).nearest(query)
    assert found["datapoint"]["datapoint_id"] == nearest
    assert found["distance"] == pytest.approx(distance, abs=1e-5)


def test_what_is_not_searched_is_refused():
    vectors = Vectors(read_datapoints("gs://b/a.csv", b"a,1,2\n"), {})
    sparse = {"datapoint": {"sparse_embedding": {"values": [1], "dimensions": [2]}}}
    with pytest.raises(ApiError, match="no sparse"):
        vectors.nearest(sparse)
    with pytest.raises(ApiError, match="not Avro"):
        read_datapoints("gs://b/a.avro", b"")
