"""Whose data it is and where it lives: models, migrations, roles, row-level security, tenant-bound transactions."""
