"""The web server: gunicorn's processes, each with Tornado's connections in front of Django's threads.

A thread is given to a request once the whole of it has arrived, so that whoever sends slowly, or never ends,
costs a connection and a few kilobytes, and no thread. docs/security.md, "The web side", says what holds.
"""
