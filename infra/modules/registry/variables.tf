variable "project_id" {
  type        = string
  description = "ID of the project."
}

variable "location" {
  type        = string
  description = "Region of the repositories."
}

variable "images_repository" {
  type        = string
  default     = "doctune"
  description = "Name of the repository of images."
}

variable "pipelines_repository" {
  type        = string
  default     = "doctune-pipelines"
  description = "Name of the repository of compiled pipelines."
}

variable "readers" {
  type        = map(string)
  default     = {}
  description = "Who may pull: any name -> member."
}

variable "writers" {
  type        = map(string)
  default     = {}
  description = "Who may push: any name -> member."
}

variable "kept_tag_prefixes" {
  type        = list(string)
  default     = ["v", "staging", "prod", "cache"]
  description = "Versions with a tag that begins so are never cleaned up: what is released or in use."

  validation {
    condition     = length(var.kept_tag_prefixes) > 0
    error_message = "Without a prefix every tagged version would be kept for ever; give one."
  }
}

variable "kept_versions" {
  type        = number
  default     = 20
  description = "Newest versions of each image or pipeline that are never cleaned up."

  validation {
    condition     = var.kept_versions >= 1
    error_message = "kept_versions must be 1 or more, or a quiet repository would be emptied."
  }
}

variable "immutable_tags" {
  type        = bool
  default     = false
  description = "Whether an image's tag can never move; the builds here move staging, prod and cache."
}

variable "untagged_days" {
  type        = number
  default     = 7
  description = "Days after which versions without a tag are deleted."

  validation {
    condition     = var.untagged_days >= 1
    error_message = "untagged_days must be 1 or more."
  }
}

variable "old_days" {
  type        = number
  default     = 90
  description = "Days after which versions that no rule keeps are deleted."

  validation {
    condition     = var.old_days >= 1
    error_message = "old_days must be 1 or more."
  }
}

variable "cleanup_dry_run" {
  type        = bool
  default     = false
  description = "Whether the clean-up only logs what it would delete."
}

variable "kms_key" {
  type        = string
  default     = null
  description = "Key of one's own that encrypts the repositories; null for Google's."
}

variable "labels" {
  type        = map(string)
  default     = {}
  description = "Labels of the repositories."
}
