"""`python -m lapse`, so that torchrun can start the commands."""

from lapse.cli import main

main()
