"""What runs inside the sandbox. Nothing here imports `autograde`: the sandbox does not hold it."""
