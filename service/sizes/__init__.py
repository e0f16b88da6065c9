"""Sizes of what is in the store: routes, schemas, service."""
