"""What people say of answers: collected, reviewed, analysed, and turned into better models."""
