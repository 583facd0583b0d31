output "triggers" {
  value       = { for name, trigger in google_cloudbuild_trigger.this : name => trigger.trigger_id }
  description = "ID of each trigger."
}
