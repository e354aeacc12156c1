"""Simulated patients who are X-rayed several times, written in the layouts of the real data."""
