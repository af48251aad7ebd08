"""The served world: actors, how they move, what a tick does. Knows nothing of sockets, and of the wire only the layout of a state."""
