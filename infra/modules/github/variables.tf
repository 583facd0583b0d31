variable "project_id" {
  type        = string
  description = "ID of the project."
}

variable "prefix" {
  type        = string
  default     = "doctune"
  description = "Begins the pool's name. After a delete it is not free for 30 days."
}

variable "repository" {
  type        = string
  default     = null
  description = "Repository whose workflows may act: OWNER/NAME; null for none."

  validation {
    condition     = var.repository == null || can(regex("^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$", var.repository))
    error_message = "A repository is written OWNER/NAME."
  }
}

variable "repository_id" {
  type        = string
  default     = null
  description = "Number of the repository, which outlives its name: gh api repos/OWNER/NAME --jq .id."

  validation {
    condition     = var.repository_id == null || can(regex("^[0-9]+$", var.repository_id))
    error_message = "A repository's ID is a number."
  }
}

variable "trusted_refs" {
  type        = string
  default     = "^refs/tags/v[0-9]+[.][0-9]+[.][0-9]+$"
  description = "Refs whose workflows may act as the account, as a regular expression."

  validation {
    condition     = startswith(var.trusted_refs, "^refs/") && endswith(var.trusted_refs, "$") && !strcontains(var.trusted_refs, "'")
    error_message = "trusted_refs begins with ^refs/, ends in $ and holds no quotation mark, or more would match than is meant."
  }
}

variable "service_account" {
  type        = string
  description = "Account that the workflows act as: projects/P/serviceAccounts/E-MAIL."
}
