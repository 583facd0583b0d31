variable "project_id" {
  type        = string
  description = "ID of the project."

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "A project ID has 6 to 30 lower-case letters, digits and hyphens, and begins with a letter."
  }
}

variable "create" {
  type        = bool
  default     = false
  description = "Whether to make the project; else it must be there."
}

variable "billing_account" {
  type        = string
  default     = null
  description = "Billing account of a project that is made, such as 012345-567890-ABCDEF."

  validation {
    condition     = var.billing_account == null || can(regex("^[0-9A-F]{6}-[0-9A-F]{6}-[0-9A-F]{6}$", var.billing_account))
    error_message = "A billing account is written 012345-567890-ABCDEF."
  }
}

variable "org_id" {
  type        = string
  default     = null
  description = "Organisation of a project that is made."

  validation {
    condition     = var.org_id == null || can(regex("^[0-9]+$", var.org_id))
    error_message = "An organisation's ID is a number."
  }
}

variable "folder_id" {
  type        = string
  default     = null
  description = "Folder of a project that is made; wins over org_id."

  validation {
    condition     = var.folder_id == null || can(regex("^(folders/)?[0-9]+$", var.folder_id))
    error_message = "A folder's ID is a number, with or without folders/ before it."
  }
}

variable "labels" {
  type        = map(string)
  default     = {}
  description = "Labels of the project."
}

variable "apis" {
  type        = set(string)
  description = "APIs to enable, such as aiplatform.googleapis.com."

  validation {
    condition     = alltrue([for api in var.apis : endswith(api, ".googleapis.com")])
    error_message = "An API's name ends in .googleapis.com."
  }
}

variable "audited_apis" {
  type        = set(string)
  default     = []
  description = "APIs whose reads and writes of data are logged. Logs of much used APIs cost."
}
