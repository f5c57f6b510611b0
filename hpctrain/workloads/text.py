"""Real text that every machine has: the sources of Python's own standard library.

They are grouped into domains of different subject and style, so that islands can have data of
their own. Whole files are held out: no file is both trained on and evaluated on.
"""

import sysconfig
from collections.abc import Iterator, Mapping
from functools import cache
from hashlib import blake2b
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Bytes: TypeAlias = NDArray[np.uint8]

# Modules and packages by domain. All are in CPython 3.11
# to 3.13; those that an installation lacks are left out. No name is in two domains.
DOMAINS: Mapping[str, str] = MappingProxyType(
    {
        "network": (
            "asyncio concurrent http urllib xmlrpc wsgiref socket.py socketserver.py ssl.py"
            " smtplib.py ftplib.py imaplib.py poplib.py selectors.py ipaddress.py"
        ),
        "markup": (
            "email html xml json tomllib mailbox.py plistlib.py csv.py configparser.py"
            " mimetypes.py quopri.py base64.py netrc.py _markupbase.py"
        ),
        "testing": (
            "unittest doctest.py pdb.py bdb.py cmd.py code.py trace.py profile.py cProfile.py"
            " pstats.py timeit.py traceback.py tracemalloc.py difflib.py"
        ),
        "processes": (
            "multiprocessing logging subprocess.py threading.py queue.py sched.py signal.py"
            " contextlib.py os.py shutil.py tempfile.py glob.py pathlib.py pathlib posixpath.py"
            " ntpath.py genericpath.py fileinput.py tarfile.py zipfile.py zipfile"
        ),
        "numbers": (
            "_pydecimal.py fractions.py statistics.py random.py datetime.py _pydatetime.py"
            " calendar.py _strptime.py zoneinfo colorsys.py numbers.py bisect.py heapq.py"
            " _pyio.py _pylong.py"
        ),
        "language": (
            "importlib collections re inspect.py typing.py ast.py dis.py opcode.py tokenize.py"
            " token.py pickle.py pickletools.py enum.py dataclasses.py functools.py types.py"
            " abc.py copy.py copyreg.py pkgutil.py runpy.py zipimport.py weakref.py"
        ),
    }
)

HELD_OUT_SHARE = 0.12  # of a domain's bytes, at least
_LARGEST_HELD_OUT_FILE = 0.25  # of a domain's bytes: larger files are always trained on
_SMALLEST_DOMAIN_BYTES = 200_000  # an installation with less of a domain counts as without it
_NOT_SOURCES = {"__pycache__", "test", "tests"}


def standard_library() -> Path:
    """The directory with the sources of the Python that runs."""
    return Path(sysconfig.get_paths()["stdlib"])


def available_domains(root: Path | None = None) -> tuple[str, ...]:
    """The domains that the installation has enough text of, in the order of `DOMAINS`."""
    root = root or standard_library()
    return tuple(
        name
        for name in DOMAINS
        if sum(path.stat().st_size for path in _files(name, root)) >= _SMALLEST_DOMAIN_BYTES
    )


def split_files(domain: str, root: Path | None = None) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """The files to train on and the files held out, the same on every rank and in every run.

    Files are taken in the order of a hash of their path, until enough bytes are held out.
    """
    root = root or standard_library()
    files = list(_files(domain, root))
    total_bytes = sum(path.stat().st_size for path in files)
    held_out: set[Path] = set()
    missing_bytes = HELD_OUT_SHARE * total_bytes
    for path in sorted(files, key=lambda path: _hash_of(path, root)):
        size_bytes = path.stat().st_size
        if missing_bytes > 0 and size_bytes <= _LARGEST_HELD_OUT_FILE * total_bytes:
            held_out.add(path)
            missing_bytes -= size_bytes
    train = tuple(path for path in files if path not in held_out)
    return train, tuple(path for path in files if path in held_out)


@cache
def read_domain(domain: str, root: Path | None = None) -> tuple[Bytes, Bytes]:
    """The bytes to train on and those held out, each file after the other; not to be written."""
    train, held_out = split_files(domain, root)
    return _read(train), _read(held_out)


def _read(files: tuple[Path, ...]) -> Bytes:
    return np.frombuffer(b"".join(path.read_bytes() for path in files), dtype=np.uint8)


def _files(domain: str, root: Path) -> Iterator[Path]:
    """Source files of a domain in the order of their names, which no machine's disk decides."""
    for name in DOMAINS[domain].split():
        path = root / name
        if path.is_file():
            yield path
        elif path.is_dir():
            found = path.rglob("*.py")
            yield from sorted(
                f for f in found if _NOT_SOURCES.isdisjoint(f.relative_to(root).parts)
            )


def _hash_of(path: Path, root: Path) -> bytes:
    return blake2b(path.relative_to(root).as_posix().encode(), digest_size=8).digest()
