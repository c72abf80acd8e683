"""What operators see of each process, and ask of it, from whichever process they reached."""
