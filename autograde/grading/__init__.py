"""From a submission to a recorded verdict."""
