"""Make the rated sentences again from where they come from.

    pip download --no-deps --no-binary :all: vaderSentiment==3.3.2
    python -m autograde.records.sentences vaderSentiment-3.3.2.tar.gz

Writes helpers/language_model/data/sentences.tsv.gz; the same archive gives the same bytes.
"""

import argparse
import ast
import gzip
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

from helpers.language_model.checkpoint import DATA
from helpers.language_model.ratings import SENTENCES

from ..common.saying import say, warn

INNER = "additional_resources/hutto_ICWSM_2014.tar.gz"
FILES = {
    "film": "movieReviewSnippets",
    "product": "amazonReviewSnippets",
    "editorial": "nytEditorialSnippets",
    "tweet": "tweets",
}


def main() -> int:
    """Read the archive named on the command line; 2 when it is not the right one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("archive", type=Path, help="vaderSentiment-3.3.2.tar.gz")
    archive = parser.parse_args().archive
    try:
        lines = list(read(archive))
    except (OSError, tarfile.TarError, KeyError) as error:
        warn(f"{archive} is not vaderSentiment's source archive: {error}")
        return 2
    packed = gzip.compress("\n".join(lines).encode(), compresslevel=9, mtime=0)
    (DATA / SENTENCES).write_bytes(packed)
    say(f"{len(lines):,} sentences, {len(packed):,} bytes: {DATA / SENTENCES}")
    return 0


def read(archive: Path) -> Iterator[str]:
    """Lines of source, mean, ratings and text, by tabs."""
    with tarfile.open(archive) as outer:
        inner = next(name for name in [*outer.getnames(), ""] if name.endswith(INNER) or not name)
        with tarfile.open(fileobj=io.BytesIO(outer.extractfile(inner).read())) as folder:
            for source, stem in FILES.items():
                everyone = {row[0]: ast.literal_eval(row[3]) for row in _rows(folder, stem, False)}
                for number, mean, text in _rows(folder, stem, True):
                    ratings = ",".join(map(str, everyone[number]))
                    tidy = " ".join(text.replace("''", '"').lower().split())
                    yield "\t".join([source, f"{float(mean):.4g}", ratings, tidy])


def _rows(folder: tarfile.TarFile, stem: str, texts: bool) -> list[list[str]]:
    """The fields of one file's lines: of the texts, or of every rater's ratings."""
    kind = "GroundTruth" if texts else "anonDataRatings"
    raw = folder.extractfile(f"hutto_ICWSM_2014/{stem}_{kind}.txt").read()
    return [line.split("\t") for line in raw.decode("utf-8-sig").splitlines() if line.strip()]


if __name__ == "__main__":
    raise SystemExit(main())
