"""What training and ranking cost: time, memory, FLOPs, bytes."""
