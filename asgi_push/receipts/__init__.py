"""What clients say that they have."""
