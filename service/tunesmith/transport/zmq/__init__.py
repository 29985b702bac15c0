"""The ZeroMQ sockets."""
