"""The sessions of this process: who is here, what they are sent, and what runs for them in the background."""
