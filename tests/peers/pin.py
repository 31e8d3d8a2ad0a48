"""Makes the official Python SDK 1.30 know one revision and no other, in this process."""

from mcp import types
from mcp.shared import version


def pin(revision):
    # Every module that asks what is supported looks into this very list.
    version.SUPPORTED_PROTOCOL_VERSIONS[:] = [revision]
    types.LATEST_PROTOCOL_VERSION = revision
