"""The answers: one function for each exercise, under the exercise's name.

Instructors only: a student's bundle and the sandbox that runs student code do not hold this folder.
"""

from .case_study import *  # noqa: F403
from .chunked import *  # noqa: F403
from .divergence import *  # noqa: F403
from .language_model import *  # noqa: F403
from .penalized_objective import *  # noqa: F403
from .penalty_gradients import *  # noqa: F403
from .policy_updates import *  # noqa: F403
from .stable_updates import *  # noqa: F403
from .start_here import *  # noqa: F403
