"""What a person asked for and cannot have."""


class Declined(Exception):
    """An act that cannot be done; ``code`` is machine-readable, the message is for a person. Nothing was written."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
