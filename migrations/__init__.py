"""Alembic's migrations: the steps from an empty database to today's schema."""
