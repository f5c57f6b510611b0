"""Fetches the manual pages of Debian in five languages as text to train on: one domain each.

    python studies/manpages.py studies/manpages

Needs `apt-get` and `dpkg-deb` (Debian, Ubuntu), and the network, once; no root. Packages are only
unpacked. Formatting is stripped; whole pages are held out (those whose name has a hash below a
twentieth), and the same page is held out in all languages, so that no translation of it is trained
on. Of each language FOLDER/LANGUAGE.train.txt has 3 MB at most, and FOLDER/LANGUAGE.held-out.txt
200 kB. Where there is no apt, leave `task.options.folder` out: the task then trains on the sources
of Python's standard library.

Licences: the pages are free documentation, see the copyright files of the packages.
"""

from __future__ import annotations

import gzip
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

PACKAGES = {
    "english": ("manpages", "manpages-dev"),
    "german": ("manpages-de",),
    "french": ("manpages-fr",),
    "spanish": ("manpages-es",),
    "russian": ("manpages-ru",),
}
FOLDERS = {"english": "", "german": "de", "french": "fr", "spanish": "es", "russian": "ru"}
TRAIN_BYTES, HELD_OUT_BYTES, HELD_OUT_SHARE = 3_000_000, 200_000, 0.05

SHORT = {"\\-": "-", "\\(bu": "*", "\\(em": "-", "\\(en": "-", "\\(aq": "'", "\\(co": "(c)",
         "\\(dq": '"', "\\(lq": '"', "\\(rq": '"', "\\e": "\\", "\\&": "", "\\,": "", "\\/": "",
         "\\ ": " ", "\\~": " ", "\\c": "", "\\:": "", "\\%": ""}  # fmt: skip
ESCAPES = re.compile(r"\\f(?:\[\w*\]|\(..|.)|\\s[+-]?\d+|\\\[\w+\]|\\\*\(..|\\\*.|\\\(..|\\.")
COMMENTS = re.compile(r'^[.\']\\".*$|\\".*$', re.MULTILINE)
KEPT_REQUESTS = re.compile(r"^\.(SH|SS|B|I|BR|RB|BI|IB|IR|RI|TP|IP|PP|P|Nm|Nd|Sh|Ss)\b ?")


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} FOLDER")
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        fetch(root)
        for language in PACKAGES:
            train, held_out = split(root / "tree" / language, FOLDERS[language])
            (target / f"{language}.train.txt").write_bytes(train)
            (target / f"{language}.held-out.txt").write_bytes(held_out)
            print(f"{language}: {len(train):,} bytes to train on, {len(held_out):,} held out")


def fetch(root: Path) -> None:
    """Download and unpack all packages below `root`."""
    for language, packages in PACKAGES.items():
        folder = root / "packages" / language
        folder.mkdir(parents=True)
        try:
            subprocess.run(
                ["apt-get", "-q", "download", *packages], cwd=folder, check=True,
                capture_output=True, text=True,
            )  # fmt: skip
        except (OSError, subprocess.CalledProcessError) as error:
            said = getattr(error, "stderr", None) or error
            sys.exit(f"apt-get download {' '.join(packages)} failed: {said}")
        for package in sorted(folder.glob("*.deb")):
            unpacked = root / "tree" / language
            unpacked.mkdir(parents=True, exist_ok=True)
            subprocess.run(["dpkg-deb", "-x", package, unpacked], check=True)


def split(root: Path, language: str) -> tuple[bytes, bytes]:
    """The text to train on and that which is held out, pages in the order of a hash."""
    base = root / "usr/share/man" / language
    pages = [path for path in base.glob("man*/*.gz") if not path.is_symlink()]
    pages.sort(key=lambda path: hash_of(path.name))
    parts: dict[bool, list[bytes]] = {True: [], False: []}
    for path in pages:
        text = plain(gzip.decompress(path.read_bytes()).decode("utf-8", "replace"))
        if len(text) > 200:  # less is a reference to another page
            parts[hash_of(path.name) < HELD_OUT_SHARE * 2**64].append(text.encode())
    return b"".join(parts[False])[:TRAIN_BYTES], b"".join(parts[True])[:HELD_OUT_BYTES]


def hash_of(name: str) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big")


def plain(roff: str) -> str:
    """What a reader of the page reads, more or less: words, and lines as they are in the source."""
    return "\n".join(lines_of(COMMENTS.sub("", roff))) + "\n"


def lines_of(roff: str) -> Iterator[str]:
    for line in roff.splitlines():
        if line[:1] in (".", "'"):
            if not KEPT_REQUESTS.match(line):
                continue
            line = KEPT_REQUESTS.sub("", line)
        line = ESCAPES.sub(lambda found: SHORT.get(found[0], ""), line).replace('"', "").strip()
        if line:
            yield line


if __name__ == "__main__":
    main()
