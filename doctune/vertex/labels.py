"""Labels within Vertex AI's rules: lower case letters, digits, `_` and `-`, 63 characters."""

import re
from collections.abc import Mapping

# Marks the resources that doctune created.
MANAGED_BY = {"managed-by": "doctune"}
# Marks the endpoints whose models are reached by their own routes, instead of by Predict.
INVOKED = {"routes": "invoke"}

_LONGEST = 63


def is_invoked(labels: Mapping[str, str]) -> bool:
    """Returns whether the models of an endpoint with these labels are reached by invoke routes."""
    return dict(labels).items() >= INVOKED.items()


def clean_labels(labels: Mapping[str, object]) -> dict[str, str]:
    """Returns labels that Vertex AI accepts; empty ones are left out.

    Other characters become `-`, and what is too long is cut: a SHA-256 in hex loses its last digit.
    """
    cleaned = {_clean(key).lstrip("-_0123456789"): label_value(labels[key]) for key in labels}
    return {key: value for key, value in cleaned.items() if key and value}


def label_value(value: object) -> str:
    """Returns a value as a valid label value."""
    return _clean(str(value))


def filter_by_name(display_name: str) -> str:
    """Returns the list filter for a display name, whatever characters it has."""
    escaped = display_name.replace("\\", "\\\\").replace('"', '\\"')
    return f'display_name="{escaped}"'


def _clean(text: str) -> str:
    return re.sub(r"[^a-z0-9_-]", "-", text.lower())[:_LONGEST]
