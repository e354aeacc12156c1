"""Predictions files: ours (jsonl), and those that other systems write (CSV, COCO results)."""
