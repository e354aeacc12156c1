"""The version of the package; hatch and `lapse --version` read it here."""

__version__ = "0.2.0"
