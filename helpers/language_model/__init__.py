"""A small pretrained language model of reviews, and everything to tune it with."""
