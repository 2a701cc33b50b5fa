"""Run the example of the README and compare what it prints with what the README says."""

import re
import subprocess
import sys
from pathlib import Path

readme = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
code = re.search(r"^```python\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
said = re.search(r"^```text\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
if code is None or said is None:
    sys.exit("README.md lacks its example or what it prints")
printed = subprocess.run(  # noqa: S603  # our own example
    [sys.executable, "-c", code[1]], check=True, stdout=subprocess.PIPE, text=True, timeout=60
).stdout
if printed != said[1]:
    sys.exit(f"README.md says\n{said[1]}\nbut its example prints\n{printed}")
