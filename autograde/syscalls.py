"""The system calls that student code may make, as a filter program for the kernel.

A list of what is allowed: what a later kernel adds is refused until it is known to be harmless.
"""

import errno
import tempfile
from functools import cache

from .errors import UsageError

ALLOWED = """
read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 lseek close close_range
open openat openat2 creat stat fstat lstat newfstatat statx access faccessat faccessat2 statfs
fstatfs getdents getdents64 readlink readlinkat mkdir mkdirat rmdir unlink unlinkat rename renameat
renameat2 symlink symlinkat link linkat chmod fchmod fchmodat umask chdir fchdir getcwd dup dup2
dup3 pipe pipe2 fcntl flock fsync fdatasync sync_file_range truncate ftruncate fallocate ioctl
utime utimes utimensat futimesat copy_file_range sendfile splice tee fadvise64 readahead
memfd_create mmap munmap mprotect mremap brk madvise mincore msync membarrier mlock munlock
get_mempolicy futex futex_waitv set_robust_list get_robust_list rseq set_tid_address gettid
exit exit_group restart_syscall sched_yield sched_getaffinity sched_setaffinity sched_getparam
sched_getscheduler sched_get_priority_max sched_get_priority_min getcpu arch_prctl prctl
rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigsuspend rt_sigtimedwait
rt_sigqueueinfo sigaltstack kill tkill tgkill pause alarm setitimer getitimer timer_create
timer_settime timer_gettime timer_delete timer_getoverrun timerfd_create timerfd_settime
timerfd_gettime signalfd signalfd4 clock_gettime clock_getres clock_nanosleep nanosleep
gettimeofday time times poll ppoll select pselect6 epoll_create epoll_create1 epoll_ctl epoll_wait
epoll_pwait epoll_pwait2 eventfd eventfd2 inotify_init inotify_init1 inotify_add_watch
inotify_rm_watch socketpair sendto recvfrom sendmsg recvmsg sendmmsg recvmmsg shutdown getsockopt
setsockopt getsockname getpeername getpid getppid getuid geteuid getgid getegid getresuid
getresgid getgroups getpgrp getpgid getsid setsid uname sysinfo getrusage getrlimit prlimit64
getpriority getrandom capget wait4 waitid
"""
# Refused with "not permitted", which Python says as PermissionError; all else that is not allowed
# is "not implemented", at which the C library tries an older way.
REFUSED = """
fork vfork execve execveat ptrace process_vm_readv process_vm_writev mount umount2 unshare setns
chroot pivot_root bpf keyctl add_key request_key perf_event_open userfaultfd reboot kexec_load
init_module finit_module delete_module
"""
# A GPU's driver speaks with itself by a socket with a name; in a network namespace of its own, and
# with no socket among the files, nobody else is there to speak to.
NAMED_SOCKETS = "connect bind listen accept accept4"
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
    refuse = seccomp.ERRNO(errno.EPERM)
    for names, action in (
        (ALLOWED, seccomp.ALLOW),
        (REFUSED, refuse),
        (NAMED_SOCKETS, refuse if device == "cpu" else seccomp.ALLOW),
    ):
        for name in names.split():
            if seccomp.resolve_syscall(seccomp.system_arch(), name) >= 0:  # this processor has it
                made.add_rule(action, name)
    if device == "cpu":
        made.add_rule(refuse, "socket")
    else:
        made.add_rule(seccomp.ALLOW, "socket", seccomp.Arg(0, seccomp.EQ, AF_UNIX))
        made.add_rule(refuse, "socket", seccomp.Arg(0, seccomp.NE, AF_UNIX))
    thread = seccomp.Arg(0, seccomp.MASKED_EQ, CLONE_THREAD, CLONE_THREAD)
    process = seccomp.Arg(0, seccomp.MASKED_EQ, CLONE_THREAD, 0)
    made.add_rule(seccomp.ALLOW, "clone", thread)
    made.add_rule(refuse, "clone", process)
    with tempfile.TemporaryFile() as file:
        made.export_bpf(file)
        file.seek(0)
        return file.read()
