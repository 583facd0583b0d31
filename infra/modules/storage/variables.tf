variable "project_id" {
  type        = string
  description = "ID of the project."
}

variable "prefix" {
  type        = string
  description = "Begins the buckets' names, which are unique in the whole world: take the project's ID."

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{2,40}$", var.prefix))
    error_message = "A prefix has 3 to 41 lower-case letters, digits and hyphens."
  }
}

variable "location" {
  type        = string
  description = "Region of the buckets: that of the jobs which read them."
}

variable "buckets" {
  type = map(object({
    retention_days      = optional(number, 0)
    old_version_days    = optional(number, 30)
    nearline_after_days = optional(number, 0)
    delete_after_days   = optional(number, 0)
    delete_prefixes     = optional(list(string), [])
    members             = optional(map(map(string)), {})
  }))
  description = "Buckets by the end of their names. Days of 0 switch a rule off. delete_prefixes limits delete_after_days to these beginnings of names. members is role -> any name -> member."

  validation {
    condition = alltrue([
      for bucket in var.buckets :
      bucket.delete_after_days == 0 || bucket.delete_after_days >= bucket.retention_days
    ])
    error_message = "A bucket cannot delete objects before its retention ends: delete_after_days must be 0, or retention_days or more."
  }

  validation {
    condition     = alltrue([for bucket in var.buckets : bucket.old_version_days >= 1])
    error_message = "old_version_days must be 1 or more."
  }
}

variable "access_log_days" {
  type        = number
  default     = 90
  description = "Days for which access logs are kept."

  validation {
    condition     = var.access_log_days >= 1
    error_message = "access_log_days must be 1 or more."
  }
}

variable "kms_key" {
  type        = string
  default     = null
  description = "Key of one's own that encrypts the buckets; null for Google's."
}

variable "force_destroy" {
  type        = bool
  default     = false
  description = "Whether `terraform destroy` may delete buckets that hold objects."
}

variable "labels" {
  type        = map(string)
  default     = {}
  description = "Labels of the buckets."
}
