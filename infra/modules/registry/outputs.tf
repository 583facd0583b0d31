output "image_prefix" {
  value       = "${var.location}-docker.pkg.dev/${var.project_id}/${google_artifact_registry_repository.this["images"].repository_id}"
  description = "What images.prefix of vertex_config.yaml should be."
}

output "pipelines_url" {
  value       = "https://${var.location}-kfp.pkg.dev/${var.project_id}/${google_artifact_registry_repository.this["pipelines"].repository_id}"
  description = "Where compiled pipelines are published and taken from."
}
