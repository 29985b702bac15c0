"""Commands about the daemon: serve, doctor, settings, backups."""
