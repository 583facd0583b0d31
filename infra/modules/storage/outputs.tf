output "names" {
  value       = { for key, bucket in google_storage_bucket.this : key => bucket.name }
  description = "Name of each bucket."
}

output "urls" {
  value       = { for key, bucket in google_storage_bucket.this : key => "gs://${bucket.name}" }
  description = "gs:// URL of each bucket."
}
