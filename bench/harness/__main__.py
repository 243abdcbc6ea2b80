"""What `python3 bench/harness` runs."""
import os
import sys

if sys.version_info < (3, 9):
    sys.exit(f"bench/run: needs python 3.9 or newer; this is {sys.version.split()[0]}")

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import command  # noqa: E402

sys.exit(command.main())
