"""What comes in: downloads opened, placed, and given to whom they belong."""
