output "jobs" {
  value       = { for name, job in google_cloud_scheduler_job.this : name => job.id }
  description = "Cloud Scheduler job of each schedule."
}

output "trigger" {
  value       = one(values(google_cloud_run_v2_job.trigger)[*].id)
  description = "Cloud Run job of the trigger; null where there is none."
}
