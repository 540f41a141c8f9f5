"""What httpx trusts, read once: to read all certificates takes longer than most requests do."""

import httpx

TRUSTED = httpx.create_ssl_context()
"""For `verify`."""
