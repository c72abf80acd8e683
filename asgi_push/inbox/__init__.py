"""Publications that wait until their user confirms them."""
