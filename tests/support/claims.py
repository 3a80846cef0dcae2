"""What an application name claims of a tenant: one table of cases for SQL and Python."""

from __future__ import annotations

CLAIMS: dict[str, str | None] = {
    "tenant=ACME": "ACME",
    "orders tenant=ACME": "ACME",
    "orders;tenant=ACME;job=3": "ACME",
    "orders,tenant=ACME,job": "ACME",
    # a pooler's or a job's word behind it
    "tenant=ACME|nightly": "ACME",
    "nightly|tenant=ACME": "ACME",
    "tenant=ACME nightly": "ACME",
    "\ttenant=ACME\tnightly": "ACME",
    # the first claim counts
    "tenant=ACME tenant=OTHER": "ACME",
    # another word that ends like it is none
    "mytenant=ACME": None,
    "sub_tenant=ACME": None,
    "x:tenant=ACME": None,
    "mytenant=OTHER tenant=ACME": "ACME",
    # as it is written
    "TENANT=ACME": None,
    "tenant = ACME": None,
    "tenant=": None,
    "tenant=;tenant=ACME": "ACME",
    "tenant=a=b": "a=b",
    "tenant=tenant=ACME": "tenant=ACME",
    "tenant='A B'": "'A",
    "tenant=A\\B": "A\\B",
    "orders": None,
    "": None,
}
"""Name to the claim."""
