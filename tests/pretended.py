"""In place of `runs.execution.execute`, for workers, which import this module and not
TensorFlow."""

import os
import pathlib
import time


def execute(folder, arguments, permit):
    """As `execution.execute`: run 3 waits for the file `go`; each run notes its process."""
    path = pathlib.Path(folder)
    if not pathlib.Path(permit).exists():
        return None
    path.mkdir(parents=True, exist_ok=True)
    with (path / "processes").open("a") as file:
        file.write(f"{os.getpid()}\n")
    while path.name == "seed-3" and not (path.parents[1] / "go").exists():
        time.sleep(0.1)
    (path / "failure.json").write_text('{"reason": "pretended", "step": 0}')
    return 0
