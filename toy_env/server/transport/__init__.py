"""Bytes in and out: one thread, one loop over all sockets, two protocols. Knows nothing of worlds."""
