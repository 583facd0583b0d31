"""Corrects always-valid p-values for several metrics, arms and slices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats


def holm(p_values: Sequence[float]) -> list[float]:
    """Returns p-values that control the family-wise error rate (Holm's step-down)."""
    known = _known(p_values)
    order = np.argsort(known)
    factors = np.arange(len(known), 0, -1)
    adjusted = np.empty_like(known)
    adjusted[order] = np.minimum(np.maximum.accumulate(known[order] * factors), 1.0)
    return adjusted.tolist()


def benjamini_yekutieli(p_values: Sequence[float]) -> list[float]:
    """Returns p-values that control the false discovery rate under any dependence."""
    if not p_values:
        return []
    return stats.false_discovery_control(_known(p_values), method="by").tolist()


def _known(p_values: Sequence[float]) -> np.ndarray:
    return np.nan_to_num(np.asarray(p_values, dtype=np.float64), nan=1.0)
