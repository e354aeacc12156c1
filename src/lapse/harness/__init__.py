"""The paper's tables: train what is missing, predict, score, set ours beside the printed numbers."""
