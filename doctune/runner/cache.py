"""kfp.local's cache of step outputs, with the digest of the step's code in the key."""

import threading
from collections.abc import Mapping
from typing import Any

from kfp.local import cache as kfp_cache

from doctune.runner.source_digest import source_digest


class CodeAwareCache(kfp_cache.LocalCache):
    """A `LocalCache` whose entries hold only while the code that made them is unchanged."""

    def __init__(self, cache_root: str, image_ids: Mapping[str, str]) -> None:
        super().__init__(cache_root)
        self._image_ids = image_ids
        self._latest = threading.local()

    @property
    def latest_was_hit(self) -> bool:
        """Whether this thread's latest look-up found an entry."""
        return getattr(self._latest, "hit", False)

    def get(self, key: str) -> dict[str, Any] | None:
        """Returns the outputs under a key, or None."""
        outputs = super().get(key)
        self._latest.hit = outputs is not None
        return outputs

    def forget_latest(self) -> None:
        """Starts afresh: a task that never looks has no hit."""
        self._latest.hit = False

    def compute_key(self, *args: Any, **kwargs: Any) -> str:
        """Returns the key of a task: kfp's own, with the digest of the code added to it."""
        command = kwargs["full_command"]
        variables = dict(kwargs.pop("env_vars", None) or {})
        image_id = self._image_ids.get(kwargs["image"])
        variables["DOCTUNE_CODE_DIGEST"] = image_id or source_digest(command)
        return super().compute_key(*args, env_vars=variables, **kwargs)


def install(cache_root: str, image_ids: Mapping[str, str]) -> CodeAwareCache:
    """Makes kfp.local use a `CodeAwareCache` for the session that `kfp.local.init` has begun.

    Args:
        image_ids: Image to its id, where steps run the code of images and not of this machine.
    """
    cache = CodeAwareCache(cache_root, image_ids)
    kfp_cache._cache_singleton = cache
    kfp_cache._cache_singleton_root = cache_root
    return cache
