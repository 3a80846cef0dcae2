"""The pages, probes and fragments stand whatever the databases do: what is wrong, since when, what to do."""
