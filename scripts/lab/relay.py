"""Hands connections to ADDRESS:PORT on to a Unix socket: python3 relay.py ADDRESS PORT SOCKET. Prints "listening" when it does."""

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


async def main(address, port, path):
    async def serve(reader, writer):
        other_reader, other_writer = await asyncio.open_unix_connection(path)
        await asyncio.gather(copy(reader, other_writer), copy(other_reader, writer))

    server = await asyncio.start_server(serve, address, port)
    print("listening", flush=True)
    await server.serve_forever()


asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
