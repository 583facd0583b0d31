output "key" {
  value       = google_kms_crypto_key.this.id
  description = "Resource name of the key, known once Google's service agents may use it."
  depends_on  = [google_kms_crypto_key_iam_member.agent]
}
