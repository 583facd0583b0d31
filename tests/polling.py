"""How often Google's SDK asks whether something is over: on this machine it soon is."""

import pytest

_JOB_SECONDS = 0.5
_OPERATION_SECONDS = (0.1, 0.5)  # the first pause and the longest


def poll_quickly(patch: pytest.MonkeyPatch) -> None:
    """Shortens the SDK's pauses, of 5 s for a job and up to 20 s for an operation."""
    from google.api_core.future.polling import DEFAULT_POLLING
    from google.cloud.aiplatform import jobs, pipeline_jobs, training_jobs

    for module in (jobs, pipeline_jobs, training_jobs):
        patch.setattr(module, "_JOB_WAIT_TIME", _JOB_SECONDS)
    first, longest = _OPERATION_SECONDS
    patch.setattr(DEFAULT_POLLING, "_initial", first)
    patch.setattr(DEFAULT_POLLING, "_maximum", longest)
