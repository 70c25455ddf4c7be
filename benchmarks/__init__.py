"""How fast Seawall is, beside plain numpy: `python -m benchmarks`."""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy is imported: CPU time is what is compared
