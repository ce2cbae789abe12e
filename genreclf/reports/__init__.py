"""What a person reads and sees."""
