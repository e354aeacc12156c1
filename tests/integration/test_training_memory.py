"""Counted memory against the measured peak of a process."""

from benchmarks import training_memory as memory
from benchmarks.memory import peak_bytes


def test_the_measured_peak_of_a_small_step():
    """The peak also has temporary tensors of the backward pass and free blocks of malloc."""
    images = memory.SMALL_IMAGES
    counted = memory.captioner_activations(memory.SMALL, images, memory.SMALL_TEXTS, 4)
    measured = peak_bytes("benchmarks.training_memory", num_images=images)
    assert 0.9 * counted < measured < 1.5 * counted
