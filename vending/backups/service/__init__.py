"""Use cases: custodians, making and verifying backups, restoring, naming what is lost."""
