output "network" {
  value       = google_compute_network.this.id
  description = "Resource name of the network, known once Google's services are connected to it."
  depends_on  = [google_service_networking_connection.services]
}

output "subnetwork" {
  value       = google_compute_subnetwork.this.id
  description = "Resource name of the subnet."
}
