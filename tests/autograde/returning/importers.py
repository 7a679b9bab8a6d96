"""What Moodle and Canvas do with the names in a zip of feedback, said again from their sources.

Moodle: mod/assign/feedback/file/importziplib.php, is_valid_filename_for_import and
import_zip_files; names come to it through clean_param(PARAM_PATH) of lib/moodlelib.php.
Canvas: app/models/abstract_assignment.rb, infer_comment_context_from_filename and
generate_comments_from_files; the zip is opened by lib/zip_extractor.rb.
"""

import re
from pathlib import PurePosixPath

PLUGINS = {("assignsubmission", "file"), ("assignsubmission", "onlinetext"),
           ("assignfeedback", "file"), ("assignfeedback", "comments")}  # fmt: skip


def moodle_takes(names, participants):
    """(participant, the file's name for them) of each name that Moodle takes.

    participants: numbers of this assignment.
    """
    for name in names:
        crumbs = [re.sub(r"""[\x00-\x1f\x7f&<>"`|':\\/]""", "", part) for part in name.split("/")]
        parts = ["", "import", *crumbs]
        if parts[-1].startswith((".", "~")):
            continue
        while parts:
            info = parts.pop(0).split("_", 4)
            if len(info) < 4 or not re.fullmatch(r"\s*[+-]?\d+(\.\d+)?", info[1]):
                continue
            if int(info[1]) not in participants or (info[2], info[3]) not in PLUGINS:
                continue
            rest = "/".join([*info[4:5], *parts] if len(info) > 4 else ["", *parts])
            yield int(info[1]), PurePosixPath(rest).name
            break


def canvas_takes(names, attachments, anonymous=None, groups=()):
    """(user, attachment) of each name that Canvas takes.

    attachments: of each user's latest submission. anonymous: users by anonymous id. groups: names.
    """
    bases = [name.rpartition("/")[2] for name in names]
    assert len(bases) == len(set(bases)), "DestinationFileExists: the import ends"
    for base in bases:
        rest = next((base.removeprefix(f"{group}_") for group in groups
                     if base.startswith(f"{group}_")), base)  # fmt: skip
        split = [part for part in rest.split("_") if part != "LATE"]
        if split[0] == "anon":
            user, attachment = (anonymous or {}).get(split[1]), split[2]
        else:
            numbers = [part for part in split if re.fullmatch(r"[0-9]+", part)][:2]
            user, attachment = (int(numbers[0]), numbers[1]) if len(numbers) == 2 else (None, "")
        if split[-1].startswith("link") or rest.startswith("._"):
            continue
        if user in attachments and attachment.isdigit() and int(attachment) in attachments[user]:
            yield user, int(attachment)
