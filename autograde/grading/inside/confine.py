"""Confine a process further and further, with the kernel's own means: Linux calls by ctypes.

Python 3.11 has no `os.unshare`, and no version has mount, capset or seccomp.
"""

import ctypes
import os
import resource
import struct
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

CLONE_NEW = {
    "mount": 0x00020000, "cgroup": 0x02000000, "uts": 0x04000000, "ipc": 0x08000000,
    "user": 0x10000000, "pid": 0x20000000, "net": 0x40000000,
}  # fmt: skip
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
PR_CAPBSET_DROP, SECCOMP_MODE_FILTER, LAST_CAPABILITY = 24, 2, 63
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 8, 0x1000, 0x4000, 0x40000
MS_RDONLY, SIGKILL = 1, 9
MS_REMOUNT, MS_RELATIME = 32, 1 << 21
ST_RELATIME = 4096  # as `statvfs` says MS_RELATIME; these it says as they are
KEPT = MS_NOSUID | MS_NODEV | MS_NOEXEC | os.ST_NOATIME | os.ST_NODIRATIME
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")  # the host's own
FILES = 8192  # in a folder that may be written to
# Stands in a filter for the number of the process that takes it on.
OWN_PROCESS = 0x7E57AB1E
INSTRUCTION, JUMP_IF_EQUAL = struct.Struct("=HBBI"), 0x15  # of classic BPF

libc = ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments: object) -> None:
    """A call of libc that says by -1 that it failed. Raises OSError."""
    if getattr(libc, name)(*arguments) == -1:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")


def _prctl(option: int, value: object = 0, further: object = 0) -> None:
    _call("prctl", option, *(_word(v) for v in (value, further, 0, 0)))


def _word(value: object) -> object:
    return ctypes.c_ulong(value) if isinstance(value, int) else value


def undumpable() -> None:
    """No process of the same user may read this one's memory, or trace it."""
    _prctl(PR_SET_DUMPABLE, 0)


def die_with_parent() -> None:
    """Be killed when the parent ends."""
    _prctl(PR_SET_PDEATHSIG, SIGKILL)


def own_namespaces() -> None:
    """New user, pid, network, ipc, mount, uts and cgroup namespaces; pid: for children from now on.

    Raises OSError where the host refuses nested ones.
    """
    user, group = os.getuid(), os.getgid()
    _prctl(PR_SET_DUMPABLE, 1)  # the maps below belong to root for a process that is not
    _call("unshare", sum(CLONE_NEW.values()))
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        Path(f"/proc/self/{name}").write_text(text, "ascii")
    # Where the host is short of memory, it is a submission that ends, and not what serves others.
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", "ascii")
    undumpable()


def fresh_folders(folders: Mapping[str, int], kept: Sequence[str] = ()) -> None:
    """Mount an empty tmpfs of so many bytes on each folder, and nothing at all on /proc.

    The working directory is then the new one of that name: the old one is every submission's.
    kept: what is to be seen in those folders as before, such as Python's own environment.
    """
    _private()
    held = {folder: os.open(folder, os.O_PATH) for folder in kept}
    for folder, size in folders.items():
        tmpfs(folder, MS_NOSUID | MS_NODEV, f"size={size},nr_inodes={FILES},mode=700")
    for folder, number in held.items():
        os.makedirs(folder)
        bind(number, folder)
        os.close(number)
    closed = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC
    tmpfs("/proc", closed, "size=4096,nr_inodes=1,mode=555")
    for device in DEVICES:
        with suppress(FileNotFoundError):
            _read_only(f"/dev/{device}")
    os.chdir(os.getcwd())


def _read_only(path: str) -> None:
    """What is mounted there can still be read and written, but its inode is not to be changed."""
    flags = os.statvfs(path).f_flag
    kept = flags & KEPT | MS_RELATIME * bool(flags & ST_RELATIME)  # else a user may not remount it
    how = ctypes.c_ulong(MS_REMOUNT | MS_BIND | MS_RDONLY | kept)
    _call("mount", None, path.encode(), None, how, None)


def own_mounts() -> None:
    """A mount namespace of its own, from which no mount reaches another. Raises OSError."""
    _call("unshare", CLONE_NEW["mount"])
    _private()


def _private() -> None:
    _call("mount", b"none", b"/", None, ctypes.c_ulong(MS_REC | MS_PRIVATE), None)


def bind(held: int, folder: str) -> None:
    """Show what an open file of this process is in this folder as well."""
    source = f"/proc/self/fd/{held}".encode()
    _call("mount", source, folder.encode(), None, ctypes.c_ulong(MS_BIND | MS_REC), None)


def tmpfs(folder: str, flags: int, options: str) -> None:
    """Mount an empty one."""
    arguments = (b"tmpfs", folder.encode(), b"tmpfs", ctypes.c_ulong(flags), options.encode())
    _call("mount", *arguments)


class _CapHeader(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


def no_new_privileges() -> None:
    """No program that this process starts gains any, whatever its file says."""
    _prctl(PR_SET_NO_NEW_PRIVS, 1)


def no_privileges() -> None:
    """Drop every capability for good, and let no program that is started gain any."""
    for capability in range(LAST_CAPABILITY + 1):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)  # past the kernel's last one it fails
    no_new_privileges()
    header, nothing = _CapHeader(0x20080522, 0), (ctypes.c_uint32 * 6)()
    _call("capset", ctypes.byref(header), nothing)


def limit(resources: Mapping[str, int]) -> None:
    """Set hard limits, by the names of `resource` without RLIMIT_."""
    for name, most in resources.items():
        what = getattr(resource, f"RLIMIT_{name}")
        _, hard = resource.getrlimit(what)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (most, most))


def limit_threads(most: int) -> None:
    """Let this user have so many threads in this namespace.

    Linux before 5.14 counts the user's in all namespaces: where there are too many of them already
    for a thread to start, there is no such limit.
    """
    before = resource.getrlimit(resource.RLIMIT_NPROC)
    resource.setrlimit(resource.RLIMIT_NPROC, (most, before[1]))
    try:
        tried = threading.Thread(target=int)
        tried.start()
        tried.join()
    except RuntimeError:
        resource.setrlimit(resource.RLIMIT_NPROC, before)
    else:
        limit({"NPROC": most})


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


def filter_calls(program: bytes) -> None:
    """Let this process make only the system calls that the BPF program lets pass, for good.

    program: instructions (u16 code, u8, u8, u32 constant), with OWN_PROCESS in comparisons.
    """
    no_new_privileges()
    own = (JUMP_IF_EQUAL, OWN_PROCESS)
    instructions = [
        (code, yes, no, os.getpid() if (code, constant) == own else constant)
        for code, yes, no, constant in INSTRUCTION.iter_unpack(program)
    ]
    packed = b"".join(INSTRUCTION.pack(*one) for one in instructions)
    held = _Program(len(instructions), packed)
    _prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(held))
