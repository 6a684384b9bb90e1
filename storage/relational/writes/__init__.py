"""Writing a batch: the parts that all relational backends share."""
