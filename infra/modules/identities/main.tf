# A service account for each part, each with the least roles.
#
# Roles on buckets, repositories and secrets are given where these are made, on the one resource.

locals {
  accounts = {
    pipeline  = "Runs the pipelines: reads PDFs, trains, evaluates, registers, deploys."
    training  = "Runs custom and hyperparameter tuning jobs."
    serving   = "Serves the models behind endpoints."
    gateway   = "Runs the REST API in front of the endpoints."
    build     = "Builds, checks and ships from Cloud Build."
    release   = "Looks from GitHub whether a commit's images have passed staging."
    scheduler = "Starts retraining, and its trigger, by the clock and when files land."
    trigger   = "Decides whether a retraining starts, starts it, and rolls it back."
  }

  project_roles = {
    pipeline  = ["roles/aiplatform.user", "roles/logging.logWriter"]
    training  = ["roles/logging.logWriter"]
    serving   = ["roles/logging.logWriter", "roles/monitoring.metricWriter"]
    gateway   = ["roles/logging.logWriter", "roles/monitoring.metricWriter", "roles/cloudtrace.agent"]
    build     = ["roles/aiplatform.user", "roles/cloudbuild.builds.editor", "roles/logging.logWriter", "roles/ondemandscanning.admin"]
    release   = []
    scheduler = []
    # It starts runs, looks at versions, and gives an endpoint's traffic back.
    trigger = ["roles/aiplatform.user", "roles/logging.logWriter"]
  }

  project_grants = merge([
    for account, roles in local.project_roles : { for role in roles : "${account}/${role}" => { account = account, role = role } }
  ]...)

  # Who starts work in the name of another: the pipeline's steps start training jobs and deploy
  # servers, Cloud Build and the scheduler start pipelines, a merge asks for its release.
  acts_as = {
    "pipeline/pipeline"  = { actor = "pipeline", account = "pipeline" }
    "pipeline/training"  = { actor = "pipeline", account = "training" }
    "pipeline/serving"   = { actor = "pipeline", account = "serving" }
    "build/pipeline"     = { actor = "build", account = "pipeline" }
    "build/build"        = { actor = "build", account = "build" }
    "build/gateway"      = { actor = "build", account = "gateway" }
    "scheduler/pipeline" = { actor = "scheduler", account = "pipeline" }
    "trigger/pipeline"   = { actor = "trigger", account = "pipeline" }
  }
}

resource "google_service_account" "this" {
  for_each = local.accounts

  project      = var.project_id
  account_id   = "${var.prefix}-${each.key}"
  display_name = "doctune ${each.key}"
  description  = each.value
}

resource "google_project_iam_member" "role" {
  for_each = local.project_grants

  project = var.project_id
  role    = each.value.role
  member  = google_service_account.this[each.value.account].member
}

resource "google_service_account_iam_member" "acts_as" {
  for_each = local.acts_as

  service_account_id = google_service_account.this[each.value.account].name
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.this[each.value.actor].member
}

# roles/aiplatform.user would let the gateway train and the scheduler delete models.
resource "google_project_iam_custom_role" "predictor" {
  project     = var.project_id
  role_id     = "${replace(var.prefix, "-", "_")}_predictor"
  title       = "doctune predictor"
  description = "Asks endpoints, and looks up which there are."
  permissions = [
    "aiplatform.endpoints.get",
    "aiplatform.endpoints.list",
    "aiplatform.endpoints.predict",
  ]
}

resource "google_project_iam_custom_role" "pipeline_starter" {
  project     = var.project_id
  role_id     = "${replace(var.prefix, "-", "_")}_pipeline_starter"
  title       = "doctune pipeline starter"
  description = "Starts pipeline runs, and looks at them."
  permissions = [
    "aiplatform.pipelineJobs.create",
    "aiplatform.pipelineJobs.get",
    "aiplatform.pipelineJobs.list",
  ]
}

resource "google_project_iam_member" "gateway_predicts" {
  project = var.project_id
  role    = google_project_iam_custom_role.predictor.name
  member  = google_service_account.this["gateway"].member
}

resource "google_project_iam_member" "scheduler_starts" {
  project = var.project_id
  role    = google_project_iam_custom_role.pipeline_starter.name
  member  = google_service_account.this["scheduler"].member
}

# Builds of another project that ship to this one.
resource "google_project_iam_member" "builder" {
  for_each = var.builders

  project = var.project_id
  role    = "roles/aiplatform.user"
  member  = each.value
}

resource "google_service_account_iam_member" "builder_acts_as" {
  for_each = var.builders

  service_account_id = google_service_account.this["pipeline"].name
  role               = "roles/iam.serviceAccountUser"
  member             = each.value
}
