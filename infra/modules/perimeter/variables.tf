variable "access_policy" {
  type        = string
  description = "Number of the organisation's access policy."

  validation {
    condition     = can(regex("^[0-9]+$", var.access_policy))
    error_message = "An access policy's ID is a number."
  }
}

variable "project_number" {
  type        = string
  description = "Number of the project inside."
}

variable "name" {
  type        = string
  default     = "doctune"
  description = "Name of the perimeter."

  validation {
    condition     = can(regex("^[A-Za-z][A-Za-z0-9_]{0,49}$", var.name))
    error_message = "A perimeter's name has letters, digits and _, and begins with a letter."
  }
}

variable "dry_run" {
  type        = bool
  default     = true
  description = "Whether to log alone what would be refused."
}

variable "restricted_services" {
  type = set(string)
  default = [
    "aiplatform.googleapis.com",
    "artifactregistry.googleapis.com",
    "bigquery.googleapis.com",
    "cloudkms.googleapis.com",
    "logging.googleapis.com",
    "run.googleapis.com",
    "secretmanager.googleapis.com",
    "sqladmin.googleapis.com",
    "storage.googleapis.com",
  ]
  description = "APIs that the perimeter closes."
}

variable "access_levels" {
  type        = set(string)
  default     = []
  description = "Access levels that open it: accessPolicies/N/accessLevels/NAME."
}

variable "identities" {
  type        = set(string)
  default     = []
  description = "Members that may come in from anywhere, such as the build account; used once dry_run is false."
}
