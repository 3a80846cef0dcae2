"""What gunicorn reads by itself where the project's folder is its working directory.

The worker class is what bounds requests (docs/security.md, "The web side"); the command line says the rest.
"""

worker_class = "onevault.server.worker.Connections"
