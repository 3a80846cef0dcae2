"""The periodic report: what blocked, how long, who suffered, and what follows from it."""
