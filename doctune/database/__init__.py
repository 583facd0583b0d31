"""What the services keep: tables, their one history of migrations, and how they are reached."""
