"""The live tree in a terminal."""
