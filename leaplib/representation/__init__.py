"""What a regressor sees of a sample: DAMAE and the representations it is compared with."""
