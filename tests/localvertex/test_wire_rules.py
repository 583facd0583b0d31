"""The rules of the wire as functions: filters, ordering, paging, masks, routes, ALPN."""

import ssl

import pytest

from doctune.localvertex.api import filters
from doctune.localvertex.api.codec import snake_case
from doctune.localvertex.api.errors import ApiError
from doctune.localvertex.api.masks import apply_mask
from doctune.localvertex.api.routes import Router
from doctune.localvertex.api.table import load_table
from doctune.localvertex.programs import expand, resolve_program
from doctune.localvertex.proxy import alpn_protocols
from doctune.runner.values import integral

PACKAGE = "google.cloud.aiplatform.v1"
RAW_PREDICT = "PredictionService.RawPredict"
JOB = {
    "name": "projects/1/locations/l/customJobs/7",
    "display_name": "nightly run",
    "state": "JOB_STATE_FAILED",
    "labels": {"team": "blue", "a.b": "dotted"},
    "create_time": "2026-03-01T12:00:00Z",
}


@pytest.fixture(scope="module")
def table():
    return load_table()


@pytest.fixture(scope="module")
def job_type(table):
    return table.descriptor(f"{PACKAGE}.CustomJob")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", True),
        ('display_name="nightly run"', True),
        ("displayName='nightly run'", True),
        ('display_name!="nightly run"', False),
        ('display_name:"night*"', True),
        ("display_name:night", True),
        ('display_name="night*"', False),
        ("labels.team=blue", True),
        ("labels.team:*", True),
        ("labels.size:*", False),
        ("labels:team", True),
        ('labels.a.b="dotted"', True),
        ("state=JOB_STATE_FAILED", True),
        ("state=5", True),
        ("state=4", False),
        ('state="JOB_STATE_SUCCEEDED" OR labels.team=blue', True),
        ('state="JOB_STATE_SUCCEEDED" AND labels.team=blue', False),
        ('NOT state="JOB_STATE_SUCCEEDED"', True),
        ('(state="X" OR labels.team=blue) AND display_name:run', True),
        ('state="X" OR (labels.team=blue AND display_name:walk)', False),
        ('create_time>"2026-02-01T00:00:00Z"', True),
        ('create_time>="2026-03-01T13:00:00+01:00"', True),
        ('create_time<"2026-02-01T00:00:00Z"', False),
        ("name=7", True),
        ('end_time="2026-02-01T00:00:00Z"', False),
    ],
)
def test_filters_mean_what_vertex_says(job_type, text, wanted):
    assert filters.parse_filter(text, job_type)(JOB) is wanted


@pytest.mark.parametrize(
    "text", ["colour=red", "display_name", "display_name=", "(state=5", "state=5)", "= 5", "a b"]
)
def test_a_filter_that_is_none_is_refused(job_type, text):
    with pytest.raises(ApiError, match="Invalid filter"):
        filters.parse_filter(text, job_type)


def test_resources_are_ordered_by_several_fields():
    rows = [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}, {"a": 1, "b": "z"}]
    ordered = filters.order(rows, "a desc, b desc")
    assert [(row["a"], row["b"]) for row in ordered] == [(2, "y"), (1, "z"), (1, "x")]
    with pytest.raises(ApiError, match="order_by"):
        filters.order(rows, "a sideways")


def test_pages_follow_each_other():
    rows = [{"n": number} for number in range(5)]
    shown, token = filters.page(rows, 2, "")
    seen = list(shown)
    while token:
        shown, token = filters.page(rows, 2, token)
        seen += shown
    assert seen == rows
    for size, token in ((-1, ""), (2, "nonsense"), (2, "W10=")):
        with pytest.raises(ApiError):
            filters.page(rows, size, token)


def test_a_mask_changes_what_it_names_and_clears_what_is_not_given(job_type):
    mutable = frozenset({"display_name", "labels"})
    changed = apply_mask(JOB, {"labels": {"team": "red"}}, ["labels.team"], job_type, mutable)
    assert changed["labels"] == {"team": "red", "a.b": "dotted"}
    cleared = apply_mask(JOB, {}, ["labels"], job_type, mutable)
    assert "labels" not in cleared
    everything = apply_mask(JOB, {"display_name": "x", "state": "Y"}, [], job_type, mutable)
    assert (everything["display_name"], everything["state"]) == ("x", "JOB_STATE_FAILED")
    assert JOB["display_name"] == "nightly run"
    for path, reason in (("colour", "no field"), ("state", "cannot be updated")):
        with pytest.raises(ApiError, match=reason):
            apply_mask(JOB, {}, [path], job_type, mutable)


@pytest.mark.parametrize(
    ("verb", "path", "key"),
    [
        ("POST", "/v1/projects/p/locations/l/models:upload", "ModelService.UploadModel"),
        ("GET", "/v1/projects/p/locations/l/models/1@champion", "ModelService.GetModel"),
        ("POST", "/v1beta1/projects/p/locations/l/endpoints/7:rawPredict", RAW_PREDICT),
        ("DELETE", "/v1/projects/p/locations/l/endpoints/1", "EndpointService.DeleteEndpoint"),
    ],
)
def test_routes_lead_to_methods(table, verb, path, key):
    route, fields = Router(table.methods.values()).find(verb, path)
    assert route.method.key == key
    assert all(value.startswith("projects/p/") for value in fields.values())


def test_a_route_that_is_none_is_not_found(table):
    router = Router(table.methods.values())
    assert router.find("GET", "/v1/projects/p/locations/l/nothing") is None
    assert router.find("GET", "/") is None


def test_every_method_of_the_client_is_in_the_table(table):
    assert len(table.methods) > 700
    assert table.by_key["ModelService.UploadModel"].version == "v1"


def client_hello(protocols):
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    if protocols:
        context.set_alpn_protocols(protocols)
    connection = context.wrap_bio(incoming, outgoing, server_hostname="aiplatform.googleapis.com")
    with pytest.raises(ssl.SSLWantReadError):
        connection.do_handshake()
    return outgoing.read()


@pytest.mark.parametrize("protocols", [[], ["h2"], ["http/1.1"], ["h2", "http/1.1"]])
def test_the_protocols_of_a_client_hello_are_read(protocols):
    assert alpn_protocols(client_hello(protocols)) == protocols


def test_what_is_no_client_hello_has_no_protocols():
    assert alpn_protocols(b"GET / HTTP/1.1\r\n\r\n") == []
    assert alpn_protocols(b"") == []


def test_names_and_numbers_are_brought_into_one_form():
    assert snake_case("trafficSplit") == "traffic_split" == snake_case("traffic_split")
    assert integral({"a": [1.0, 1.5, "1.0"], "b": True}) == {"a": [1, 1.5, "1.0"], "b": True}


def test_variables_are_expanded_as_kubernetes_does():
    assert expand("$(A)-$(B)-$$(A)", {"A": "x"}) == "x-$(B)-$(A)"


def test_the_first_matching_image_decides():
    programs = {"*/a:*": ["first", "{python}"], "*/a:2": ["second"], "*/env:*": []}
    line = resolve_program("r/a:2", programs, arguments=["x"])
    assert (line[0], line[2]) == ("first", "x")
    assert "python" in line[1]
    assert resolve_program("r/env:1", programs, command=["run"], arguments=["x"]) == ["run", "x"]
    for image, reason in (("r/env:1", "has no command"), ("r/b:1", r"local\.programs")):
        with pytest.raises(ApiError, match=reason):
            resolve_program(image, programs)
