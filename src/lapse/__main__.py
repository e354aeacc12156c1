"""`python -m lapse`, so that torchrun can start the commands."""

from lapse.cli.main import main

main()
