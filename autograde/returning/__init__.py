"""What goes out: pages, points, reports."""
