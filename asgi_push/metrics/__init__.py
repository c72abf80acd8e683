"""What this process counts, in plain numbers; prometheus-client only writes them out."""
