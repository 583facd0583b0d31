output "image_prefix" {
  value       = module.registry.image_prefix
  description = "images.prefix of vertex_config.yaml."
}

output "pipelines_url" {
  value       = module.registry.pipelines_url
  description = "Where compiled pipelines are published."
}

output "staging_bucket" {
  value       = module.storage.urls["pipeline-root"]
  description = "staging_bucket of vertex_config.yaml."
}

output "buckets" {
  value       = module.storage.urls
  description = "gs:// URL of each bucket."
}

output "service_accounts" {
  value       = module.identities.emails
  description = "E-mail of each service account."
}

output "workload_identity_provider" {
  value       = module.github.provider
  description = "workload_identity_provider of the workflows' google-github-actions/auth."
}

output "gateway_url" {
  value       = module.gateway.url
  description = "URL of the gateway; null where there is none yet."
}

output "database_instance" {
  value       = one(module.database[*].connection_name)
  description = "PROJECT:REGION:INSTANCE of the database; null where there is none."
}

output "dashboard" {
  value       = module.monitoring.dashboard
  description = "Dashboard of endpoints and runs."
}
