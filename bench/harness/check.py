"""Whether a server gives right answers. Nothing is timed that wasn't checked first."""
import http.client
import socket

from .servers import ServerError


def exchange(port, request, expected_heads):
    """Sends bytes, reads until `expected_heads` responses with bodies have come or the stream ends."""
    with socket.create_connection(("127.0.0.1", port), 5) as client:
        client.settimeout(5)
        client.sendall(request)
        received, heads = b"", []
        while len(heads) < expected_heads:
            part = client.recv(1 << 16)
            if not part:
                break
            received += part
            while (end := received.find(b"\r\n\r\n")) >= 0:
                head = received[:end].decode("latin-1")
                length = next((int(line.split(":")[1]) for line in head.split("\r\n")
                               if line.lower().startswith("content-length:")), 0)
                if len(received) < end + 4 + length:
                    break
                heads.append(head)
                received = received[end + 4 + length:]
        client.settimeout(2)
        try:
            closed = client.recv(1) == b""
        except TimeoutError:
            closed = False
        return heads, closed


def check_http(name, port, path, content, pipelined=True, closes=True):
    """Raises ServerError unless `path` is served as it ought to be."""
    def require(holds, what):
        if not holds:
            raise ServerError(f"{name} answers wrongly: {what} (GET {path} on port {port})")

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    for _ in range(2):  # the second over the same connection
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
        require(response.status == 200, f"status {response.status}")
        require(content is None or body == content, "the body is not the file")
        require(response.getheader("Content-Length") == str(len(body)), "Content-Length")
        require(response.getheader("Connection", "").lower() != "close", "it closes a keep-alive connection")
    connection.close()
    get = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n"
    if closes:
        heads, closed = exchange(port, f"{get}Connection: close\r\n\r\n".encode(), 1)
        require(len(heads) == 1 and closed, "it does not close when asked to")
    if pipelined:
        heads, _ = exchange(port, f"{get}\r\n{get}\r\n{get}Connection: close\r\n\r\n".encode(), 3)
        require(len(heads) == 3, "pipelined requests are not all answered")


EXCHANGES = {"echo": [(b"abc\n", b"abc\n"), (b"x" * 5000, b"x" * 5000)],
             "raw": [(b"world\n", b"hello, world\n"), (b"a\nb\n", b"hello, a\nhello, b\n")]}


def check_exchanges(name, port, scheme):
    """Raises ServerError unless each thing that is said gets its answer, all on one connection."""
    with socket.create_connection(("127.0.0.1", port), 5) as client:
        client.settimeout(5)
        for sent, expected in EXCHANGES[scheme]:
            client.sendall(sent)
            received = b""
            while len(received) < len(expected) and (part := client.recv(4096)):
                received += part
            if received != expected:
                raise ServerError(f"{name} answers wrongly: {received[:40]!r} to {sent[:40]!r} on port {port}")
