"""Django's backend for the web database as a file of this host."""
