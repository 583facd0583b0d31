"""KFP's executor where no bucket is mounted under /gcs.

    python -m doctune.runner.mounted_executor STORAGE ...

STORAGE is the folder in which the storage emulator keeps a folder for each bucket: an artifact with
a gs:// URI has its path there. The other arguments are those of `kfp.dsl.executor_main`.
"""

import sys

EXECUTOR = "kfp.dsl.executor_main"


def main() -> None:
    """Runs the executor."""
    from kfp.dsl import executor_main
    from kfp.dsl.types import artifact_types

    artifact_types._GCS_LOCAL_MOUNT_PREFIX = f"{sys.argv.pop(1)}/"
    executor_main.executor_main()


if __name__ == "__main__":
    main()
