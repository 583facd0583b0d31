variable "project_id" {
  type        = string
  description = "ID of the project."
}

variable "prefix" {
  type        = string
  default     = "doctune"
  description = "Begins the accounts' names."

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,18}[a-z0-9]$", var.prefix))
    error_message = "A prefix has 3 to 20 lower-case letters, digits and hyphens, and begins with a letter: an account's name has 30 at most."
  }
}

variable "builders" {
  type        = map(string)
  default     = {}
  description = "Accounts of another project that start and deploy here: any name -> member."
}
