"""Numbers of system calls on x86-64 and on aarch64, and which of them are refused behind the walls.

The numbers are those of asm/unistd_64.h and asm-generic/unistd.h. None: the processor has no such call.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from vcp_core.walls.kernel import MACHINES

Numbers = tuple[int | None, int | None]  # in the order of MACHINES

LANDLOCK_CREATE_RULESET, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT_SELF = 444, 445, 446  # on both

# Calls that the walls make, or that the filter judges by their arguments.
JUDGED: Final = MappingProxyType[str, Numbers](
    {
        "capset": (126, 91),
        "clone": (56, 220),
        "clone3": (435, 435),
        "prctl": (157, 167),
        "prlimit64": (302, 261),
        "seccomp": (317, 277),
        "tgkill": (234, 131),
    }
)

REFUSED: Final = MappingProxyType[str, Numbers](
    {
        # New processes and programs
        "fork": (57, None),
        "vfork": (58, None),
        "execve": (59, 221),
        "execveat": (322, 281),
        # Sockets. io_uring opens sockets and files without making the calls for them.
        "socket": (41, 198),
        "socketpair": (53, 199),
        "io_uring_setup": (425, 425),
        "io_uring_enter": (426, 426),
        "io_uring_register": (427, 427),
        # Other processes: their memory, files, signals, priorities
        "ptrace": (101, 117),
        "process_vm_readv": (310, 270),
        "process_vm_writev": (311, 271),
        "process_madvise": (440, 440),
        "process_mrelease": (448, 448),
        "kcmp": (312, 272),
        "pidfd_open": (434, 434),
        "pidfd_getfd": (438, 438),
        "pidfd_send_signal": (424, 424),
        "kill": (62, 129),
        "tkill": (200, 130),
        "rt_sigqueueinfo": (129, 138),
        "rt_tgsigqueueinfo": (297, 240),
        "setpriority": (141, 140),
        "ioprio_set": (251, 30),
        "sched_setaffinity": (203, 122),
        "sched_setattr": (314, 274),
        "sched_setparam": (142, 118),
        "sched_setscheduler": (144, 119),
        "migrate_pages": (256, 238),
        "move_pages": (279, 239),
        # Memory and queues that processes share by a number
        "shmget": (29, 194),
        "shmat": (30, 196),
        "shmctl": (31, 195),
        "semget": (64, 190),
        "semop": (65, 193),
        "semctl": (66, 191),
        "msgget": (68, 186),
        "msgctl": (71, 187),
        "mq_open": (240, 180),
        "mq_unlink": (241, 181),
        # What happens in a folder, told to whoever may only see its name
        "inotify_init": (253, None),
        "inotify_init1": (294, 26),
        "inotify_add_watch": (254, 27),
        # Landlock 7 does not limit the owner, mode, times and attributes of files.
        "chmod": (90, None),
        "fchmod": (91, 52),
        "fchmodat": (268, 53),
        "fchmodat2": (452, 452),
        "chown": (92, None),
        "lchown": (94, None),
        "fchown": (93, 55),
        "fchownat": (260, 54),
        "setxattr": (188, 5),
        "lsetxattr": (189, 6),
        "fsetxattr": (190, 7),
        "setxattrat": (463, 463),
        "removexattr": (197, 14),
        "lremovexattr": (198, 15),
        "fremovexattr": (199, 16),
        "removexattrat": (466, 466),
        "utime": (132, None),
        "utimes": (235, None),
        "futimesat": (261, None),
        "utimensat": (280, 88),
        "name_to_handle_at": (303, 264),
        "open_by_handle_at": (304, 265),
        # Parts of the kernel in which most faults were found
        "bpf": (321, 280),
        "perf_event_open": (298, 241),
        "userfaultfd": (323, 282),
        "fanotify_init": (300, 262),
        "add_key": (248, 217),
        "request_key": (249, 218),
        "keyctl": (250, 219),
        # Mounts and namespaces
        "mount": (165, 40),
        "umount2": (166, 39),
        "pivot_root": (155, 41),
        "chroot": (161, 51),
        "move_mount": (429, 429),
        "open_tree": (428, 428),
        "fsopen": (430, 430),
        "fsconfig": (431, 431),
        "fsmount": (432, 432),
        "fspick": (433, 433),
        "mount_setattr": (442, 442),
        "unshare": (272, 97),
        "setns": (308, 268),
        # Users
        "setuid": (105, 146),
        "setgid": (106, 144),
        "setreuid": (113, 145),
        "setregid": (114, 143),
        "setresuid": (117, 147),
        "setresgid": (119, 149),
        "setgroups": (116, 159),
        "setfsuid": (122, 151),
        "setfsgid": (123, 152),
        # The machine
        "init_module": (175, 105),
        "finit_module": (313, 273),
        "delete_module": (176, 106),
        "kexec_load": (246, 104),
        "kexec_file_load": (320, 294),
        "reboot": (169, 142),
        "swapon": (167, 224),
        "swapoff": (168, 225),
        "acct": (163, 89),
        "quotactl": (179, 60),
        "quotactl_fd": (443, 443),
        "syslog": (103, 116),
        "sethostname": (170, 161),
        "setdomainname": (171, 162),
        "settimeofday": (164, 170),
        "clock_settime": (227, 112),
        "clock_adjtime": (305, 266),
        "adjtimex": (159, 171),
        "iopl": (172, None),
        "ioperm": (173, None),
        "modify_ldt": (154, None),
        "personality": (135, 92),
        "vhangup": (153, 58),
    }
)


def number(name: str, machine: str) -> int | None:
    """Give the number of a system call on this processor; None if the processor has no such call.

    >>> number("execve", "x86_64"), number("execve", "aarch64"), number("fork", "aarch64")
    (59, 221, None)
    """
    numbers = JUDGED[name] if name in JUDGED else REFUSED[name]
    return numbers[MACHINES.index(machine)]
