"""The SMTP client: sessions, and reading and masking replies."""
