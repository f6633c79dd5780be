"""The tests of Fakturo. What is set here holds before anything of Fakturo is imported."""

import os

os.environ.pop("COLUMNS", None)
"""In xdist's workers readline sets it, to 80: what commands print would be folded there and nowhere else."""
