output "url" {
  value       = one(google_cloud_run_v2_service.this[*].uri)
  description = "URL of the service; null where there is none yet."
}
