"""Sockets and HTTP: bytes come in, go through one router, and replies go out. Begin with `router`."""
