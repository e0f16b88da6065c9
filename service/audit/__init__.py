"""The audit log: who changed what. `service.auditing` writes it."""
