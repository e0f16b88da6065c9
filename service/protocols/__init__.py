"""Protocols: routes, schemas, decisions."""
