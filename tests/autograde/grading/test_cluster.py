"""Who can reach the processes that grade: nobody else on this machine, and nobody unnamed on it."""

import asyncio
import os
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import dask
import psutil
import pytest
from distributed.comm import connect
from distributed.security import Security

from autograde.common.errors import UsageError
from autograde.grading.cluster import Remote, client_of


@pytest.fixture(scope="module")
def client():
    with client_of(2, None) as client:
        yield client


def family():
    return [psutil.Process(), *psutil.Process().children(recursive=True)]


def listening():
    """The addresses that our processes take connections at."""
    held = [one for process in family() for one in process.net_connections("inet")]
    return {one.laddr for one in held if one.status == psutil.CONN_LISTEN}


async def reached(addresses, security, seconds):
    """Which of the addresses a client with these settings can open."""
    settings = security.get_connection_args("client")

    async def one(address):
        try:
            opened = await connect(address, timeout=seconds, **settings)
        except OSError:
            return False
        await opened.close()
        return True

    opened = await asyncio.gather(*map(one, addresses))
    return [address for address, yes in zip(addresses, opened, strict=True) if yes]


def test_every_port_refuses_who_has_no_certificate_of_this_run(client):
    ports = listening()
    assert {host for host, _ in ports} == {"127.0.0.1"}
    assert len(ports) == 5  # the scheduler, two workers, and the nanny of each: no status page
    tls = [f"tls://127.0.0.1:{port}" for _, port in ports]
    plain = [address.replace("tls", "tcp") for address in tls]
    assert sorted(asyncio.run(reached(tls, client.security, 60))) == sorted(tls)
    assert asyncio.run(reached(tls, Security.temporary(), 2)) == []
    assert asyncio.run(reached(plain, Security(require_encryption=False), 2)) == []


def test_the_key_is_in_memory_alone(client):
    for process in psutil.Process().children(recursive=True):
        told = b"\0".join(
            Path(f"/proc/{process.pid}/{name}").read_bytes() for name in ("cmdline", "environ")
        )
        assert b"PRIVATE" not in told
        held = [Path(one.path) for one in process.open_files()]
        assert not any("dask.pem" in path.name for path in held)


def test_what_workers_import_from_lies_where_no_other_user_writes(client):
    def folders(dask_worker):
        return dask_worker.local_directory, [path for path in sys.path if "scratch" in path]

    for own, imported in client.run(folders).values():
        above = next(path for path in Path(own).parents if path.name.startswith("grading-"))
        assert own in imported
        assert all(Path(path).is_relative_to(above) for path in imported)
        assert stat.S_IMODE(above.stat().st_mode) == 0o700
        assert above.stat().st_uid == os.geteuid()


@pytest.fixture(scope="module")
def pem(tmp_path_factory):
    """A certificate and its key as README makes them."""
    folder = tmp_path_factory.mktemp("pem")
    text = Path("README.md").read_text("utf-8")
    (line,) = (line for line in text.splitlines() if "openssl req" in line)
    subprocess.run(shlex.split(line), cwd=folder, check=True, capture_output=True)
    return folder


def configured(ca_file=None, cert=None, key=None):
    """What Dask's configuration says of a client's TLS."""
    found = {"ca-file": ca_file, "client.cert": cert, "client.key": key}
    return dask.config.set({f"distributed.comm.tls.{name}": found[name] for name in found})


@pytest.fixture
def nothing_configured():
    with configured():
        yield


@pytest.mark.usefixtures("nothing_configured")
@pytest.mark.parametrize(
    ("address", "named", "says"),
    [
        ("tls://h:1", (), "tls://h:1: TLS needs --tls-ca-file; give --tls-ca-file, --tls-cert"),
        ("tls://h:1", ("cert.pem",), "tls://h:1: TLS needs --tls-cert; give"),
        ("tcp://h:1", ("cert.pem",), "tcp://h:1: without TLS; write tls://, or leave --tls-… out"),
        ("h:1", ("none.pem", "cert.pem", "key.pem"), r"--tls-ca-file \S*none.pem: cannot be read"),
        ("h:1", ("cert.pem", ".", "key.pem"), r"--tls-cert \S*: cannot be read \(Is a directory\)"),
        ("h:1", ("cert.pem", "cert.pem", "none.pem"), r"--tls-key \S*none.pem: cannot be read"),
        ("h:1", ("cert.pem", "cert.pem", "junk.pem"), "tls://h:1: its TLS settings cannot be used"),
        ("h:1", ("junk.pem", "cert.pem", "key.pem"), "tls://h:1: its TLS settings cannot be used"),
    ],
)
def test_settings_that_cannot_be_used(pem, address, named, says):
    (pem / "junk.pem").write_text("no certificate")
    with pytest.raises(UsageError, match=says):
        Remote(address, *(str(pem / name) for name in named)).security()


def test_settings_come_from_dasks_configuration_too(pem):
    cert, key = str(pem / "cert.pem"), str(pem / "key.pem")
    with configured(cert, cert, key):
        found = Remote("tls://h:1").security()
        assert (found.tls_client_cert, found.require_encryption) == (cert, True)
        assert Remote("tcp://h:1").is_open
    says = r"distributed.comm.tls.client.key \S*none.pem: cannot be read"
    with configured(cert, cert, str(pem / "none.pem")), pytest.raises(UsageError, match=says):
        Remote("tls://h:1").security()
