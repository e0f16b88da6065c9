"""Aliases: routes, schemas, service."""
