"""Build the site, and say where it lies."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from docsite.build import build

parser = argparse.ArgumentParser(prog="python -m docsite", description=__doc__)
parser.add_argument("--out", type=Path, default=Path("build/site"), help="Folder of the finished pages.")
out = parser.parse_args().out.resolve()
build(out)
sys.stdout.write(f"{out / 'index.html'}: {sum(1 for _ in out.rglob('*.html'))} pages\n")
