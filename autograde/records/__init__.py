"""What the lessons plot, made again."""
