"""The database of the services: tables, migrations and connections."""
