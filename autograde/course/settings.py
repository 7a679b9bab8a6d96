"""nbgrader's settings for this course, for the build and for a term folder alike."""

import os
import sys
import warnings
from pathlib import Path

from traitlets.config import Config

COURSE = "stable-policy-updates"


def configure(config: Config, root: str | Path) -> Config:
    """Set up nbgrader for the course folder `root`.

    nbgrader's own commands and formgrader then grade as `autograde grade` does: student code runs
    in a sandbox, and its answers are judged outside.
    """
    root = Path(root).resolve()
    find_alembic()
    # nbgrader makes its rows in an order that SQLAlchemy remarks on, at every submission.
    warnings.filterwarnings("ignore", message="Object of type <Submitted")
    config.CourseDirectory.root = str(root)
    config.CourseDirectory.course_id = COURSE
    # Whatever else lies in a source folder would be copied into the release, answers included.
    config.CourseDirectory.ignore = [
        ".ipynb_checkpoints", "*.pyc", "__pycache__", ".pytest_cache", "*.py", "*.safetensors",
    ]  # fmt: skip
    config.GenerateAssignment.preprocessors = _generate()
    config.Autograde.sanitize_preprocessors = [
        # It shows outputs that an essay's rubric asks about.
        "autograde.grading.preprocessors.Rebuild",
        "nbgrader.preprocessors.ClearOutput",
        "nbgrader.preprocessors.CheckCellMetadata",
    ]
    config.Autograde.autograde_preprocessors = [
        "autograde.grading.preprocessors.Replay",
        "nbgrader.preprocessors.SaveAutoGrades",
        "nbgrader.preprocessors.AssignLatePenalties",
        "nbgrader.preprocessors.CheckCellMetadata",
    ]
    config.GenerateFeedback.exporter_class = "autograde.returning.feedback_page.FeedbackPage"
    config.GenerateFeedback.preprocessors = [
        "autograde.returning.feedback_page.Advise",
        "nbconvert.preprocessors.CSSHTMLHeaderPreprocessor",
    ]
    config.Rebuild.root = config.Replay.root = str(root)
    return config


def _generate() -> list[str]:
    """nbgrader's own steps, with stubs that suit quizzes too."""
    stock = "nbgrader.preprocessors."
    return [
        stock + "LockCells",
        "autograde.grading.preprocessors.ClearAnswers",
        *(stock + name for name in ("ClearOutput", "CheckCellMetadata", "ComputeChecksums")),
        *(stock + name for name in ("SaveCells", "ClearHiddenTests", "ClearMarkScheme")),
        *(stock + name for name in ("ComputeChecksums", "CheckCellMetadata")),
    ]


def find_alembic() -> None:
    """Let nbgrader find `alembic` by name, which it calls, in an environment not activated."""
    scripts = str(Path(sys.executable).parent)
    if scripts not in os.environ.get("PATH", "").split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join([scripts, os.environ.get("PATH", "")])
