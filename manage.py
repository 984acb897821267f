#!/usr/bin/env python
"""Ratchet's command line: `manage.py help` lists the commands."""

import os
import sys
from pathlib import Path


def main() -> None:
    """Run one management command."""
    # `platform/` holds packages and is none itself; it goes behind this folder, never before the standard library.
    sys.path.insert(1, str(Path(__file__).resolve().parent / "platform"))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.core.management import execute_from_command_line
    from django.db.utils import OperationalError

    try:
        execute_from_command_line(sys.argv)
    except OperationalError as error:
        sys.exit(str(error).strip())


if __name__ == "__main__":
    main()
