"""Numbered changes of the database's schema: `<number>_<what>.sql`, applied in order, each in one transaction."""
