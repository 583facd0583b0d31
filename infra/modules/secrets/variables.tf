variable "project_id" {
  type        = string
  description = "ID of the project."
}

variable "location" {
  type        = string
  description = "Region in which the values are kept."
}

variable "prefix" {
  type        = string
  default     = "doctune"
  description = "Begins the secrets' names."
}

variable "secrets" {
  type        = map(map(string))
  default     = {}
  description = "Secrets by the end of their names, each with its readers: any name -> member."

  validation {
    condition     = alltrue([for name in keys(var.secrets) : can(regex("^[A-Za-z0-9_-]{1,200}$", name))])
    error_message = "A secret's name has letters, digits, _ and -."
  }
}

variable "kms_key" {
  type        = string
  default     = null
  description = "Key of one's own that encrypts the values; null for Google's."
}

variable "deletion_protection" {
  type        = bool
  default     = true
  description = "Whether Terraform refuses to delete a secret."
}

variable "labels" {
  type        = map(string)
  default     = {}
  description = "Labels of the secrets."
}
