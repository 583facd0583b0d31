"""Text metrics of answers against references: one `Sample` per metric, by the usual libraries.

Words are compared as in SQuAD (token F1, exact match), rouge_score (ROUGE) and sacrebleu (chrF,
BLEU with its 13a tokenizer and exponential smoothing). An empty answer scores 0. ROUGE's tokenizer
supports only a-z and 0-9: use chrF for other scripts.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from doctune.evaluation.samples import Floats, Sample, mean_sample

ROUGE_TYPES = {"rouge_1": "rouge1", "rouge_2": "rouge2", "rouge_l": "rougeL"}

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_CHRF_BETA = 2
_BLEU_ORDER = 4


def normalize_answer(text: str) -> str:
    """Returns text in lower case without punctuation, English articles and extra white space."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(prediction: str, reference: str) -> float:
    """Returns 1 if both are equal after normalization, else 0."""
    return float(normalize_answer(prediction) == normalize_answer(reference))


def token_f1(prediction: str, reference: str) -> float:
    """Returns the F1 of the words that both share, from 0 to 1."""
    said, wanted = normalize_answer(prediction).split(), normalize_answer(reference).split()
    if not said or not wanted:
        return float(said == wanted)
    shared = sum((Counter(said) & Counter(wanted)).values())
    return 2 * shared / (len(said) + len(wanted))


def exact_match_samples(predictions: Sequence[str], references: Sequence[str]) -> dict[str, Sample]:
    """Returns the share of exact matches."""
    return {"exact_match": mean_sample(_each(exact_match, predictions, references))}


def token_f1_samples(predictions: Sequence[str], references: Sequence[str]) -> dict[str, Sample]:
    """Returns the mean token F1."""
    return {"token_f1": mean_sample(_each(token_f1, predictions, references))}


def rouge_samples(predictions: Sequence[str], references: Sequence[str]) -> dict[str, Sample]:
    """Returns the mean F-measures of ROUGE-1, ROUGE-2 and ROUGE-L, without stemming."""
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(list(ROUGE_TYPES.values()), use_stemmer=False)
    scores = [
        scorer.score(target=reference, prediction=prediction)
        for prediction, reference in zip(predictions, references, strict=True)
    ]
    return {
        name: mean_sample([score[rouge].fmeasure for score in scores])
        for name, rouge in ROUGE_TYPES.items()
    }


def chrf_samples(predictions: Sequence[str], references: Sequence[str]) -> dict[str, Sample]:
    """Returns corpus chrF (character order 6, beta 2), 0 to 100."""
    from sacrebleu.metrics import CHRF

    counts = CHRF()._extract_corpus_statistics(list(predictions), [list(references)])
    return {"chrf": Sample(addends=np.asarray(counts, dtype=np.float64), score=chrf_score)}


def chrf_score(sums: Floats) -> Floats:
    """Returns chrF from summed (answer, reference, shared) counts of each n-gram order."""
    said, wanted, shared = (sums[..., column::3] for column in range(3))
    counted = (said > 0) & (wanted > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        orders = counted.sum(axis=-1)
        precision = np.where(counted, shared / said, 0.0).sum(axis=-1) / orders
        recall = np.where(counted, shared / wanted, 0.0).sum(axis=-1) / orders
        factor = _CHRF_BETA**2
        score = 100 * (1 + factor) * precision * recall / (factor * precision + recall)
    return np.nan_to_num(score, nan=0.0)


def bleu_samples(predictions: Sequence[str], references: Sequence[str]) -> dict[str, Sample]:
    """Returns corpus BLEU-4, 0 to 100."""
    from sacrebleu.metrics import BLEU

    counts = BLEU()._extract_corpus_statistics(list(predictions), [list(references)])
    return {"bleu": Sample(addends=np.asarray(counts, dtype=np.float64), score=bleu_score)}


def bleu_score(sums: Floats) -> Floats:
    """Returns BLEU from summed lengths (answer, reference), matches and totals of each order."""
    said, wanted = sums[..., 0], sums[..., 1]
    matches = sums[..., 2 : 2 + _BLEU_ORDER]
    totals = sums[..., 2 + _BLEU_ORDER :]
    # Exponential smoothing: an order without a match counts as 1/2 match, the next as 1/4, ...
    misses = np.cumsum((matches == 0) & (totals > 0), axis=-1)
    smoothed = np.where(matches == 0, 0.5**misses, matches)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.log(np.where(totals > 0, smoothed / totals, 0.0)).mean(axis=-1)
        brevity = np.where(said < wanted, np.exp(1 - wanted / said), 1.0)
        score = 100 * brevity * np.exp(precision)
    return np.where(matches.any(axis=-1), np.nan_to_num(score, nan=0.0), 0.0)


def _each(
    metric: Callable[[str, str], float], predictions: Sequence[str], references: Sequence[str]
) -> list[float]:
    return [metric(*pair) for pair in zip(predictions, references, strict=True)]
