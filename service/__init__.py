"""The REST API: routes, schemas and decisions; never torch."""
