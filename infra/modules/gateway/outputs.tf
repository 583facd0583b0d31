output "url" {
  value       = one(google_cloud_run_v2_service.this[*].uri)
  description = "URL of the service; null where there is none yet."
}

output "probe" {
  value       = one([for job in google_cloud_run_v2_job.probe : job.name])
  description = "Name of the job that asks the synthetic question; null where there is none."
}
