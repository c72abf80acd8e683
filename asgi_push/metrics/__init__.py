"""What this process counts: plain numbers, kept always; prometheus-client only shows them."""
