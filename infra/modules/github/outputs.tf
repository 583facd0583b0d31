output "provider" {
  value       = one(google_iam_workload_identity_pool_provider.this[*].name)
  description = "What workload_identity_provider of google-github-actions/auth should be; null where there is none."
}
