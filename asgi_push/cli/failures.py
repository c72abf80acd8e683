"""What can go wrong: errors whose message is one line for the user."""


class Failed(Exception):
    """A command failed; the message says why, and what to do about it."""


class Unreachable(Failed):
    """There is no server, or it is starting or stopping. Trying again may help."""
