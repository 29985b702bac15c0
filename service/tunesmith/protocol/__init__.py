"""The wire contract: messages, envelope, codec, topics, signatures, schemas. All that a bot needs besides `errors`.

Begin with `catalog`, the table of message types."""
