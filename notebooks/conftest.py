"""Under pytest the notebooks draw into a folder that is thrown away, not into figures/."""

import os
import tempfile

os.environ.setdefault("CAMUTILS_FIGURES", tempfile.mkdtemp(prefix="camutils-figures-"))
