output "ids" {
  value       = { for name, secret in google_secret_manager_secret.this : name => secret.secret_id }
  description = "Name of each secret."
}
