"""The full pipeline on simulated patients: `lapse demo`."""
