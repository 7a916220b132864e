"""Bare servers that answer each request with its own bytes: ``python echo.py zeromq``, ``python echo.py nats URL``.

The last word of the first line of the output is the address.
"""

from __future__ import annotations

import asyncio
import sys


def serve_zeromq() -> None:
    """Answers on a ROUTER."""
    import zmq

    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.ROUTER)
    socket.bind("tcp://127.0.0.1:*")
    print(socket.getsockopt_string(zmq.LAST_ENDPOINT), flush=True)
    while True:
        socket.send_multipart(socket.recv_multipart())


async def serve_nats(url: str) -> None:
    """Answers on the subject ``echo``."""
    import nats
    from nats.aio.msg import Msg

    async def answer(message: Msg) -> None:
        await message.respond(message.data)

    connection = await nats.connect(url)
    await connection.subscribe("echo", cb=answer)
    await connection.flush()
    print(url, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    if sys.argv[1] == "zeromq":
        serve_zeromq()
    else:
        asyncio.run(serve_nats(sys.argv[2]))
