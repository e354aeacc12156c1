"""Predictions files: the jsonl format of lapse, and CSV and COCO results of other systems."""
