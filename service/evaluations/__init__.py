"""Evaluations: routes, schemas, decisions."""
