"""What a team uses and may use: routes, schemas, service."""
