"""A machine without a network."""

import socket

import pytest


@pytest.fixture
def network(monkeypatch):
    """No network; the list of what was asked of it."""
    asked = []

    def refuse(*arguments, **_):
        asked.append(arguments)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    return asked
