"""The commands of `lapse`, one file each; `lapse.cli.main` registers them.

Library modules are imported inside the command functions, so that `--help` and a wrong option do
not wait for torch.
"""
