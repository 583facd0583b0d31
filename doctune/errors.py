"""The errors that users see: one plain line that says what is wrong and how to fix it.

The command line prints the message and exits with `exit_code`; a stack trace is shown only with
`--debug`. Anything that is not a `DoctuneError` is a bug in doctune.
"""


class DoctuneError(Exception):
    """Something failed that the user can act on. Exit code 1."""

    exit_code = 1


class UsageError(DoctuneError):
    """The arguments are invalid or contradict each other. Exit code 2."""

    exit_code = 2


class TimeLimitError(DoctuneError):
    """What was waited for did not come within its limit (doctune/limits.py)."""


class ConfigurationError(UsageError):
    """A configuration file, environment variable or flag is wrong."""


class CorpusError(DoctuneError):
    """The folder of PDFs cannot be read, or too much of it cannot."""


class DatasetError(DoctuneError):
    """No usable training examples could be made, or a data set file is wrong."""


class ModelError(DoctuneError):
    """A model folder or model name is wrong or incomplete."""


class TrainingError(DoctuneError):
    """Training could not start or had to stop."""


class EvaluationError(DoctuneError):
    """A model could not be scored."""


class StorageError(DoctuneError):
    """A file or object could not be read or written."""


class RegistryError(DoctuneError):
    """The Model Registry refused, or does not hold what was asked for."""


class DeploymentError(DoctuneError):
    """A model could not be deployed, or an endpoint does not answer as it should."""


class LocalVertexError(DoctuneError):
    """The local Vertex AI could not start or does not answer."""


class PipelineError(DoctuneError):
    """A step of a pipeline failed."""


class ProgramError(DoctuneError):
    """A container image is not mapped to a local program."""
