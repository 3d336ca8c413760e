"""An HTTP proxy (RFC 9110, CONNECT) on a Unix socket, which connects from where it runs: python3 connect_proxy.py SOCKET.

Through it an API server that is not on the network of a namespace reaches what is (EgressSelectorConfiguration). Prints
"listening" when it does.
"""

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


async def serve(reader, writer):
    try:
        request = (await reader.readuntil(b"\r\n\r\n")).decode()
        host, _, port = request.split(" ")[1].rpartition(":")
        target_reader, target_writer = await asyncio.open_connection(host.strip("[]"), int(port))
    except OSError as error:
        writer.write(f"HTTP/1.1 502 {error.strerror}\r\n\r\n".encode())
        writer.close()
        return
    except asyncio.IncompleteReadError:
        writer.close()
        return
    writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
    await asyncio.gather(copy(reader, target_writer), copy(target_reader, writer))


async def main(path):
    server = await asyncio.start_unix_server(serve, path)
    print("listening", flush=True)
    await server.serve_forever()


asyncio.run(main(sys.argv[1]))
