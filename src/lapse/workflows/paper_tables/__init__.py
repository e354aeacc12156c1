"""The paper's tables: train what is missing, predict, score, compare with the printed numbers."""
