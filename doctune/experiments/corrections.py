"""Correction for several metrics, arms and slices, of always-valid p-values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def holm(p_values: Sequence[float]) -> list[float]:
    """Returns p-values that keep the chance of any false claim (Holm's step-down)."""
    return _corrected(p_values, "holm")


def benjamini_yekutieli(p_values: Sequence[float]) -> list[float]:
    """Returns p-values that keep the share of false claims, whatever depends on what."""
    return _corrected(p_values, "fdr_by")


def _corrected(p_values: Sequence[float], method: str) -> list[float]:
    from statsmodels.stats.multitest import multipletests

    if not p_values:
        return []
    known = np.nan_to_num(np.asarray(p_values, dtype=np.float64), nan=1.0)
    return [float(p) for p in multipletests(known, method=method)[1]]
