"""A broker as a store: the messages, the client and its transports."""
