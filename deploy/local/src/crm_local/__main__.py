"""`python -m crm_local` is the `crm` command."""

import sys

from crm_local.cli import main

sys.exit(main(sys.argv[1:]))
