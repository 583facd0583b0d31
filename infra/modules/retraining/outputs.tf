output "jobs" {
  value       = { for name, job in google_cloud_scheduler_job.this : name => job.id }
  description = "Cloud Scheduler job of each schedule."
}
