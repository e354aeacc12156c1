"""Builds the documentation site: generated reference pages, then Zensical.

    commands       every command and option, read from the command line itself
    configuration  every configuration key, read from the pydantic classes; presets
    api            one page per package for mkdocstrings
    notebook       a notebook, executed, as a Markdown page
    pages          copies docs/ and the pages outside it into one folder, with links rewritten

Run `make docs`, or `PYTHONPATH=docs python -m sitegen`.
"""
