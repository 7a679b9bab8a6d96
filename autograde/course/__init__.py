"""The course as it is written: lessons, exercises, and what is built from them."""
