"""What an evaluation would take: routes, schemas, decisions."""
