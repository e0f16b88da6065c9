"""API tokens of a team: routes, schemas, service."""
