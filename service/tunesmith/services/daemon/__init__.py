"""The daemon itself: health, housekeeping, backups, clock."""
