variable "project_id" {
  type        = string
  description = "ID of the project."
}

variable "location" {
  type        = string
  description = "Region of the instance."
}

variable "name" {
  type        = string
  default     = "doctune"
  description = "Name of the instance. After a delete it is not free for a week."
}

variable "database" {
  type        = string
  default     = "doctune"
  description = "Name of the database in it."
}

variable "database_version" {
  type        = string
  default     = "POSTGRES_18"
  description = "Version of Postgres."

  validation {
    condition     = can(regex("^POSTGRES_[0-9]+$", var.database_version))
    error_message = "database_version is written POSTGRES_18."
  }
}

variable "tier" {
  type        = string
  default     = "db-f1-micro"
  description = "Size of the machine, such as db-f1-micro or db-custom-2-7680."

  validation {
    condition     = startswith(var.tier, "db-")
    error_message = "A tier begins with db-."
  }
}

variable "edition" {
  type        = string
  default     = "ENTERPRISE"
  description = "ENTERPRISE or ENTERPRISE_PLUS."

  validation {
    condition     = contains(["ENTERPRISE", "ENTERPRISE_PLUS"], var.edition)
    error_message = "edition is ENTERPRISE or ENTERPRISE_PLUS."
  }
}

variable "high_availability" {
  type        = bool
  default     = false
  description = "Whether a second machine stands by in another zone: twice the price."
}

variable "disk_gb" {
  type        = number
  default     = 10
  description = "Size of the disk in GB; it grows by itself."

  validation {
    condition     = var.disk_gb >= 10
    error_message = "A disk has 10 GB or more."
  }
}

variable "backups" {
  type        = number
  default     = 14
  description = "Daily backups that are kept."

  validation {
    condition     = var.backups >= 1 && var.backups <= 365
    error_message = "backups is 1 to 365."
  }
}

variable "network" {
  type        = string
  description = "Network that reaches the instance."
}

variable "accounts" {
  type        = map(string)
  description = "Service accounts that may log in: any name -> e-mail."
}

variable "kms_key" {
  type        = string
  default     = null
  description = "Key of one's own that encrypts the instance; null for Google's."
}

variable "deletion_protection" {
  type        = bool
  default     = true
  description = "Whether the instance cannot be deleted, by Terraform or in the console."
}

variable "labels" {
  type        = map(string)
  default     = {}
  description = "Labels of the instance."
}
