# VPC Service Controls: data does not leave the project even with stolen credentials.

resource "google_access_context_manager_service_perimeter" "this" {
  parent                    = "accessPolicies/${var.access_policy}"
  name                      = "accessPolicies/${var.access_policy}/servicePerimeters/${var.name}"
  title                     = var.name
  description               = "doctune's project and its data."
  perimeter_type            = "PERIMETER_TYPE_REGULAR"
  use_explicit_dry_run_spec = var.dry_run

  dynamic "status" {
    for_each = var.dry_run ? [] : [true]
    content {
      resources           = ["projects/${var.project_number}"]
      restricted_services = var.restricted_services
      access_levels       = var.access_levels

      vpc_accessible_services {
        enable_restriction = true
        allowed_services   = ["RESTRICTED-SERVICES"]
      }

      dynamic "ingress_policies" {
        for_each = length(var.identities) > 0 ? [true] : []
        content {
          ingress_from {
            identities = var.identities
            sources {
              access_level = "*"
            }
          }
          ingress_to {
            resources = ["*"]
            operations {
              service_name = "*"
            }
          }
        }
      }
    }
  }

  # A dry run logs what it would refuse, and refuses nothing.
  dynamic "spec" {
    for_each = var.dry_run ? [true] : []
    content {
      resources           = ["projects/${var.project_number}"]
      restricted_services = var.restricted_services
      access_levels       = var.access_levels

      vpc_accessible_services {
        enable_restriction = true
        allowed_services   = ["RESTRICTED-SERVICES"]
      }
    }
  }
}
