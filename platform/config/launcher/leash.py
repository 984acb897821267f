"""Becomes another program that ends when its launcher does, as another account when told so.

Run as a file, with the standard library alone:
`leash.py PARENT SIGNAL UID GID COMMAND…`, UID -1 to stay who we are.
A child made this way needs no code between fork and exec in a launcher that has threads.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Replaces this process; returns never."""
    parent, signal, uid, gid = (int(word) for word in sys.argv[1:5])
    command = sys.argv[5:]
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":
        # Only after the change of account, which would undo it. Elsewhere the next start clears what is left.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal)
        if os.getppid() != parent:
            sys.exit("the launcher has gone")
    os.execvp(command[0], command)  # noqa: S606 # no shell is wanted


if __name__ == "__main__":
    main()
