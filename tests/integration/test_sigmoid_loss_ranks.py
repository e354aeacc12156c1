"""The sigmoid loss over ranks equals one process with the complete batch."""

from script_trials import run_script


def test_ranks_equal_one_process_with_the_complete_batch(tmp_path):
    result = run_script("sigmoid_ranks.py", tmp_path)
    complete = result["one"]
    for name in ("two", "three", "two ignoring"):
        expected = result["one ignoring"] if "ignoring" in name else complete
        assert max(abs(a - b) for a, b in zip(result[name], expected, strict=True)) < 1e-6, name
    assert result["one ignoring"] != complete
    # Ranks that contrast only with their own texts do not give the loss of the complete batch.
    alone = result["two alone"]
    assert max(abs(a - b) for a, b in zip(alone, complete, strict=True)) > 1e-3
    differences = [abs(a - b) for a, b in zip(*result["trained"], strict=True)]
    assert max(differences) < 1e-4  # three steps move weights by 9e-4
    assert sum(differences) / len(differences) < 1e-6
