"""Saved views of pages: routes, schemas, service."""
