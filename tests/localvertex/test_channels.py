"""The tests open few gRPC channels: closing one can block a process for ever."""

import grpc

TRANSPORTS = ("grpc",)


def test_the_clients_of_the_sdk_share_a_channel(aip, monkeypatch):
    aip.Model.list()
    opened = []
    monkeypatch.setattr(grpc, "secure_channel", lambda target, *_, **__: opened.append(target))

    for _ in range(3):
        aip.Model.list()
        aip.Endpoint.list()

    assert opened == []
