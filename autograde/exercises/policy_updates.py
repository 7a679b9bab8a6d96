"""Exercises of lesson policy_updates."""
