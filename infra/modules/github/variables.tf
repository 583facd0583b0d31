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

variable "refs" {
  type        = set(string)
  default     = ["ref:refs/heads/main", "environment:production"]
  description = "Ends of the token's subject that may act: ref:refs/heads/BRANCH, ref:refs/tags/TAG or environment:NAME."

  validation {
    condition     = alltrue([for ref in var.refs : can(regex("^(ref:refs/(heads|tags)/|environment:).+$", ref))])
    error_message = "A ref is written ref:refs/heads/BRANCH, ref:refs/tags/TAG or environment:NAME; pull_request is not for this."
  }
}

variable "service_account" {
  type        = string
  description = "Account that the workflows act as: projects/P/serviceAccounts/E-MAIL."
}
