"""Hands connections to 127.0.0.1:PORT on to a Unix socket: python3 relay.py PORT SOCKET. Prints "listening" when it does."""

import asyncio
import sys


async def copy(reader, writer):
    try:
        while received := await reader.read(65536):
            writer.write(received)
            await writer.drain()
    except ConnectionError:
        pass  # Either side went away; the other is told below.
    finally:
        writer.close()


async def main(port, path):
    async def serve(reader, writer):
        other_reader, other_writer = await asyncio.open_unix_connection(path)
        await asyncio.gather(copy(reader, other_writer), copy(other_reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    print("listening", flush=True)
    await server.serve_forever()


asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
