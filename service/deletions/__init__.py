"""Deletions: routes, schemas, service."""
