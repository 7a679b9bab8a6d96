"""The answers: one function for each exercise, under the exercise's name.

Instructors only: a student's bundle and the sandbox that runs student code do not hold this folder.
"""

from .divergence import *  # noqa: F403
from .penalized_objective import *  # noqa: F403
from .penalty_gradients import *  # noqa: F403
from .policy_updates import *  # noqa: F403
from .stable_updates import *  # noqa: F403
from .start_here import *  # noqa: F403
