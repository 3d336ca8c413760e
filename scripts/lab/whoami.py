"""Tells whoever asks who answered and from which address it was asked: over TCP, HTTP, UDP and SCTP on the same ports.

python3 whoami.py NAME ADDRESS[,ADDRESS...] PORT...

Prints "listening" when all is open. The answer is a line of JSON: {"name", "source", "port"}. Over TCP the client speaks
first; what begins with "GET " is answered as HTTP/1.1 with "connection: close".
"""

import asyncio
import json
import socket
import sys

import sctp


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


class Whoami:
    def __init__(self, name):
        self.name = name

    def answer(self, source, port):
        return (json.dumps({"name": self.name, "source": source, "port": port}) + "\n").encode()

    async def tcp(self, reader, writer):
        source, port = writer.get_extra_info("peername")[0], writer.get_extra_info("sockname")[1]
        body = self.answer(source, port)
        try:
            line = await reader.readline()
            if line.startswith(b"GET "):
                while (await reader.readline()).strip():
                    pass
                head = "HTTP/1.1 200 OK\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body)
                body = head.encode() + body
            writer.write(body)
            await writer.drain()
        except ConnectionError:
            pass  # The client went away; there is nobody left to tell.
        finally:
            writer.close()

    def udp(self, port):
        outer = self

        class Protocol(asyncio.DatagramProtocol):
            def connection_made(self, transport):
                self.transport = transport

            def datagram_received(self, data, peer):
                self.transport.sendto(outer.answer(peer[0], port), peer)

        return Protocol

    def sctp(self, raw, ports):
        packet, peer = raw.recvfrom(4096)
        parsed = sctp.parse(raw.family, packet)
        if parsed and sctp.is_init(parsed) and parsed[1] in ports:
            raw.sendto(sctp.init_ack(parsed, self.answer(peer[0], parsed[1])), peer[:1] + (0,) + peer[2:])


async def main(name, addresses, ports):
    whoami, loop = Whoami(name), asyncio.get_running_loop()
    for address in addresses.split(","):
        for port in ports:
            await asyncio.start_server(whoami.tcp, address, port, backlog=4096)
            await loop.create_datagram_endpoint(whoami.udp(port), local_addr=(address, port))
        raw = sctp.raw_socket(family_of(address))
        raw.setblocking(False)
        raw.bind((address, 0))
        loop.add_reader(raw, whoami.sctp, raw, ports)
    print("listening", flush=True)
    await asyncio.Event().wait()


asyncio.run(main(sys.argv[1], sys.argv[2], [int(port) for port in sys.argv[3:]]))
