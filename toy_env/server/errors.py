"""What goes wrong between a client and the server. None of it stops the server."""


class Refused(Exception):
    """The request is understood and cannot be done; the client raises the sentence as a RuntimeError."""


class Malformed(Exception):
    """A value that is not what the layout says; the client gets an error that names the function."""
