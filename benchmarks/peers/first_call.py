"""Makes one call and writes a byte when it returns: ``python benchmarks/peers/first_call.py PEER URL``."""

import os
import sys

if __name__ == "__main__":
    sys.path[0] = sys.path[0].removesuffix(f"{os.sep}benchmarks{os.sep}peers")
    __import__("benchmarks")
    # The checkout contains another version of the package.
    del sys.path[0]
    peer = getattr(__import__(f"benchmarks.peers.{sys.argv[1]}").peers, sys.argv[1])
    if peer.open_cases.__code__.co_flags & 0x80:  # CO_COROUTINE; inspect would distort the measurement
        import asyncio

        async def call() -> None:
            """Makes the call."""
            await (await peer.open_cases(sys.argv[2]))["get_spec"]()

        asyncio.run(call())
    else:
        peer.open_cases(sys.argv[2])["get_spec"]()
    os.write(1, b".")
    os._exit(0)
