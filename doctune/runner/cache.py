"""kfp.local's cache of step outputs, with the digests of code and libraries in the key."""

from collections.abc import Mapping
from typing import Any

from kfp.local import cache as kfp_cache

from doctune.runner.dependency_digest import dependency_digest
from doctune.runner.source_digest import source_digest


class CodeAwareCache(kfp_cache.LocalCache):
    """A `LocalCache` whose entries are valid only for the code and libraries that made them."""

    def __init__(self, cache_root: str, image_ids: Mapping[str, str]) -> None:
        super().__init__(cache_root)
        self._image_ids = image_ids

    def compute_key(self, *args: Any, **kwargs: Any) -> str:
        """Returns the cache key of a task: kfp's own key and the digests of code and libraries."""
        command = kwargs["full_command"]
        variables = dict(kwargs.pop("env_vars", None) or {})
        image_id = self._image_ids.get(kwargs["image"])
        variables["DOCTUNE_CODE_DIGEST"] = image_id or source_digest(command)
        if not image_id:  # an image holds its libraries, too
            variables["DOCTUNE_DEPENDENCY_DIGEST"] = dependency_digest()
        return super().compute_key(*args, env_vars=variables, **kwargs)
