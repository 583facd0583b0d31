output "emails" {
  value       = { for name, account in google_service_account.this : name => account.email }
  description = "E-mail of each account: pipeline, training, serving, gateway, build, release, scheduler, trigger."
}

output "members" {
  value       = { for name, account in google_service_account.this : name => account.member }
  description = "Each account as a member of an IAM policy: serviceAccount:E-MAIL."
}

output "names" {
  value       = { for name, account in google_service_account.this : name => account.name }
  description = "Full resource name of each account: projects/P/serviceAccounts/E-MAIL."
}
