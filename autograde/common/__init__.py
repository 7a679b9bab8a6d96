"""What every room stands on: errors, files, what is said, untrusted work kept in bounds."""
