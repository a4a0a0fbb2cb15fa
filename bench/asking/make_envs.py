"""A virtual environment for each generator that bench_asking.py compares vitkit with.

    python bench/asking/make_envs.py FOLDER

What is there already is left as it is. None of them brings torch.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

PACKAGES = {
    "curator": ["bespokelabs-curator==0.1.31"],
    "distilabel": ["distilabel[openai]==1.5.3", "requests"],  # imports requests, does not ask for it
    "data-designer": [f"data-designer{part}==0.9.7" for part in ("", "-config", "-engine")],
}
# Asks for a newer one than registries that lag behind have; any will do.
ANY_VERSION = {"data-designer": ["certifi"]}

# Run in the environment: what the packages named ask for, without themselves.
_REQUIREMENTS = """
import importlib.metadata, re, sys
names = sys.argv[1:]
for line in {line for name in names for line in importlib.metadata.requires(name) or ()}:
    if "extra ==" not in line and re.match(r"[\\w.-]+", line)[0] not in names:
        print(line)
"""


def make(name: str, folder: Path) -> Path:
    """Its Python."""
    python = folder / name / "bin" / "python"
    done = folder / name / "done"
    if done.exists():
        return python
    venv.create(folder / name, with_pip=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    packages = PACKAGES[name]
    if loose := ANY_VERSION.get(name):
        subprocess.run([*install, "--no-deps", *packages, *loose], check=True)
        names = [package.partition("==")[0] for package in packages]
        listed = subprocess.run(
            [python, "-c", _REQUIREMENTS, *names, *loose], check=True, capture_output=True, text=True
        )
        subprocess.run([*install, *listed.stdout.splitlines()], check=True)
    else:
        subprocess.run([*install, *packages], check=True)
    done.touch()
    return python


def main() -> None:
    folder = Path(sys.argv[1]).resolve()
    for name in PACKAGES:
        print(make(name, folder), flush=True)


if __name__ == "__main__":
    main()
