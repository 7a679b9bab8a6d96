"""The system calls that student code may make, as a filter program for the kernel.

A list of what is allowed: what a later kernel adds is refused until it is known to be harmless.
"""

import errno
import tempfile
from collections.abc import Iterator
from functools import cache
from types import ModuleType

from ..common.errors import UsageError
from .inside import confine

ALLOWED = """
read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 lseek close close_range
open openat openat2 creat stat fstat lstat newfstatat statx access faccessat faccessat2 statfs
fstatfs getdents getdents64 readlink readlinkat mkdir mkdirat rmdir unlink unlinkat rename renameat
renameat2 umask chdir fchdir getcwd dup dup2 dup3 pipe pipe2 flock fsync fdatasync truncate
ftruncate copy_file_range sendfile fadvise64 mmap munmap mprotect mremap brk madvise mincore msync
membarrier get_mempolicy futex futex_waitv set_robust_list get_robust_list rseq set_tid_address
gettid exit exit_group restart_syscall sched_yield sched_getaffinity sched_getparam
sched_getscheduler sched_get_priority_max sched_get_priority_min getcpu arch_prctl rt_sigaction
rt_sigprocmask rt_sigreturn rt_sigpending rt_sigsuspend rt_sigtimedwait sigaltstack pause alarm
setitimer getitimer clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time times
poll ppoll select pselect6 epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2
socketpair sendto recvfrom shutdown getsockopt getsockname getpeername getpid getppid getuid
geteuid getgid getegid getresuid getresgid getgroups getpgrp getpgid getsid uname sysinfo getrusage
getrlimit getpriority getrandom capget wait4 waitid
"""
# Refused with "not permitted", which Python says as PermissionError; all else that is not allowed
# is "not implemented", at which the C library tries an older way. memfd_create: a file in memory
# that counts towards no limit.
REFUSED = """
fork vfork execve execveat ptrace process_vm_readv process_vm_writev mount umount2 unshare setns
chroot pivot_root bpf keyctl add_key request_key perf_event_open userfaultfd reboot kexec_load
init_module finit_module delete_module memfd_create symlink symlinkat link linkat setsid
"""
# Done by copies and archives of one's own files, which must go on; here they change nothing, as
# even a file that is shown read-only may be the host's own.
WITHOUT_EFFECT = """
chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat utime utimes utimensat futimesat
"""
# What the same copies ask about; the answer is that there is nothing of the kind.
ATTRIBUTES = """
getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr setxattr lsetxattr fsetxattr
removexattr lremovexattr fremovexattr
"""
# A GPU's driver speaks with itself by a socket with a name; in a network namespace of its own, and
# with no socket among the files, nobody else is there to speak to.
DRIVERS = """
connect bind listen accept accept4 sendmsg recvmsg setsockopt mlock munlock eventfd eventfd2
"""
# Allowed with one of a few values in one argument. A process is one's own: 0, or its number, which
# `confine.filter_calls` fills in; a signal to another, or a limit of its, could end it.
OWN = (0, confine.OWN_PROCESS)
FILES_OWN = (0, 1, 2, 3, 4, 5, 36, 1030, 1032, 1034)  # of fcntl; no signals, no sizes
# Of fcntl too: each lock is memory of the kernel's that counts towards no limit, and nobody else is
# there to be kept out, so that taking one changes nothing.
LOCKS = (6, 7, 37, 38)
CONTROLS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)  # TCGETS, TIOCGWINSZ, FIONREAD, FIO…
# Names of threads and of memory, and what only asks; 51 and 56 are aarch64's.
OPTIONS = (2, 3, 15, 16, 21, 23, 30, 39, 51, 56, 0x53564D41)
BY_ARGUMENT = {
    "kill": (0, OWN[1:]),
    "tgkill": (0, OWN[1:]),
    "prlimit64": (0, OWN),
    "sched_setaffinity": (0, OWN),
    "fcntl": (1, FILES_OWN),
    "prctl": (0, OPTIONS),
    "ioctl": (1, CONTROLS),
}
WORD = 0xFFFFFFFF  # of such an argument the kernel reads no more
AF_UNIX = 1
CLONE_THREAD = 0x00010000


@cache
def filter_program(device: str = "cpu") -> bytes:
    """The filter as a classic BPF program for this machine's processor, made by libseccomp.

    device: what is computed on; all but the CPU need sockets within the sandbox.

    Threads may be started; processes may not: one exercise is one process, which bounds its memory
    and leaves nobody to outlive it.
    Raises UsageError when libseccomp is not there.
    """
    try:
        import pyseccomp as seccomp
    except (ImportError, OSError, RuntimeError) as error:
        raise UsageError(f"libseccomp cannot be loaded ({error}); run: autograde doctor") from None
    made = seccomp.SyscallFilter(seccomp.ERRNO(errno.ENOSYS))
    for name, action, *arguments in _rules(seccomp, device == "cpu"):
        if seccomp.resolve_syscall(seccomp.system_arch(), name) >= 0:  # this processor has it
            made.add_rule(action, name, *arguments)
    with tempfile.TemporaryFile() as file:
        made.export_bpf(file)
        file.seek(0)
        return file.read()


def _rules(seccomp: ModuleType, cpu: bool) -> Iterator[tuple]:
    """(call, action) or (call, action, condition): what is not matched is not implemented."""
    refuse = seccomp.ERRNO(errno.EPERM)
    for names, action in (
        (ALLOWED, seccomp.ALLOW),
        (REFUSED, refuse),
        (WITHOUT_EFFECT, seccomp.ERRNO(0)),
        (ATTRIBUTES, seccomp.ERRNO(errno.ENOTSUP)),
        (DRIVERS, refuse if cpu else seccomp.ALLOW),
    ):
        yield from ((name, action) for name in names.split())
    for name, (argument, values) in BY_ARGUMENT.items():
        if name == "ioctl" and not cpu:  # a driver has many of its own
            yield name, seccomp.ALLOW
            continue
        for value in values:
            yield name, seccomp.ALLOW, seccomp.Arg(argument, seccomp.MASKED_EQ, WORD, value)
    for value in LOCKS:
        arguments = seccomp.Arg(1, seccomp.MASKED_EQ, WORD, value)
        yield "fcntl", seccomp.ERRNO(0), arguments
    if cpu:
        yield "socket", refuse
    else:
        yield "socket", seccomp.ALLOW, seccomp.Arg(0, seccomp.EQ, AF_UNIX)
        yield "socket", refuse, seccomp.Arg(0, seccomp.NE, AF_UNIX)
    thread = (0, seccomp.MASKED_EQ, CLONE_THREAD)
    yield "clone", seccomp.ALLOW, seccomp.Arg(*thread, CLONE_THREAD)
    yield "clone", refuse, seccomp.Arg(*thread, 0)
