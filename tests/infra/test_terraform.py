"""infra/ as Terraform itself sees it: valid, planned as meant, and strict with what it is given."""

import base64
import json
import re
from collections.abc import Callable
from typing import Any

import promql_parser
import pytest
from google.cloud.aiplatform_v1.types import PipelineJob

from doctune.cli.probe import KEY_VARIABLE
from doctune.vertex.labels import MANAGED_BY
from tests.infra.conftest import ENVIRONMENTS, INFRA, ROOT, Terraform
from tests.infra.derive_provider_facts import FACTS, used_types

MINIMAL = {"project_id": "my-project"}
FULL: dict[str, Any] = {
    "project_id": "my-project",
    "create_project": True,
    "billing_account": "012345-567890-ABCDEF",
    "org_id": "1234",
    "monthly_budget": 100,
    "alert_emails": ["a@example.com"],
    "builders": {"staging": "serviceAccount:b@staging.iam.gserviceaccount.com"},
    "github": {"repository": "owner/name", "repository_id": "12"},
    "schedules": {"weekly": {"cron": "0 3 * * 1", "version": "v1.0.0", "parameters": "{}"}},
    "gateway": {
        "image": "registry/gateway:abc",
        "invokers": {"a": "user:a@example.com"},
        "secrets": {"REDIS_URL": "redis-url"},
        "probe": {"address": "https://answers.example.com/v1#handbook", "secret": "probe-key"},
    },
    "gateway_secrets": ["token"],
    "pipeline_root_days": 30,
    "perimeter": {"access_policy": "123"},
    "retraining_trigger": {
        "image": "registry/training:abc",
        "version": "0a1b2c",
        "config_bucket": "my-project-training-data",
        "index": "gs://my-project-model-artifacts/index",
        "bucket": "my-project-training-data",
    },
}
REPOSITORY = "projects/p/locations/l/connections/c/repositories/r"


@pytest.fixture(scope="module")
def production(terraform: Terraform) -> dict[str, Any]:
    """What production plans with everything switched on."""
    return terraform.plan(".", "prod", **FULL)


def planned(plan: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    return {
        address: change["change"]["after"]
        for address, change in plan.items()
        if change["type"] == kind and change["mode"] == "managed"
    }


def test_the_facts_cover_what_is_used() -> None:
    facts = json.loads(FACTS.read_text())

    for section in ("resource", "data"):
        assert set(facts[section]) == used_types(INFRA, section)
    pinned = re.findall(
        r'version = "~> ([\d.]+)"', (INFRA / "modules/storage/versions.tf").read_text()
    )
    assert facts["version"].startswith(pinned[0])


def test_the_files_are_formatted(terraform: Terraform) -> None:
    done = terraform.run(".", "fmt", "-check", "-recursive")

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "folder",
    [".", *sorted(str(path.parent.relative_to(INFRA)) for path in INFRA.glob("*/*/main.tf"))],
)
def test_terraform_finds_it_valid(terraform: Terraform, folder: str) -> None:
    assert terraform.problems(folder) == []


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_project_is_all_that_must_be_given(terraform: Terraform, environment: str) -> None:
    plan = terraform.plan(".", environment, **MINIMAL)

    assert len(planned(plan, "google_storage_bucket")) == 5
    assert not planned(plan, "google_project")
    assert not planned(plan, "google_cloud_run_v2_service")


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("uniform_bucket_level_access = true", "uniform_acces = true", "Unsupported argument"),
        ("num_newer_versions         = 3", 'num_newer_versions = "x"', "Inappropriate value"),
        ("  versioning {\n", "  versionings {\n", "Unsupported block type"),
        ("age = var.access_log_days", "age = var.days", "undeclared input variable"),
        ("location                    = var.location", "", "Missing required argument"),
    ],
)
def test_the_check_sees_mistakes(
    new_terraform: Callable[[], Terraform], right: str, wrong: str, said: str
) -> None:
    terraform = new_terraform()
    path = terraform.infra / "modules/storage/main.tf"
    assert right in path.read_text()
    path.write_text(path.read_text().replace(right, wrong))

    assert any(said in problem for problem in terraform.problems("modules/storage"))


def test_the_check_sees_values_that_the_provider_refuses(
    new_terraform: Callable[[], Terraform],
) -> None:
    terraform = new_terraform()
    path = terraform.infra / "modules/monitoring/alerts.tf"
    path.write_text(path.read_text().replace("COMPARISON_GT", "COMPARISON_MORE"))

    assert any("COMPARISON_MORE" in problem for problem in terraform.problems("modules/monitoring"))


def test_buckets_are_private_versioned_and_encrypted(production: dict[str, Any]) -> None:
    buckets = planned(production, "google_storage_bucket")

    assert {bucket["name"] for bucket in buckets.values()} == {
        "my-project-access-logs",
        "my-project-training-data",
        "my-project-model-artifacts",
        "my-project-evaluation-results",
        "my-project-pipeline-root",
    }
    for bucket in buckets.values():
        assert bucket["uniform_bucket_level_access"] is True
        assert bucket["public_access_prevention"] == "enforced"
        assert bucket["versioning"] == [{"enabled": True}]
        assert bucket["lifecycle_rule"]
        assert bucket["force_destroy"] is False
    # The key's name is known after an apply alone.
    assert all(
        change["change"]["after_unknown"]["encryption"]
        for change in production.values()
        if change["type"] == "google_storage_bucket"
    )
    kept = {bucket["name"] for bucket in buckets.values() if bucket["retention_policy"]}
    assert kept == {
        "my-project-training-data",
        "my-project-model-artifacts",
        "my-project-evaluation-results",
    }


def test_what_runs_write_is_deleted_after_some_days_but_not_their_caches(
    production: dict[str, Any],
) -> None:
    buckets = planned(production, "google_storage_bucket")
    (bucket,) = [b for b in buckets.values() if b["name"] == "my-project-pipeline-root"]
    (rule,) = [
        r["condition"][0] for r in bucket["lifecycle_rule"] if r["condition"][0]["age"] == 30
    ]
    deleted = {prefix.rstrip("/") for prefix in rule["matches_prefix"]}
    written = {
        name
        for folder in ("doctune", "pipelines")
        for path in (INFRA.parent / folder).rglob("*.py")
        for name in re.findall(r"staging_bucket\}/(\w+)", path.read_text(encoding="utf-8"))
    }

    assert written - deleted == {"cache"}


def test_each_account_has_the_least_roles(production: dict[str, Any]) -> None:
    accounts = planned(production, "google_service_account")
    assert {account["account_id"] for account in accounts.values()} == {
        f"doctune-{name}"
        for name in (
            *("pipeline", "training", "serving", "gateway"),
            *("build", "release", "scheduler", "trigger"),
        )
    }
    roles = {
        member["role"]
        for member in planned(production, "google_project_iam_member").values()
        if "role" in member
    }
    assert roles == {
        "roles/aiplatform.user",
        "roles/cloudbuild.builds.editor",
        "roles/cloudsql.client",
        "roles/cloudsql.instanceUser",
        "roles/cloudtrace.agent",
        "roles/eventarc.eventReceiver",
        "roles/logging.logWriter",
        "roles/monitoring.metricWriter",
        "roles/ondemandscanning.admin",
        "roles/pubsub.publisher",
        "roles/workflows.invoker",
    }
    grants = {
        address.split("grant[", 1)[1].strip('"]')
        for address in planned(production, "google_storage_bucket_iam_member")
        if "grant[" in address
    }
    assert {
        grant for grant in grants if grant.endswith(("/serving", "/gateway", "/scheduler"))
    } == {
        "model-artifacts/roles/storage.objectViewer/serving",
        "pipeline-root/roles/storage.objectViewer/serving",
        "evaluation-results/roles/storage.objectViewer/gateway",
    }


def test_the_gateway_gets_its_secrets_by_name_and_bounds_its_load(
    production: dict[str, Any],
) -> None:
    (service,) = planned(production, "google_cloud_run_v2_service").values()
    (template,) = service["template"]
    (container,) = template["containers"]
    by_name = {one["name"]: one for one in container["env"]}
    (reference,) = by_name["REDIS_URL"]["value_source"]
    assert reference["secret_key_ref"] == [{"secret": "doctune-redis-url", "version": "latest"}]
    assert not by_name["REDIS_URL"]["value"]
    readers = planned(production, "google_secret_manager_secret_iam_member")
    assert any("redis-url" in name for name in readers)
    assert template["max_instance_request_concurrency"] == 80
    assert container["resources"][0]["limits"] == {"cpu": "1", "memory": "1Gi"}
    assert template["scaling"][0]["max_instance_count"] == 4


def test_a_synthetic_question_is_asked_by_a_clock_with_a_key_of_its_own(
    production: dict[str, Any],
) -> None:
    (job,) = (
        job
        for job in planned(production, "google_cloud_run_v2_job").values()
        if job["name"] == "doctune-gateway-probe"
    )
    (container,) = job["template"][0]["template"][0]["containers"]
    assert container["command"] == ["doctune"]
    assert container["args"][:2] == ["probe", "https://answers.example.com/v1#handbook"]
    (key,) = container["env"]
    assert key["name"] == KEY_VARIABLE
    assert not key["value"]
    reference = key["value_source"][0]["secret_key_ref"]
    assert reference == [{"secret": "doctune-probe-key", "version": "latest"}]
    clocks = planned(production, "google_cloud_scheduler_job")
    assert clocks['module.gateway.google_cloud_scheduler_job.probe["probe"]']["schedule"] == (
        "*/5 * * * *"
    )


def test_repositories_clean_up_but_keep_releases(production: dict[str, Any]) -> None:
    repositories = planned(production, "google_artifact_registry_repository")

    assert {r["format"] for r in repositories.values()} == {"DOCKER", "KFP"}
    for repository in repositories.values():
        actions = {policy["id"]: policy["action"] for policy in repository["cleanup_policies"]}
        assert actions == {
            "keep-releases": "KEEP",
            "keep-newest": "KEEP",
            "delete-untagged": "DELETE",
            "delete-old": "DELETE",
        }


def test_every_alert_that_was_asked_for_is_there(production: dict[str, Any]) -> None:
    policies = planned(production, "google_monitoring_alert_policy")

    # Those on the services' own metrics: test_service_alerts.py.
    own = {address: p for address, p in policies.items() if ".service[" not in address}
    assert {policy["display_name"].removeprefix("doctune: ") for policy in own.values()} == {
        "An endpoint answers slowly",
        "An endpoint has as many replicas as it may",
        "a pipeline run has failed",
        "an endpoint answers with errors",
        "no successful retraining for 14 days",
    }
    assert all(policy["documentation"][0]["content"] for policy in policies.values())
    absence = policies["module.monitoring.google_monitoring_alert_policy.no_retraining"]
    query = absence["conditions"][0]["condition_prometheus_query_language"][0]["query"]
    assert query == (
        "(sum(increase(logging_googleapis_com:user_doctune_pipeline_succeeded"
        '{monitored_resource="aiplatform.googleapis.com/PipelineJob"}[14d])) or vector(0)) < 1'
    )
    budget = planned(production, "google_billing_budget")
    assert [b["amount"][0]["specified_amount"][0]["units"] for b in budget.values()] == ["100"]
    assert planned(production, "google_monitoring_notification_channel")


def test_the_dashboard_is_a_dashboard(production: dict[str, Any]) -> None:
    (board,) = planned(production, "google_monitoring_dashboard").values()
    tiles = json.loads(board["dashboard_json"])["mosaicLayout"]["tiles"]

    assert len(tiles) == 18
    places = [(tile.get("xPos", 0), tile.get("yPos", 0)) for tile in tiles]
    assert len(set(places)) == len(places)
    assert all(tile["widget"]["xyChart"]["dataSets"] for tile in tiles)
    queries = [tile["widget"]["xyChart"]["dataSets"][0]["timeSeriesQuery"] for tile in tiles]
    of_services = [query["prometheusQuery"] for query in queries if "prometheusQuery" in query]
    assert len(of_services) == 10
    counted = "".join(
        (ROOT / f"doctune/{room}/metrics.py").read_text() for room in ("gateway", "serving")
    )
    for query in of_services:
        promql_parser.parse(query)
        for name in re.findall(r"doctune_(?:gateway|server)_(\w+)", query):
            assert re.sub(r"_(total|bucket)$", "", name) in counted, name


def test_staging_has_the_triggers_of_the_build_files(terraform: Terraform) -> None:
    plan = terraform.plan(
        *(".", "staging"),
        **MINIMAL,
        build_repository=REPOSITORY,
        build_substitutions={"release": {"_PROD_PROJECT": "my-prod"}},
        image_readers={"prod": "serviceAccount:doctune-pipeline@my-prod.iam.gserviceaccount.com"},
    )
    triggers = {t["name"]: t for t in planned(plan, "google_cloudbuild_trigger").values()}

    assert set(triggers) == {"doctune-pull-request", "doctune-merge", "doctune-release"}
    assert all((ROOT / trigger["filename"]).is_file() for trigger in triggers.values())
    assert [n for n, t in triggers.items() if t["approval_config"][0]["approval_required"]] == [
        "doctune-release"
    ]
    for trigger in triggers.values():
        # Cloud Build refuses a substitution that the file does not have.
        file = (ROOT / trigger["filename"]).read_text()
        assert set(trigger["substitutions"] or {}) <= set(re.findall(r"^  (_\w+):", file, re.M))
    # The account's e-mail is known after an apply alone.
    assert triggers["doctune-merge"]["substitutions"] == {
        "_REGION": "us-central1",
        "_STAGING_BUCKET": "gs://my-project-pipeline-root",
    }
    assert triggers["doctune-release"]["substitutions"] == {"_PROD_PROJECT": "my-prod"}


def test_retraining_starts_a_pipeline_job(terraform: Terraform) -> None:
    plan = terraform.plan(
        "modules/retraining",
        project_id="my-project",
        location="us-central1",
        schedules={
            "weekly": {"cron": "0 3 * * 1", "version": "0a1b2c", "parameters": '{"shards": 2}'}
        },
        pipelines_url="https://us-central1-kfp.pkg.dev/my-project/doctune-pipelines",
        pipeline_root="gs://my-project-pipeline-root",
        pipeline_account="doctune-pipeline@my-project.iam.gserviceaccount.com",
        scheduler_account="doctune-scheduler@my-project.iam.gserviceaccount.com",
    )
    (job,) = planned(plan, "google_cloud_scheduler_job").values()

    assert (job["schedule"], job["time_zone"]) == ("0 3 * * 1", "Etc/UTC")
    target = job["http_target"][0]
    assert target["uri"] == (
        "https://us-central1-aiplatform.googleapis.com/v1/projects/my-project"
        "/locations/us-central1/pipelineJobs"
    )
    assert target["oauth_token"][0]["service_account_email"].startswith("doctune-scheduler@")
    # Vertex AI's own message refuses a field that it does not know.
    sent = PipelineJob.from_json(base64.b64decode(target["body"]).decode())
    assert sent.template_uri == (
        "https://us-central1-kfp.pkg.dev/my-project/doctune-pipelines/train-and-deploy/0a1b2c"
    )
    assert sent.service_account == "doctune-pipeline@my-project.iam.gserviceaccount.com"
    assert sent.runtime_config.gcs_output_directory == "gs://my-project-pipeline-root"
    assert sent.runtime_config.parameter_values["shards"] == 2
    assert sent.labels.items() >= MANAGED_BY.items()


def test_the_trigger_is_started_by_the_clock_and_by_pdfs_that_land(
    production: dict[str, Any],
) -> None:
    jobs = planned(production, "google_cloud_run_v2_job")
    job = jobs['module.retraining.google_cloud_run_v2_job.trigger["trigger"]']
    (container,) = job["template"][0]["template"][0]["containers"]
    clock = planned(production, "google_cloud_scheduler_job")[
        'module.retraining.google_cloud_scheduler_job.trigger["trigger"]'
    ]
    (workflow,) = planned(production, "google_workflows_workflow").values()
    (event,) = planned(production, "google_eventarc_trigger").values()

    assert container["command"] == ["doctune"]
    assert container["args"] == [
        *("retrain", "trigger", "--cloud", "--json", "--spec"),
        "https://us-central1-kfp.pkg.dev/my-project/doctune-pipelines/retrain/0a1b2c",
        *("--index", "gs://my-project-model-artifacts/index"),
    ]
    assert job["template"][0]["template"][0]["max_retries"] == 0
    (volume,) = job["template"][0]["template"][0]["volumes"]
    assert (volume["gcs"][0]["bucket"], volume["gcs"][0]["read_only"]) == (
        "my-project-training-data",
        True,
    )
    variables = {one["name"]: one.get("value") for one in container["env"] if one.get("name")}
    assert variables["DOCTUNE_CONFIG"] == "/mnt/config/config"
    uri = (
        "https://run.googleapis.com/v2/projects/my-project/locations/us-central1"
        "/jobs/doctune-retrain-trigger:run"
    )
    assert (clock["schedule"], clock["http_target"][0]["uri"]) == ("*/10 * * * *", uri)
    look, run = json.loads(workflow["source_contents"])["main"]["steps"]
    assert look["look"]["switch"][0]["condition"] == (
        '${not text.match_regex(text.to_lower(event.data.name), "[.]pdf$")}'
    )
    assert run["run"]["args"] == {"url": uri, "auth": {"type": "OAuth2"}, "body": {}}
    assert {c["attribute"]: c["value"] for c in event["matching_criteria"]} == {
        "type": "google.cloud.storage.object.v1.finalized",
        "bucket": "my-project-training-data",
    }
    starters = planned(production, "google_cloud_run_v2_job_iam_member")
    assert [
        member["role"]
        for address, member in starters.items()
        if address.startswith("module.retraining.")
    ] == ["roles/run.invoker"]


def test_workflows_act_on_trusted_refs_alone(production: dict[str, Any]) -> None:
    (provider,) = planned(production, "google_iam_workload_identity_pool_provider").values()

    assert provider["attribute_condition"] == (
        "assertion.repository == 'owner/name' && assertion.repository_id == '12'"
    )
    trusted = provider["attribute_mapping"]["attribute.trusted"]
    pattern = re.search(r"ref\.matches\('(.*?)'\)", trusted)
    assert pattern
    assert "pull_request" not in trusted
    assert re.search(pattern[1], "refs/tags/v1.20.3")
    for ref in ("refs/pull/1/merge", "refs/heads/main", "refs/tags/v1", "x/refs/tags/v1.20.3"):
        assert not re.search(pattern[1], ref)


def test_each_environment_has_a_state_of_its_own() -> None:
    prefixes = {
        path.name.split(".")[0]: path.read_text().strip()
        for path in INFRA.glob("environments/*.gcs.tfbackend")
    }

    assert prefixes == {name: f'prefix = "doctune/{name}"' for name in ENVIRONMENTS}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_an_environments_file_names_itself_and_what_there_is(
    terraform: Terraform, environment: str
) -> None:
    text = (INFRA / f"environments/{environment}.tfvars").read_text()
    done = terraform.try_plan(".", environment, **MINIMAL)

    assert re.search(rf'^environment += "{environment}"$', text, re.MULTILINE)
    # Terraform only warns of a value for a variable that is not declared.
    assert "undeclared" not in done.stdout + done.stderr


def test_another_environments_values_are_refused_by_a_state(
    new_terraform: Callable[[], Terraform],
) -> None:
    terraform = new_terraform()
    terraform.plan(".", "dev", **MINIMAL)
    files = ("-var-file=environments/dev.tfvars", "-var-file=given.tfvars.json")
    target = "-target=terraform_data.environment"
    done = terraform.run(".", "apply", "-auto-approve", "-input=false", target, *files)
    assert done.returncode == 0, done.stderr

    same, other = terraform.try_plan(".", "dev", **MINIMAL), terraform.try_plan(".", "prod", **FULL)

    assert same.returncode == 0, same.stderr
    assert other.returncode == 1
    said = " ".join(other.stderr.split())
    assert "terraform_data.environment has lifecycle.prevent_destroy" in said


def test_every_skipped_check_says_why() -> None:
    skips = [
        line.partition("checkov:skip=")[2]
        for path in INFRA.rglob("*.tf")
        for line in path.read_text().splitlines()
        if "checkov:skip" in line
    ]

    assert skips
    for skip in skips:
        check, _, reason = skip.partition(":")
        assert re.fullmatch(r"CKV2?_GCP_\d+", check)
        assert len(reason) > 40, skip


def test_production_is_closed(production: dict[str, Any]) -> None:
    (database,) = planned(production, "google_sql_database_instance").values()
    settings = database["settings"][0]
    (service,) = planned(production, "google_cloud_run_v2_service").values()
    (perimeter,) = planned(production, "google_access_context_manager_service_perimeter").values()

    assert database["deletion_protection"] is True
    assert settings["ip_configuration"][0]["ipv4_enabled"] is False
    assert settings["availability_type"] == "REGIONAL"
    assert settings["backup_configuration"][0]["point_in_time_recovery_enabled"] is True
    assert service["ingress"] == "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"
    assert perimeter["use_explicit_dry_run_spec"] is True
    assert planned(production, "google_compute_global_forwarding_rule")
    # A secret's value would lie in Terraform's state.
    assert not planned(production, "google_secret_manager_secret_version")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"project_id": "My_Project"}, "A project ID has 6 to 30"),
        ({"billing_account": "1"}, "012345-567890-ABCDEF"),
        (
            {"monthly_budget": 1, "billing_account": None, "create_project": False},
            "need billing_account",
        ),
        ({"gateway": {"image": "gateway:latest"}}, "latest does not"),
        ({"gateway": {"invokers": {"all": "allUsers"}}}, "not for everybody"),
        (
            {"schedules": {"s": {"cron": "daily", "version": "v1", "parameters": "{}"}}},
            "five fields",
        ),
        (
            {"schedules": {"s": {"cron": "0 3 * * 1", "version": "v1", "parameters": "x"}}},
            "JSON object",
        ),
        ({"github": {"repository": "name"}}, "OWNER/NAME"),
        (
            {"retraining_trigger": {"image": "i:latest", "version": "v1", "config_bucket": "b"}},
            "latest does not",
        ),
        ({"database": None}, "needs database"),
        ({"alert_emails": ["me"]}, "e-mail addresses"),
        ({"location": "US"}, "us-central1"),
    ],
)
def test_wrong_values_are_refused_in_plain_words(
    terraform: Terraform, given: dict[str, Any], said: str
) -> None:
    done = terraform.try_plan(".", "prod", **(FULL | given))

    assert done.returncode == 1
    assert said in done.stderr.replace("\n", " ")
