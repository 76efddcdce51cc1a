"""What matching refuses, in words a user can act on.

MatchingError
├── InputError     the file, a column or the mapping cannot be used
├── TrainingError  the data cannot carry a model; the message says why and what to do
└── ModelError     a saved model cannot be used here
"""


class MatchingError(Exception):
    """Base of all expected failures; the message is a sentence for the user and holds no personal data."""


class InputError(MatchingError):
    """The input (file, column, mapping, labels) cannot be used."""


class TrainingError(MatchingError):
    """No trustworthy model can be trained from this data."""


class ModelError(MatchingError):
    """A saved model is missing, damaged, or of another version."""
