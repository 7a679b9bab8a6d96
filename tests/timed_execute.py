"""nbgrader's Execute with a clock: what it takes to run one notebook, kernel start included."""

import os
import time

from nbgrader.preprocessors import Execute


class TimedExecute(Execute):
    """Appends its seconds to the file that SECONDS_FILE names."""

    def preprocess(self, nb, resources, km=None):
        started = time.perf_counter()
        try:
            return super().preprocess(nb, resources, km)
        finally:
            with open(os.environ["SECONDS_FILE"], "a", encoding="utf-8") as file:
                file.write(f"{time.perf_counter() - started}\n")
