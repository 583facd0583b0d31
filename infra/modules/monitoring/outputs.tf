output "log_bucket" {
  value       = google_logging_project_bucket_config.this.id
  description = "Log bucket that holds doctune's logs."
}

output "dashboard" {
  value       = google_monitoring_dashboard.this.id
  description = "Dashboard of endpoints and runs."
}

output "channels" {
  value       = local.channels
  description = "Notification channels."
}
