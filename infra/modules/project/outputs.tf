output "project_id" {
  value       = local.project_id
  description = "ID of the project, known once its APIs are enabled."
  depends_on  = [google_project_service.api]
}

output "number" {
  value       = data.google_project.this.number
  description = "Number of the project, of which the names of Google's service agents are made."
}
