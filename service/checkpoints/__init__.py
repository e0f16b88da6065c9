"""Uploads: routes, schemas, decisions."""
