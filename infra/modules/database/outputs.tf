output "connection_name" {
  value       = google_sql_database_instance.this.connection_name
  description = "PROJECT:REGION:INSTANCE, as the Cloud SQL connectors take it."
}

output "database" {
  value       = google_sql_database.this.name
  description = "Name of the database."
}

output "users" {
  value       = { for name, user in google_sql_user.account : name => user.name }
  description = "Name by which each account logs in."
}
