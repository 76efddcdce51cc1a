"""What columns are called, as the matching library knows it."""

from matching.fields import NAMES, words

__all__ = ["NAMES", "words"]
