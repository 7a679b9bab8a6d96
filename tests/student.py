"""Install a student bundle as its README says, and run its lessons untouched: `make test-student`.

It needs Python alone, and neither this course's grading nor pytest: so it runs on Windows too.
"""

import os
import subprocess
import sys
from pathlib import Path


def run(*command: str | Path, folder: Path) -> None:
    print("$", *command, flush=True)
    subprocess.run([str(word) for word in command], check=True, cwd=folder)


def main(bundle: Path) -> None:
    run(sys.executable, "-m", "venv", ".venv", folder=bundle)
    python = bundle / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    pip = (python, "-m", "pip", "install", "--quiet")
    run(*pip, "--upgrade", "pip", folder=bundle)
    run(*pip, "-c", "requirements.lock", ".[lab]", folder=bundle)
    for notebook in sorted(bundle.glob("notebooks/*/*.ipynb")):
        done = ("--to", "notebook", "--execute", "--stdout", notebook)
        command = [str(word) for word in (python, "-m", "nbconvert", *done)]
        told = subprocess.run(command, check=True, cwd=notebook.parent, stdout=subprocess.PIPE)
        assert b"This cell waits for" in told.stdout, f"{notebook}: says not what it waits for"
        print(notebook.stem, "runs", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
