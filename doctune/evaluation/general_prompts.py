"""General prompts that measure catastrophic forgetting. Fixed, since changes alter the scores."""

import json
from functools import lru_cache
from importlib.resources import files

from doctune.digests import digest_value
from doctune.evaluation.test_set import Example


@lru_cache(maxsize=1)
def general_examples() -> tuple[Example, ...]:
    """Returns the prompts with reference answers."""
    rows = json.loads((files("doctune.evaluation") / "general_prompts.json").read_text("utf-8"))
    return tuple(
        Example(
            index=index,
            prompt=({"role": "user", "content": row["prompt"]},),
            reference=row["answer"],
            kind=row["kind"],
            passage="",
            source={},
        )
        for index, row in enumerate(rows)
    )


def general_digest() -> str:
    """Returns the digest of the prompts."""
    return digest_value([[*example.prompt, example.reference] for example in general_examples()])
