"""`python -m lapse` runs the `lapse` command, as torchrun needs it."""

from lapse.cli.main import main

main()
