"""lapse: location-aware pretraining and difference questions for serial chest radiographs.

Research use only: nothing here is a medical device, and no answer is a diagnosis.
"""

__version__ = "0.1.0"
