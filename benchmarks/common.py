"""What the scripts share: errors of one line, facts about the machine, figures as JSON."""

import json
import os
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent


def fail(message):
    sys.exit(f"{pathlib.Path(sys.argv[0]).name}: {message}")


def machine():
    """The processor as Linux names it, and the cores that this process may use."""
    name = "unknown"
    try:
        for line in pathlib.Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                name = line.partition(": ")[2]
                break
    except OSError:
        pass
    return {"processor": name, "cores": len(os.sched_getaffinity(0))}


def check_writable(path):
    """A file that cannot be written should be told before minutes of measuring, not after."""
    if path is not None and not pathlib.Path(path).absolute().parent.is_dir():
        fail(f"--json: found '{path}', expected a file in a folder that exists")


def write_figures(path, figures):
    """Writes the figures to a file, unless the path is None."""
    if path is not None:
        pathlib.Path(path).write_text(json.dumps(figures, indent=2) + "\n", "utf-8")
