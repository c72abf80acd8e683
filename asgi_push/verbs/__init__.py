"""What the verbs of ``Push`` do."""
