"""What people start: the only rooms that print, parse arguments or open a port."""
