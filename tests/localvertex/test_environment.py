"""Programs run inside, with nothing but environment variables."""

import asyncio
import socket
import socketserver
import ssl
import threading

import pytest

from doctune.localvertex import LocalVertexConfig
from doctune.localvertex.ports import free_port
from doctune.localvertex.proxy import ConnectProxy
from tests.localvertex.conftest import IMAGE, NUMBER, PARENT, PROJECT
from tests.localvertex.wire import SESSION, ask

# Put together from Google's public samples: upload, two versions with a split, shift, undeploy.
SAMPLE = """
import sys
from google.cloud import aiplatform

aiplatform.init(project="demo-project", location="us-central1")
model = aiplatform.Model.upload(display_name="sample", serving_container_image_uri=sys.argv[1])
model_v2 = aiplatform.Model.upload(
    parent_model=model.resource_name,
    serving_container_image_uri=sys.argv[1],
    is_default_version=False,
)
endpoint = aiplatform.Endpoint.create(display_name="sample-endpoint")
endpoint.deploy(model=model, machine_type="n1-standard-4", traffic_percentage=100)
first = endpoint.list_models()[0].id
endpoint.deploy(model=model_v2, machine_type="n1-standard-4", traffic_split={"0": 20, first: 80})
print("split", sorted(endpoint.traffic_split.values()))
print("answer", endpoint.predict(instances=[{"a": 1}]).predictions[0]["echo"])
second = next(m.id for m in endpoint.list_models() if m.id != first)
endpoint.update(traffic_split={first: 30, second: 70})
print("shifted", endpoint.traffic_split[second])
endpoint.undeploy(deployed_model_id=first, traffic_split={second: 100})
print("now", endpoint.predict(instances=[1]).model_version_id)
endpoint.undeploy_all()
endpoint.delete()
model.delete()
"""


def test_an_unmodified_sample_runs(run_inside):
    result = run_inside(SAMPLE, IMAGE)
    assert result.returncode == 0, result.stderr
    assert "split [20, 80]" in result.stdout
    assert "answer {'a': 1.0}" in result.stdout
    assert "shifted 70" in result.stdout
    assert "now 2" in result.stdout


def test_default_credentials_and_project_come_from_the_environment(run_inside):
    script = (
        "import google.auth, google.auth.transport.requests as transport\n"
        "credentials, project = google.auth.default()\n"
        "credentials.refresh(transport.Request())\n"
        "print(project, type(credentials).__module__, credentials.token)\n"
    )
    result = run_inside(script)
    assert result.stdout.startswith(f"{PROJECT} google.auth.compute_engine"), result.stderr
    assert " local." in result.stdout


def test_any_other_project_gets_a_number_of_its_own(run_inside):
    script = (
        "from google.cloud import aiplatform\n"
        "from google.cloud.aiplatform.utils import resource_manager_utils as manager\n"
        "aiplatform.init(project='another-project', location='europe-west4')\n"
        "endpoint = aiplatform.Endpoint.create(display_name='x')\n"
        "number = endpoint.resource_name.split('/')[1]\n"
        "print(manager.get_project_number('another-project') == number,\n"
        "      manager.get_project_id(number), number)\n"
    )
    result = run_inside(script)
    matched, project, number = result.stdout.split()[-3:]
    assert (matched, project) == ("True", "another-project")
    assert number.isdecimal()
    assert number != NUMBER


def connect_through_proxy(local, target):
    connection = socket.create_connection(("127.0.0.1", local.status.ports["proxy"]), timeout=10)
    connection.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
    return connection, connection.recv(4096).decode()


@pytest.mark.parametrize(
    "target",
    [
        "example.com:443",
        "googleapis.com.example.com:443",
        "evilgoogleapis.com:443",
        "us-central1-aiplatform.googleapis.com:80",
        "127.0.0.1:22",
    ],
)
def test_the_proxy_refuses_what_is_not_google(local, target):
    connection, answer = connect_through_proxy(local, target)
    with connection:
        assert answer.startswith("HTTP/1.1 403")
        assert "lets nothing leave" in answer
        assert "in local.allowed_hosts of vertex_config.yaml" in answer


@pytest.fixture
def far_machine():
    """A server that sends back what it receives, in capitals, and proxies by CONNECT itself."""
    asked = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            line = self.rfile.readline()
            if line.startswith(b"CONNECT "):
                asked.append(line.decode().split()[1])
                while self.rfile.readline().strip():
                    pass
                self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
                line = self.rfile.readline()
            self.wfile.write(line.upper())

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1], asked
        server.shutdown()


def echoed(proxy_port, target):
    with socket.create_connection(("127.0.0.1", proxy_port), timeout=10) as connection:
        connection.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
        answer = connection.recv(4096).decode()
        if not answer.startswith("HTTP/1.1 200"):
            return answer
        connection.sendall(b"hello\n")
        return connection.recv(4096).decode()


def through_proxy(allowed, *targets, upstream=""):
    async def ask_all():
        proxy, port = ConnectProxy(1, 1, allowed, upstream), free_port()
        await proxy.start(port)
        answers = [await asyncio.to_thread(echoed, port, target) for target in targets]
        await proxy.stop()
        return answers

    return asyncio.run(ask_all())


def test_a_host_that_is_named_is_reached(far_machine):
    port, _ = far_machine
    allowed = (f"LOCALHOST:{port}",)
    reached, refused = through_proxy(allowed, f"localhost:{port}", f"127.0.0.1:{port}")
    assert reached == "HELLO\n"
    assert refused.startswith("HTTP/1.1 403")


def test_named_hosts_are_reached_through_the_proxy_of_this_machine(far_machine):
    port, asked = far_machine
    allowed = ("huggingface.co", "*.hf.co", "generativelanguage.googleapis.com")
    targets = [
        "huggingface.co:443",
        "cas-bridge.xethub.hf.co:443",
        "generativelanguage.googleapis.com:443",
        "hf.co:443",
        "huggingface.co:80",
        "huggingface.co.example.com:443",
    ]
    answers = through_proxy(allowed, *targets, upstream=f"http://u:p@127.0.0.1:{port}")
    assert answers[:3] == ["HELLO\n"] * 3
    assert all(answer.startswith("HTTP/1.1 403") for answer in answers[3:])
    assert asked == targets[:3]


def test_a_named_host_that_does_not_answer_is_named_in_the_error():
    closed = free_port()
    (answer,) = through_proxy((f"localhost:{closed}",), f"localhost:{closed}")
    assert answer.startswith("HTTP/1.1 502")
    assert f"localhost:{closed} cannot be reached from here" in answer


@pytest.mark.parametrize("host", ["https://huggingface.co", "", "a b", "*", "*.", "x/y"])
def test_what_is_no_host_is_refused_in_the_configuration(tmp_path, host):
    with pytest.raises(ValueError, match="is no host"):
        LocalVertexConfig(state_dir=tmp_path, allowed_hosts=(host,))


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (b"http://example.com/", b"403"),
        (b"http://www.googleapis.com:8080/", b"405"),
        (b"ftp://www.googleapis.com/", b"405"),
        (b"/", b"405"),
    ],
)
def test_the_proxy_refuses_plain_http_to_others(local, target, status):
    with socket.create_connection(("127.0.0.1", local.status.ports["proxy"])) as connection:
        connection.sendall(b"GET " + target + b" HTTP/1.1\r\nHost: example.com\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 " + status)


def test_google_names_lead_here_with_a_certificate_that_fits(local):
    host = "us-central1-aiplatform.googleapis.com"
    connection, answer = connect_through_proxy(local, f"{host}:443")
    assert answer.startswith("HTTP/1.1 200")
    context = ssl.create_default_context(cafile=local.environment["REQUESTS_CA_BUNDLE"])
    with context.wrap_socket(connection, server_hostname=host) as tls:
        tls.sendall(f"GET /v1/{PARENT}/models HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert tls.recv(4096).startswith(b"HTTP/1.1 200")


def test_requests_to_other_hosts_fail_at_once(run_inside):
    script = (
        "import requests\n"
        "try:\n"
        "    requests.get('https://example.com', timeout=20)\n"
        "except requests.exceptions.ProxyError as error:\n"
        "    print('refused', '403' in str(error))\n"
    )
    assert run_inside(script, timeout=30).stdout == "refused True\n"


def test_ordinary_loopback_http_still_works(run_inside, local):
    script = "import requests, sys; print(requests.get(sys.argv[1]).status_code)"
    assert run_inside(script, f"{local.endpoint}/localvertex/health").stdout == "200\n"


def test_everything_listens_on_loopback_only(local):
    import psutil

    server = psutil.Process(local.status.pid)
    for process in [server, *server.children(recursive=True)]:
        for connection in process.net_connections():
            if connection.status == psutil.CONN_LISTEN:
                assert connection.laddr.ip in ("127.0.0.1", "::ffff:127.0.0.1")


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://example.com"}, {"Host": "rebound.example.com"}]
)
def test_web_pages_are_refused(local, headers):
    for url in (local.endpoint, local.environment["STORAGE_EMULATOR_HOST"]):
        answer = SESSION.post(f"{url}/v1/{PARENT}/customJobs", data="{}", headers=headers)
        assert answer.status_code == 403
        assert "web pages" in answer.json()["error"]["message"]


def test_errors_have_vertex_shape(local):
    code, body = ask(local, f"/v1/{PARENT}/models/77")
    assert code == 404
    error = {"code": 404, "status": "NOT_FOUND", "message": body["error"]["message"]}
    assert body == {"error": error}
    assert f"{PARENT}/models/77" in error["message"]


def test_an_unknown_field_is_refused_by_name(local):
    code, body = ask(local, f"/v1/{PARENT}/endpoints", '{"displayName": "x", "colour": 1}')
    assert (code, body["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert "colour" in body["error"]["message"]


def test_an_unknown_query_parameter_is_refused_by_name(local):
    code, body = ask(local, f"/v1/{PARENT}/models?colour=red")
    assert code == 400
    assert "colour" in body["error"]["message"]


def test_what_is_not_implemented_says_its_name_over_rest(local):
    code, body = ask(local, f"/v1/{PARENT}/featurestores")
    assert (code, body["error"]["status"]) == (501, "UNIMPLEMENTED")
    assert "FeaturestoreService/ListFeaturestores" in body["error"]["message"]


def test_what_is_not_implemented_says_its_name_over_grpc(run_inside):
    script = (
        "from google.cloud import aiplatform\n"
        "from google.api_core import exceptions\n"
        "aiplatform.init(location='us-central1')\n"
        "try:\n"
        "    aiplatform.Featurestore.list()\n"
        "except exceptions.MethodNotImplemented as error:\n"
        "    print(error.message)\n"
    )
    assert "FeaturestoreService/ListFeaturestores" in run_inside(script).stdout


def test_a_path_that_no_method_has_is_not_found(local):
    code, body = ask(local, "/v1/nonsense")
    assert (code, body["error"]["status"]) == (404, "NOT_FOUND")


def test_storage_works_and_objects_survive(run_inside):
    script = (
        "from google.cloud import storage\n"
        "import fsspec\n"
        "bucket = storage.Client().bucket('demo-bucket')\n"
        "bucket.blob('folder/note.txt').upload_from_string('kept')\n"
        "print(fsspec.open('gs://demo-bucket/folder/note.txt', 'rt').open().read())\n"
    )
    result = run_inside(script)
    assert result.stdout == "kept\n", result.stderr


def test_operations_are_listed_waited_for_and_deleted(local):
    _, created = ask(local, f"/v1/{PARENT}/endpoints", '{"displayName": "watched"}')
    name = created["name"]
    assert ask(local, f"/ui/{name}")[1]["done"] is True
    assert ask(local, f"/v1/{name}:wait", '{"timeout": "1s"}')[1]["name"] == name
    resource = name.rpartition("/operations/")[0]
    listed = ask(local, f"/v1/{resource}/operations")[1]["operations"]
    assert [operation["name"] for operation in listed] == [name]
    assert ask(local, f"/v1/{name}", method="DELETE")[0] == 200
    assert ask(local, f"/v1/{name}")[0] == 404
