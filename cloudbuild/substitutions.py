"""Cloud Build's substitutions: `$NAME` and `${NAME}` in a build's fields, `$$` for a dollar.

The rules are those of "Substitute variable values" in Cloud Build's documentation, as for a build
with `dynamicSubstitutions`, which every triggered build is: a value may name other substitutions.
What bash does inside braces (`${NAME:0:7}`) is refused: no build here uses it.
"""

import re
from collections.abc import Mapping

from doctune.errors import UsageError

# What Cloud Build itself fills in; see also `PULL_REQUEST`.
BUILT_IN = (
    "PROJECT_ID",
    "PROJECT_NUMBER",
    "BUILD_ID",
    "LOCATION",
    "TRIGGER_NAME",
    "COMMIT_SHA",
    "REVISION_ID",
    "SHORT_SHA",
    "REPO_NAME",
    "REPO_FULL_NAME",
    "BRANCH_NAME",
    "TAG_NAME",
    "REF_NAME",
    "TRIGGER_BUILD_CONFIG_PATH",
    "SERVICE_ACCOUNT_EMAIL",
    "SERVICE_ACCOUNT",
)
PULL_REQUEST = ("_HEAD_BRANCH", "_BASE_BRANCH", "_HEAD_REPO_URL", "_PR_NUMBER")

_OWN = re.compile(r"_[A-Z0-9_]+")
_REFERENCE = re.compile(r"\$(?:(\$)|([A-Za-z_]\w*)|\{([^}]*)\})")


class Substitutions:
    """Values by name, each with the others filled in."""

    def __init__(self, declared: Mapping[str, str], given: Mapping[str, str]) -> None:
        """Takes what the file declares, and what the trigger or the command line gives.

        Raises:
            UsageError: A name is none that Cloud Build takes, a value names one that is not there,
                or values name each other in a circle.
        """
        for name in {**declared, **given}:
            if not (name in BUILT_IN or _OWN.fullmatch(name)):
                raise UsageError(
                    f"{name} is no substitution: yours begin with an underscore and hold capitals, "
                    "digits and underscores, such as _REGION."
                )
        self.used: set[str] = set()
        empty = dict.fromkeys((*BUILT_IN, *PULL_REQUEST), "")
        self._raw = {**empty, **{k: str(v) for k, v in declared.items()}, **given}
        self.values = {name: self._resolve(name, ()) for name in self._raw}
        self.used.clear()

    def fill(self, text: str) -> str:
        """Returns a field's text with every reference replaced.

        Raises:
            UsageError: It names a substitution that is not there.
        """
        return _REFERENCE.sub(lambda match: self._replacement(match, self.values), text)

    def _resolve(self, name: str, above: tuple[str, ...]) -> str:
        if name in above:
            raise UsageError(f"substitutions name each other: {' -> '.join((*above, name))}.")

        def replace(match: re.Match[str]) -> str:
            return self._replacement(match, self._raw, (*above, name))

        return _REFERENCE.sub(replace, self._raw[name])

    def _replacement(
        self, match: re.Match[str], values: Mapping[str, str], above: tuple[str, ...] = ()
    ) -> str:
        dollar, bare, braced = match.groups()
        if dollar:
            return "$"
        name = bare or braced
        if not re.fullmatch(r"\w+", name):
            raise UsageError(f"{match[0]} is more than a name: this runner fills in names only.")
        if name not in values:
            raise UsageError(
                f"{match[0]} is no substitution that the build declares: write $${match[0][1:]} "
                "for a variable of the shell."
            )
        self.used.add(name)
        return self._resolve(name, above) if above else values[name]
