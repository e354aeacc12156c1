"""The whole path on simulated patients: `lapse demo`."""
