"""Migrations, one file for each step. docs/operating.md says how to add one."""
