"""Webhooks: routes, schemas, service. Workers send the deliveries."""
