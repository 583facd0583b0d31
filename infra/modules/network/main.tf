# A network for what should not be on the internet: the database, the gateway's way to it, and, where
# wanted, Google's APIs at an address of one's own.

resource "google_compute_network" "this" {
  #checkov:skip=CKV2_GCP_18:No machine of ours stands in this network; it carries a peering to Cloud SQL and the gateway's egress, and a network without rules lets nothing in.
  project                         = var.project_id
  name                            = var.name
  auto_create_subnetworks         = false
  delete_default_routes_on_create = var.private_google_apis
}

resource "google_compute_subnetwork" "this" {
  #checkov:skip=CKV_GCP_76:The subnet has no IPv6 addresses (stack_type IPV4_ONLY), so private access over IPv6 does not apply.
  project                  = var.project_id
  name                     = var.name
  network                  = google_compute_network.this.id
  region                   = var.location
  ip_cidr_range            = var.subnet_range
  stack_type               = "IPV4_ONLY"
  private_ip_google_access = true

  log_config {
    aggregation_interval = "INTERVAL_10_MIN"
    flow_sampling        = 0.5
    metadata             = "INCLUDE_ALL_METADATA"
  }
}

# Addresses that Google's own networks take for Cloud SQL and private endpoints.
resource "google_compute_global_address" "services" {
  project       = var.project_id
  name          = "${var.name}-services"
  network       = google_compute_network.this.id
  purpose       = "VPC_PEERING"
  address_type  = "INTERNAL"
  prefix_length = var.services_prefix_length
}

resource "google_service_networking_connection" "services" {
  network                 = google_compute_network.this.id
  service                 = "servicenetworking.googleapis.com"
  reserved_peering_ranges = [google_compute_global_address.services.name]
}

# Google's APIs over Private Service Connect: no packet to them leaves the network.
resource "google_compute_global_address" "apis" {
  count = var.private_google_apis ? 1 : 0

  project      = var.project_id
  name         = "${var.name}-apis"
  network      = google_compute_network.this.id
  purpose      = "PRIVATE_SERVICE_CONNECT"
  address_type = "INTERNAL"
  address      = var.apis_address
}

resource "google_compute_global_forwarding_rule" "apis" {
  count = var.private_google_apis ? 1 : 0

  project               = var.project_id
  name                  = replace("${var.name}apis", "-", "")
  network               = google_compute_network.this.id
  ip_address            = google_compute_global_address.apis[0].id
  target                = var.apis_bundle
  load_balancing_scheme = ""
}

resource "google_dns_managed_zone" "apis" {
  for_each = var.private_google_apis ? { googleapis = "googleapis.com.", registry = "pkg.dev." } : {}

  project     = var.project_id
  name        = "${var.name}-${each.key}"
  dns_name    = each.value
  description = "Leads Google's APIs to the private address."
  visibility  = "private"

  private_visibility_config {
    networks {
      network_url = google_compute_network.this.id
    }
  }
}

resource "google_dns_record_set" "apis" {
  for_each = google_dns_managed_zone.apis

  project      = var.project_id
  managed_zone = each.value.name
  name         = each.value.dns_name
  type         = "A"
  ttl          = 300
  rrdatas      = [google_compute_global_address.apis[0].address]
}

resource "google_dns_record_set" "apis_any" {
  for_each = google_dns_managed_zone.apis

  project      = var.project_id
  managed_zone = each.value.name
  name         = "*.${each.value.dns_name}"
  type         = "CNAME"
  ttl          = 300
  rrdatas      = [each.value.dns_name]
}
