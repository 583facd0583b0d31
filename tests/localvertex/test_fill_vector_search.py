"""`build_index` fills an index of Vector Search, from which the same units are found."""

from types import SimpleNamespace

import pytest

from components.build_index import build_index
from doctune.errors import ConfigurationError
from doctune.knowledge import Answerer
from doctune.vertex.vector_search import replace_datapoints
from tests.dataset.corpora import Paper, write_corpus

TRANSPORTS = ("grpc",)


def index_of(folder, fact, index):
    """Runs the step that indexes, with the option to fill an index of Vector Search."""
    lathe = Paper("lathe.pdf", title="Lathe").heading("Care").text(fact)
    choir = Paper("choir.pdf", title="Choir").heading("Pay").text("A term costs 62 pounds.")
    documents = write_corpus(folder / "documents", lathe, choir)
    made = SimpleNamespace(
        path=folder / "index", uri=f"gs://demo-bucket/{folder.name}", metadata={}
    )
    build_index.python_func(
        documents=SimpleNamespace(path=documents, metadata={"digest": "d1"}),
        index=made,
        advanced={"vector_search": index.resource_name},
    )
    return Answerer.open(made.path), made.metadata["units"]


@pytest.fixture(scope="module")
def deployed(aip):
    index = aip.MatchingEngineIndex.create_tree_ah_index(
        display_name="knowledge",
        dimensions=384,
        approximate_neighbors_count=10,
        distance_measure_type="DOT_PRODUCT_DISTANCE",
        index_update_method="BATCH_UPDATE",
    )
    endpoint = aip.MatchingEngineIndexEndpoint.create(
        display_name="knowledge", public_endpoint_enabled=True
    )
    endpoint.deploy_index(index=index, deployed_index_id="knowledge")
    yield index, endpoint
    endpoint.delete(force=True)
    index.delete()


def nearest(endpoint, answerer, question):
    vector = answerer.index.vector(question).tolist()
    (found,) = endpoint.find_neighbors(
        deployed_index_id="knowledge", queries=[vector], num_neighbors=1
    )
    return answerer.source(found[0].id)


def test_a_question_finds_its_unit_and_a_new_run_replaces_the_old_units(deployed, tmp_path):
    index, endpoint = deployed
    answerer, units = index_of(tmp_path / "first", "The bed is waxed once a month.", index)

    source = nearest(endpoint, answerer, "how often is the lathe bed waxed")
    assert (source.file, source.quote) == ("lathe.pdf", "The bed is waxed once a month.")

    answerer, units = index_of(tmp_path / "second", "The bed is wiped every evening.", index)
    source = nearest(endpoint, answerer, "how often is the lathe bed waxed")
    assert source.quote == "The bed is wiped every evening."
    filled = type(index)(index.resource_name).to_dict()
    assert int(filled["indexStats"]["vectorsCount"]) == units


def test_a_folder_that_is_no_bucket_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ConfigurationError, match="Cloud Storage"):
        replace_datapoints("projects/p/locations/l/indexes/1", str(tmp_path), iter(()))
