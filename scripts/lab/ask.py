"""Asks whoami servers with real connections, and tells how each attempt ended.

In: on standard input a JSON list of questions {"protocol": "tcp" | "http" | "udp" | "sctp", "host", "port", "times",
"timeoutMs", "pauseMs"?, "path"?}. Questions are asked side by side, the attempts of one question one after the other, each over
a connection (or from a port) of its own, with a pause between them if there is one. A timeout ends a question.
Out: on standard output a JSON list, a list of attempts for each question: {"outcome", "ms", "status"?, "body"?}. Outcomes:
"answered", "refused" (a reset, ICMP port or protocol unreachable as the answer to the attempt), "reset" and "closed" (later on),
"unreachable" (another ICMP error), "timeout".
"""

import asyncio
import contextlib
import errno
import json
import random
import re
import socket
import sys
import time

import sctp

OUTCOMES = {
    errno.ECONNREFUSED: "refused",
    # ICMP protocol unreachable, ICMPv6 unknown next header: nobody speaks SCTP there.
    errno.ENOPROTOOPT: "refused",
    errno.EPROTO: "refused",
    errno.ECONNRESET: "reset",
    errno.EPIPE: "reset",
    errno.EHOSTUNREACH: "unreachable",
    errno.ENETUNREACH: "unreachable",
    errno.EACCES: "unreachable",
    errno.ETIMEDOUT: "timeout",
}
# Without it such sockets hear of "port unreachable" only. (linux/in.h, linux/in6.h; Python has no names for them.)
RECVERR = {socket.AF_INET: (socket.IPPROTO_IP, 11), socket.AF_INET6: (socket.IPPROTO_IPV6, 25)}
# How many questions at once. More would be a test of how a crowd is served.
SIDE_BY_SIDE = 32
SCTP_TURNS = {}


class Closed(Exception):
    """The other side ended the connection without an answer."""


async def open_socket(question, kind):
    family = socket.AF_INET6 if ":" in question["host"] else socket.AF_INET
    opened = sctp.raw_socket(family) if kind == "sctp" else socket.socket(family, kind)
    opened.setblocking(False)
    try:
        if kind == socket.SOCK_STREAM:
            await asyncio.get_running_loop().sock_connect(opened, (question["host"], question["port"]))
        else:  # Ports are no business of a raw socket.
            opened.setsockopt(*RECVERR[family], 1)
            opened.connect((question["host"], 0 if kind == "sctp" else question["port"]))
        return opened
    except BaseException:
        opened.close()
        raise


async def exchange(question, request):
    """All that comes on a connection, to its end."""
    loop, text = asyncio.get_running_loop(), b""
    with await open_socket(question, socket.SOCK_STREAM) as opened:
        await loop.sock_sendall(opened, request)
        while received := await loop.sock_recv(opened, 65536):
            text += received
    if not text:
        raise Closed
    return text.decode()


async def ask_tcp(question):
    return {"body": await exchange(question, b"who\n")}


async def ask_http(question):
    host = "[%s]" % question["host"] if ":" in question["host"] else question["host"]
    request = "GET %s HTTP/1.1\r\nhost: %s:%d\r\nconnection: close\r\n\r\n"
    text = await exchange(question, (request % (question.get("path", "/"), host, question["port"])).encode())
    head, _, body = text.partition("\r\n\r\n")
    if re.search("(?im)^transfer-encoding: *chunked", head):
        size, _, rest = body.partition("\r\n")
        body = rest[: int(size, 16)]
    return {"status": int(head.split(" ")[1]), "body": body}


async def send(opened, packet):
    try:
        await asyncio.get_running_loop().sock_sendall(opened, packet)
    except PermissionError:
        pass  # This machine's own filter took it on its way out; whether with an answer is seen by who waits for one.


async def ask_udp(question):
    loop = asyncio.get_running_loop()
    with await open_socket(question, socket.SOCK_DGRAM) as opened:
        await send(opened, b"who\n")
        return {"body": (await loop.sock_recv(opened, 4096)).decode()}


async def init_ack_for(opened, source_port):
    while True:  # A raw socket gets everybody's packets.
        parsed = sctp.parse(opened.family, await asyncio.get_running_loop().sock_recv(opened, 4096))
        if parsed and not sctp.is_init(parsed) and parsed[1] == source_port:
            return parsed[4].decode()


async def ask_sctp(question):
    """INIT, and once more when nothing comes back (RFC 9260, 6.3.3), as one can get lost: a machine without SCTP does not
    refuse it while a raw socket is being opened there, for until that is connected it takes everything."""
    source_port = random.randint(20000, 60000)
    with await open_socket(question, "sctp") as opened:
        init = sctp.init(source_port, question["port"])
        await send(opened, init)
        with contextlib.suppress(asyncio.TimeoutError):
            answer = init_ack_for(opened, source_port)
            return {"body": await asyncio.wait_for(answer, question["timeoutMs"] / 2000)}
        await send(opened, init)
        return {"body": await init_ack_for(opened, source_port)}


ASK = {"tcp": ask_tcp, "http": ask_http, "udp": ask_udp, "sctp": ask_sctp}


async def attempt(question):
    # ICMP errors do not say which of a host's raw sockets they are for: one at a time.
    turn = SCTP_TURNS.setdefault(question["host"], asyncio.Lock())
    async with turn if question["protocol"] == "sctp" else contextlib.nullcontext():
        return await attempt_in_turn(question)


async def attempt_in_turn(question):
    started = time.monotonic()
    try:
        asked = ASK[question["protocol"]](question)
        result = {"outcome": "answered", **await asyncio.wait_for(asked, question["timeoutMs"] / 1000)}
    except asyncio.TimeoutError:
        result = {"outcome": "timeout"}
    except Closed:
        result = {"outcome": "closed"}
    except OSError as error:
        if error.errno not in OUTCOMES:
            raise
        result = {"outcome": OUTCOMES[error.errno]}
    return {**result, "ms": round((time.monotonic() - started) * 1000)}


async def ask(question, free):
    attempts = []
    async with free:
        for number in range(question["times"]):
            if number:
                await asyncio.sleep(question.get("pauseMs", 0) / 1000)
            attempts.append(await attempt(question))
            if attempts[-1]["outcome"] == "timeout":
                break
    return attempts


async def main():
    free = asyncio.Semaphore(SIDE_BY_SIDE)
    return await asyncio.gather(*(ask(question, free) for question in json.load(sys.stdin)))


json.dump(asyncio.run(main()), sys.stdout)
