variable "project_id" {
  type        = string
  description = "ID of the project."
}

variable "project_number" {
  type        = string
  description = "Number of the project."
}

variable "name" {
  type        = string
  default     = "doctune"
  description = "Name of the key ring and of the key."
}

variable "location" {
  type        = string
  description = "Region of the key: that of what it encrypts."
}

variable "labels" {
  type        = map(string)
  default     = {}
  description = "Labels of the key."
}
