"""Print what pyproject.toml requires for one extra, so that an image layer holds dependencies and no source."""

import sys
import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
extra = sys.argv[1]
if extra not in project["optional-dependencies"]:
    sys.exit(f"there is no extra {extra}; choose one of {', '.join(project['optional-dependencies'])}")
print("\n".join([*project["dependencies"], *project["optional-dependencies"][extra]]))
