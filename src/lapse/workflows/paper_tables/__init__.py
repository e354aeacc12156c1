"""The paper's tables: train what is missing, predict, score, beside the printed numbers."""
