"""The commands of `lapse`, one file each; `lapse.cli.main` lists them.

Heavy imports stand inside the functions, so that `--help` and a wrong option never wait for torch.
"""
