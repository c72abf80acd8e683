"""What can go wrong, in one line each."""


class Failed(Exception):
    """The command could not be carried out; the message says why, and what to do about it."""


class Unreachable(Failed):
    """There is no server, or it is starting or stopping: trying again may help."""
