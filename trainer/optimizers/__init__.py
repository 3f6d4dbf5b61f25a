"""What moves the weights, and how far: optimisers and the schedule of the learning rate."""
