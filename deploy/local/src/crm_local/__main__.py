"""`python -m crm_local` is the `crm` command."""

import os
import sys

from crm_local.cli import main

try:
    code = main(sys.argv[1:])
    sys.stdout.flush()
except BrokenPipeError:
    # The reader of the output (`crm status | head`) has closed it. Otherwise Python would raise again at exit.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    code = 0
sys.exit(code)
