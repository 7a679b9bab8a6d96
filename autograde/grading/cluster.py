"""Dask's processes: our own on this machine, closed to all others on it, or a scheduler elsewhere.

Who can speak to a scheduler can have any code run by its workers and by its clients. Between our
own processes all is TLS with a certificate that is made for one run and known to no one else. No
status page listens: those have no password.
"""

import logging
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import dask
from distributed import Client, Nanny, Scheduler, SpecCluster, Worker
from distributed.security import Security

from ..common.errors import UsageError
from ..common.interrupts import put_off

CONNECT_SECONDS = 15
LOOPBACK = "127.0.0.1"
# What `Security` takes, how Dask's configuration calls it, and how our options do.
SETTINGS = {
    "tls_ca_file": ("distributed.comm.tls.ca-file", "--tls-ca-file"),
    "tls_client_cert": ("distributed.comm.tls.client.cert", "--tls-cert"),
    "tls_client_key": ("distributed.comm.tls.client.key", "--tls-key"),
}


class _Unwatched:
    def start_http_server(self, *_: object, **__: object) -> None:
        """Dask would listen for browsers even with no dashboard, and let anybody ask."""


class ClosedScheduler(_Unwatched, Scheduler):
    """A scheduler that only speaks to who has its certificate."""


class ClosedWorker(_Unwatched, Worker):
    """A worker that only speaks to who has its certificate."""


@dataclass(frozen=True)
class Remote:
    """A scheduler elsewhere. ca_file, cert, key: paths of PEM files, "" for what Dask's
    configuration says under distributed.comm.tls."""

    address: str
    ca_file: str = ""
    cert: str = ""
    key: str = ""

    @property
    def url(self) -> str:
        """The address with its protocol: TLS where that is asked for, else Dask's default."""
        if "://" in self.address:
            return self.address
        scheme = dask.config.get("distributed.comm.default-scheme")
        return f"{'tls' if self._given() else scheme}://{self.address}"

    @property
    def is_open(self) -> bool:
        """Whether it takes anybody who can reach it."""
        return self.url.partition("://")[0] not in ("tls", "wss")

    def security(self) -> Security:
        """Raises UsageError where settings are missing, or cannot be used."""
        if self.is_open:
            if self._given():
                raise UsageError(f"{self.url}: without TLS; write tls://, or leave --tls-… out")
            return Security()
        found = Security(require_encryption=True, **self._given())
        for setting, (name, option) in SETTINGS.items():
            value = getattr(found, setting)
            if value is None and setting != "tls_client_key":  # which may stand in the certificate
                raise UsageError(
                    f"{self.url}: TLS needs {option}; give --tls-ca-file, --tls-cert and "
                    "--tls-key, or set distributed.comm.tls in Dask's configuration"
                )
            if value is not None and "\n" not in value:  # else it is the text itself
                _require_readable(value, option if setting in self._given() else name)
        try:
            found.get_connection_args("client")
        except (ssl.SSLError, OSError, ValueError) as error:
            raise UsageError(
                f"{self.url}: its TLS settings cannot be used ({error}); name PEM files of a "
                "certificate, its key, and whom to trust"
            ) from None
        return found

    def _given(self) -> dict[str, str]:
        values = dict(zip(SETTINGS, (self.ca_file, self.cert, self.key), strict=True))
        return {setting: value for setting, value in values.items() if value}


def _require_readable(path: str, said: str) -> None:
    try:
        with Path(path).open("rb") as file:
            file.read(1)
    except OSError as error:
        raise UsageError(
            f"{said} {path}: cannot be read ({error.strerror}); name a PEM file"
        ) from None


@contextmanager
def client_of(workers: int, remote: Remote | None) -> Iterator[Client]:
    """A client of that scheduler, or of so many workers of our own, ended after.

    Raises UsageError when the scheduler cannot be used, or has no workers.
    """
    # What Dask would tell of the last thousand steps holds the submissions that they were about.
    dask.config.set({"distributed.admin.low-level-log-length": 100})
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # our own lines say what matters
    with ExitStack() as ending:
        if remote is not None:
            yield ending.enter_context(_connected(remote))
            return
        with put_off():
            client = ending.enter_context(_own(workers))
        try:
            yield client
        finally:
            with put_off():
                ending.close()


@contextmanager
def _own(workers: int) -> Iterator[Client]:
    security = _temporary()
    options = {"host": LOOPBACK, "protocol": "tls://", "security": security}
    worker = {"worker_class": ClosedWorker, "nthreads": 1, "memory_limit": 0}
    worker |= {"silence_logs": logging.CRITICAL}
    # Dask's own place is one for all users, and on the path that modules are imported from.
    with (
        TemporaryDirectory(prefix="grading-", ignore_cleanup_errors=True) as private,
        dask.config.set({"temporary-directory": private}),
        SpecCluster(
            scheduler={"cls": ClosedScheduler, "options": options | {"dashboard": False}},
            workers={n: {"cls": Nanny, "options": options | worker} for n in range(workers)},
            security=security,
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


def _temporary() -> Security:
    """A certificate for this run, which stands in the memory of its processes alone."""
    try:
        return Security.temporary()
    except ImportError:
        raise UsageError(
            "workers need the package cryptography, to be out of other users' reach; run: "
            "pip install -c requirements.lock cryptography"
        ) from None


@contextmanager
def _connected(remote: Remote) -> Iterator[Client]:
    url, security = remote.url, remote.security()
    refused = "" if remote.is_open else ", or one that takes this certificate"
    try:
        client = Client(url, timeout=CONNECT_SECONDS, security=security)
    except (OSError, ValueError, RuntimeError) as error:
        raise UsageError(
            f"{url}: no Dask scheduler answers{refused} ({type(error).__name__}); start one with "
            "`dask scheduler`, or leave --scheduler out"
        ) from None
    with client:
        try:
            client.wait_for_workers(1, timeout=CONNECT_SECONDS)
        except TimeoutError:
            raise UsageError(f"{url}: has no workers; start some: dask worker {url}") from None
        yield client
