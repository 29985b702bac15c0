"""The database: connections, one writer with group commit, schema, backups and restoring. Begin with `database`."""
