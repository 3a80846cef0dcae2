"""One typed function for each SQL function."""
