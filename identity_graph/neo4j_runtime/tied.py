"""Becomes another program that the kernel kills when our parent dies, even by SIGKILL.

It is run as a script by a bare interpreter: `tied.py PARENT PROGRAM [ARGUMENT…]`, where PARENT is the process id of
the caller. The death signal outlives the change of program. Where the kernel has none, the program just runs.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, *command = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):
        # It died before the kernel was told.
        sys.exit(1)
    os.execv(command[0], command)  # noqa: S606 - the caller's own arguments, without a shell


if __name__ == "__main__":
    main()
