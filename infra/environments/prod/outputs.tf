output "image_prefix" {
  value       = module.platform.image_prefix
  description = "images.prefix of vertex_config.yaml."
}

output "pipelines_url" {
  value       = module.platform.pipelines_url
  description = "Where compiled pipelines are published."
}

output "staging_bucket" {
  value       = module.platform.staging_bucket
  description = "staging_bucket of vertex_config.yaml."
}

output "buckets" {
  value       = module.platform.buckets
  description = "gs:// URL of each bucket."
}

output "service_accounts" {
  value       = module.platform.service_accounts
  description = "E-mail of each service account."
}

output "workload_identity_provider" {
  value       = module.platform.workload_identity_provider
  description = "workload_identity_provider of the workflows' google-github-actions/auth."
}

output "gateway_url" {
  value       = module.platform.gateway_url
  description = "URL of the gateway; null where there is none yet."
}

output "database_instance" {
  value       = module.platform.database_instance
  description = "PROJECT:REGION:INSTANCE of the database; null where there is none."
}

output "dashboard" {
  value       = module.platform.dashboard
  description = "Dashboard of endpoints and runs."
}
