variable "project_id" {
  type        = string
  description = "ID of the project."
}

variable "location" {
  type        = string
  description = "Region of the subnet."
}

variable "name" {
  type        = string
  default     = "doctune"
  description = "Name of the network and of its subnet."

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,15}$", var.name))
    error_message = "A name has 2 to 16 lower-case letters, digits and hyphens, and begins with a letter."
  }
}

variable "subnet_range" {
  type        = string
  default     = "10.10.0.0/24"
  description = "Addresses of the subnet."

  validation {
    condition     = can(cidrhost(var.subnet_range, 1))
    error_message = "subnet_range is written as 10.10.0.0/24."
  }
}

variable "services_prefix_length" {
  type        = number
  default     = 20
  description = "Size of the range that Google's services take: /20 is 4,096 addresses."

  validation {
    condition     = var.services_prefix_length >= 16 && var.services_prefix_length <= 24
    error_message = "services_prefix_length is 16 to 24."
  }
}

variable "private_google_apis" {
  type        = bool
  default     = false
  description = "Whether Google's APIs are reached at a private address alone."
}

variable "apis_address" {
  type        = string
  default     = "10.255.255.254"
  description = "Private address of Google's APIs; outside subnet_range."

  validation {
    condition     = can(cidrhost("${var.apis_address}/32", 0))
    error_message = "apis_address is an IPv4 address."
  }
}

variable "apis_bundle" {
  type        = string
  default     = "all-apis"
  description = "all-apis, or vpc-sc inside a service perimeter."

  validation {
    condition     = contains(["all-apis", "vpc-sc"], var.apis_bundle)
    error_message = "apis_bundle is all-apis or vpc-sc."
  }
}
