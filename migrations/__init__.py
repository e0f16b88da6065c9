"""Steps from an empty database to today's schema, by Alembic."""
