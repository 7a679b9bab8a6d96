"""Confine a process further and further, with the kernel's own means: Linux calls by ctypes.

Python 3.11 has no `os.unshare`, and no version has mount, capset or seccomp.
"""

import ctypes
import os
import resource
from collections.abc import Mapping, Sequence

CLONE_NEW = {
    "mount": 0x00020000, "cgroup": 0x02000000, "uts": 0x04000000, "ipc": 0x08000000,
    "user": 0x10000000, "pid": 0x20000000, "net": 0x40000000,
}  # fmt: skip
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
PR_CAPBSET_DROP, SECCOMP_MODE_FILTER, LAST_CAPABILITY = 24, 2, 63
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 8, 0x1000, 0x4000, 0x40000
SIGKILL = 9

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
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)
    undumpable()


def fresh_folders(folders: Mapping[str, int], kept: Sequence[str] = ()) -> None:
    """Mount an empty tmpfs of so many bytes on each folder, and nothing at all on /proc.

    The working directory is then the new one of that name: the old one is every submission's.
    kept: what is to be seen in those folders as before, such as Python's own environment.
    """
    _call("mount", b"none", b"/", None, ctypes.c_ulong(MS_REC | MS_PRIVATE), None)
    held = {folder: os.open(folder, os.O_PATH) for folder in kept}
    for folder, size in folders.items():
        _tmpfs(folder, MS_NOSUID | MS_NODEV, f"size={size},nr_inodes=8192,mode=700")
    for folder, number in held.items():
        os.makedirs(folder)
        source = f"/proc/self/fd/{number}".encode()
        _call("mount", source, folder.encode(), None, ctypes.c_ulong(MS_BIND | MS_REC), None)
        os.close(number)
    _tmpfs("/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=4096,nr_inodes=1,mode=555")
    os.chdir(os.getcwd())


def _tmpfs(folder: str, flags: int, options: str) -> None:
    arguments = (b"tmpfs", folder.encode(), b"tmpfs", ctypes.c_ulong(flags), options.encode())
    _call("mount", *arguments)


class _CapHeader(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


def no_privileges() -> None:
    """Drop every capability for good, and let no program that is started gain any."""
    for capability in range(LAST_CAPABILITY + 1):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)  # past the kernel's last one it fails
    _prctl(PR_SET_NO_NEW_PRIVS, 1)
    header, nothing = _CapHeader(0x20080522, 0), (ctypes.c_uint32 * 6)()
    _call("capset", ctypes.byref(header), nothing)


def limit(resources: Mapping[str, int]) -> None:
    """Set hard limits, by the names of `resource` without RLIMIT_."""
    for name, most in resources.items():
        what = getattr(resource, f"RLIMIT_{name}")
        _, hard = resource.getrlimit(what)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (most, most))


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


def filter_calls(program: bytes) -> None:
    """Let this process make only the system calls that the BPF program lets pass, for good."""
    _prctl(PR_SET_NO_NEW_PRIVS, 1)
    held = _Program(len(program) // 8, program)
    _prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(held))
