# All of doctune in one project. Environments differ in values alone: `environments/NAME.tfvars`, and
# yours in `NAME.project.tfvars`. Each has a state of its own: `environments/NAME.gcs.tfbackend`.

locals {
  labels = merge({ app = "doctune", environment = var.environment }, var.labels)

  apis = toset(concat([
    "aiplatform.googleapis.com",
    "artifactregistry.googleapis.com",
    "cloudbuild.googleapis.com",
    "cloudquotas.googleapis.com",
    "cloudresourcemanager.googleapis.com",
    "cloudscheduler.googleapis.com",
    "compute.googleapis.com",
    "containerscanning.googleapis.com",
    "iam.googleapis.com",
    "iamcredentials.googleapis.com",
    "logging.googleapis.com",
    "monitoring.googleapis.com",
    "ondemandscanning.googleapis.com",
    "run.googleapis.com",
    "secretmanager.googleapis.com",
    "servicenetworking.googleapis.com",
    "sqladmin.googleapis.com",
    "storage.googleapis.com",
    "sts.googleapis.com",
    ],
    var.customer_managed_key ? ["cloudkms.googleapis.com"] : [],
    var.private_google_apis ? ["dns.googleapis.com"] : [],
    local.budget == null ? [] : ["billingbudgets.googleapis.com"],
    var.perimeter == null ? [] : ["accesscontextmanager.googleapis.com"],
    try(var.retraining_trigger.bucket, null) == null ? [] : ["eventarc.googleapis.com", "pubsub.googleapis.com", "workflows.googleapis.com"],
  ))

  kms_key = one(module.encryption[*].key)

  builders = merge({ build = module.identities.members["build"] }, var.builders)

  budget = var.monthly_budget == null ? null : {
    billing_account = var.billing_account
    units           = var.monthly_budget
    currency        = var.budget_currency
  }

  buckets = {
    training-data = {
      retention_days      = var.retention_days
      nearline_after_days = 90
      members = {
        "roles/storage.objectUser"   = { pipeline = module.identities.members["pipeline"] }
        "roles/storage.objectViewer" = { for name in ["training", "trigger"] : name => module.identities.members[name] }
      }
    }
    model-artifacts = {
      retention_days      = var.retention_days
      nearline_after_days = 180
      members = {
        "roles/storage.objectUser"   = { for name in ["pipeline", "training"] : name => module.identities.members[name] }
        "roles/storage.objectViewer" = { serving = module.identities.members["serving"] }
      }
    }
    evaluation-results = {
      retention_days      = var.retention_days
      nearline_after_days = 90
      members = {
        "roles/storage.objectUser"   = { pipeline = module.identities.members["pipeline"] }
        "roles/storage.objectViewer" = { gateway = module.identities.members["gateway"] }
      }
    }
    # Runs write here, and so do uploads that precede them; a run that is tried again replaces what
    # it wrote, which a retention policy would forbid.
    pipeline-root = {
      delete_after_days = var.pipeline_root_days
      # Not cache/: a teacher's answers were paid for.
      delete_prefixes = ["aiplatform-", "batch/", "checkpoints/", "feedback/", "pdfs/", "questions/", "runs/", "tuning/"]
      members = {
        "roles/storage.objectUser"         = merge({ for name in ["pipeline", "training", "trigger"] : name => module.identities.members[name] }, local.builders)
        "roles/storage.objectViewer"       = { serving = module.identities.members["serving"] }
        "roles/storage.legacyBucketReader" = merge({ pipeline = module.identities.members["pipeline"] }, local.builders)
      }
    }
  }
}

# A state belongs to one environment: another's values would replace this, which is refused.
resource "terraform_data" "environment" {
  triggers_replace = var.environment

  lifecycle {
    prevent_destroy = true
  }
}

module "project" {
  source = "./modules/project"

  project_id      = var.project_id
  create          = var.create_project
  billing_account = var.billing_account
  org_id          = var.org_id
  folder_id       = var.folder_id
  labels          = local.labels
  apis            = local.apis
  audited_apis    = var.audited_apis
}

module "identities" {
  source = "./modules/identities"

  project_id = module.project.project_id
  builders   = var.builders
}

module "encryption" {
  source = "./modules/encryption"
  count  = var.customer_managed_key ? 1 : 0

  project_id     = module.project.project_id
  project_number = module.project.number
  location       = var.location
  labels         = local.labels
}

module "storage" {
  source = "./modules/storage"

  project_id    = module.project.project_id
  prefix        = var.project_id
  location      = var.location
  buckets       = local.buckets
  kms_key       = local.kms_key
  force_destroy = !var.deletion_protection
  labels        = local.labels
}

module "registry" {
  source = "./modules/registry"

  project_id = module.project.project_id
  location   = var.location
  readers    = merge({ for name in ["pipeline", "training", "serving", "gateway", "release", "scheduler"] : name => module.identities.members[name] }, var.image_readers)
  writers    = local.builders
  kms_key    = local.kms_key
  labels     = local.labels
}

module "builds" {
  source = "./modules/builds"

  project_id      = module.project.project_id
  location        = var.location
  repository      = var.build_repository
  enabled         = var.build_triggers
  service_account = module.identities.names["build"]
  substitutions = merge(var.build_substitutions, {
    merge = merge({
      _REGION                  = var.location
      _STAGING_BUCKET          = module.storage.urls["pipeline-root"]
      _STAGING_SERVICE_ACCOUNT = module.identities.emails["pipeline"]
    }, lookup(var.build_substitutions, "merge", {}))
  })
}

module "retraining" {
  source = "./modules/retraining"

  project_id        = module.project.project_id
  location          = var.location
  schedules         = var.schedules
  pipelines_url     = module.registry.pipelines_url
  pipeline_root     = "${module.storage.urls["pipeline-root"]}/runs"
  pipeline_account  = module.identities.emails["pipeline"]
  scheduler_account = module.identities.emails["scheduler"]
  kms_key           = local.kms_key

  trigger             = var.retraining_trigger
  trigger_account     = module.identities.emails["trigger"]
  network             = module.network.network
  subnetwork          = module.network.subnetwork
  deletion_protection = var.deletion_protection
  labels              = local.labels
  environment = merge(
    {
      DOCTUNE_VERTEX_PROJECT               = var.project_id
      DOCTUNE_VERTEX_LOCATION              = var.location
      DOCTUNE_VERTEX_STAGING_BUCKET        = module.storage.urls["pipeline-root"]
      DOCTUNE_VERTEX_RUNS__SERVICE_ACCOUNT = module.identities.emails["pipeline"]
    },
    var.database == null ? {} : {
      DATABASE_INSTANCE = module.database[0].connection_name
      DATABASE_NAME     = module.database[0].database
      DATABASE_USER     = module.database[0].users["trigger"]
    },
  )
}

module "network" {
  source = "./modules/network"

  project_id          = module.project.project_id
  location            = var.location
  private_google_apis = var.private_google_apis
  apis_bundle         = var.perimeter == null ? "all-apis" : "vpc-sc"
}

module "database" {
  source = "./modules/database"
  count  = var.database == null ? 0 : 1

  project_id          = module.project.project_id
  location            = var.location
  tier                = var.database.tier
  edition             = var.database.edition
  high_availability   = var.database.high_availability
  disk_gb             = var.database.disk_gb
  network             = module.network.network
  accounts            = { for name in ["gateway", "trigger"] : name => module.identities.emails[name] }
  kms_key             = local.kms_key
  deletion_protection = var.deletion_protection
  labels              = local.labels
}

module "secrets" {
  source = "./modules/secrets"

  project_id          = module.project.project_id
  location            = var.location
  secrets             = { for name in setunion(var.gateway_secrets, values(var.gateway.secrets), compact([try(var.gateway.probe.secret, null)])) : name => { gateway = module.identities.members["gateway"] } }
  kms_key             = local.kms_key
  deletion_protection = var.deletion_protection
  labels              = local.labels
}

module "gateway" {
  source = "./modules/gateway"

  project_id      = module.project.project_id
  location        = var.location
  image           = var.gateway.image
  ingress         = var.gateway.ingress
  invokers        = var.gateway.invokers
  deployers       = local.builders
  service_account = module.identities.emails["gateway"]
  network         = module.network.network
  subnetwork      = module.network.subnetwork
  min_instances   = var.gateway.min_instances
  max_instances   = var.gateway.max_instances
  concurrency     = var.gateway.concurrency
  cpu             = var.gateway.cpu
  memory          = var.gateway.memory
  secret_environment = {
    for variable, name in var.gateway.secrets : variable => { secret = module.secrets.ids[name], version = "latest" }
  }
  scheduler_account = module.identities.emails["scheduler"]
  probe = var.gateway.probe == null ? null : merge(
    var.gateway.probe,
    { secret = var.gateway.probe.secret == null ? null : module.secrets.ids[var.gateway.probe.secret] },
  )
  environment = merge(
    { DOCTUNE_VERTEX_PROJECT = var.project_id, DOCTUNE_VERTEX_LOCATION = var.location },
    var.database == null ? {} : {
      DATABASE_INSTANCE = module.database[0].connection_name
      DATABASE_NAME     = module.database[0].database
      DATABASE_USER     = module.database[0].users["gateway"]
    },
  )
  kms_key             = local.kms_key
  deletion_protection = var.deletion_protection
  labels              = local.labels
}

module "monitoring" {
  source = "./modules/monitoring"

  project_id            = module.project.project_id
  project_number        = module.project.number
  location              = var.location
  log_days              = var.log_days
  probe                 = module.gateway.probe
  alert_emails          = var.alert_emails
  latency_p99_ms        = var.latency_p99_ms
  endpoint_max_replicas = var.endpoint_max_replicas
  retraining_days       = var.retraining_days
  budget                = local.budget
  labels                = local.labels
}

module "github" {
  source = "./modules/github"

  project_id      = module.project.project_id
  repository      = var.github.repository
  repository_id   = var.github.repository_id
  service_account = module.identities.names["release"]
}

module "perimeter" {
  source = "./modules/perimeter"
  count  = var.perimeter == null ? 0 : 1

  access_policy  = var.perimeter.access_policy
  project_number = module.project.number
  dry_run        = var.perimeter.dry_run
  access_levels  = var.perimeter.access_levels
  identities     = values(local.builders)
}
