"""What can go wrong around the embedded database, in words for the person at the terminal."""

from __future__ import annotations


class RuntimeFailure(Exception):
    """The embedded database cannot do what was asked.

    `code` is a stable word for programs, the message says what is wrong in one sentence, and `advice` says
    what to do about it.
    """

    def __init__(self, code: str, message: str, advice: str) -> None:
        super().__init__(message)
        self.code = code
        self.advice = advice

    def __str__(self) -> str:
        return f"{self.args[0]} {self.advice}"
